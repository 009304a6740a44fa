"""Parts that break down on order: an error, a dead process or a hang, a number of times over all processes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence

from raysweep_extra.notes import write_down
from raysweep_extra.shout import Shout
from raysweep_extra.told import CutFake

from raysweep.errors import HopelessError, RaysweepError
from raysweep.records import Segment
from raysweep.trainers.objectives.sft import Sft


def strike(trouble: str, name: str, times: int) -> None:
    """Make trouble when it is called with this name for the first, second, ... or `times`-th time by any process."""
    if write_down(name, f"{os.getpid()} {time.time():.3f}") > times:
        return
    match trouble:
        case "error":
            raise RaysweepError("the disk is on fire")
        case "hopeless":
            raise HopelessError("no such luck")
        case "death":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)


class Unsteady(CutFake):
    """The fake generator, which makes trouble at its first calls.

    Args:
        model: not used.
        decoding: see `Fake`.
        trouble: error, hopeless, death, hang or slow.
        times: so often.
        pause: seconds that each call takes.
    """

    def __init__(self, model, decoding, trouble: str = "none", times: int = 0, pause: float = 0.0) -> None:
        super().__init__(model, decoding)
        self.trouble, self.times, self.pause = trouble, times, pause

    def generate(self, requests):
        """See `Fake`."""
        time.sleep(self.pause)
        strike(self.trouble, f"generator-{self.trouble}-{self.times}", self.times)
        return super().generate(requests)


class FatalShout(Shout):
    """Shout, whose process dies once."""

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """See `Shout`."""
        strike("death", "perturbation", 1)
        return super().perturb(segments, rng, protected)


class FatalSft(Sft):
    """Supervised fine-tuning, whose process dies once, at a given step."""

    trouble = "death"

    def __init__(self, at: float = 4) -> None:
        super().__init__()
        self.at, self.steps = int(at), 0

    def normaliser(self, rows):
        """See `Sft`. The loop calls it once a step."""
        self.steps += 1
        if self.steps == self.at:
            strike(self.trouble, f"objective-{self.trouble}", 1)
        return super().normaliser(rows)


class StuckSft(FatalSft):
    """Supervised fine-tuning that hangs once, at a given step."""

    trouble = "hang"
