"""Generation through Ray Data: one pipeline a cell over all its test sets, a pool of actors with one model each."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from raysweep.engine.base import Block, GenerateJob
from raysweep.engine.batches import made_of, numbered, packed, restarting
from raysweep.engine.cluster import Placement
from raysweep.engine.local import make_generator
from raysweep.engine.lost import end_with_raylet
from raysweep.generators.base import Generator
from raysweep.progress import ProgressFile
from raysweep.records import Completion


class GenerationActor:
    """Holds one loaded model; Ray Data calls it with the number of a batch."""

    def __init__(self, job: GenerateJob, progress: ProgressFile) -> None:
        self._job = job
        self._progress = progress
        self._generator: Generator | None = None
        end_with_raylet()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Complete batches; their numbers travel along, since Data keeps no order."""
        made = [packed(functools.partial(self._make, int(at))) for at in rows["at"]]
        return {"at": rows["at"], "made": made}

    def _make(self, at: int) -> list[Completion]:
        if self._generator is None:
            self._progress.go_on()  # the wait for a place is over: from here on a hang counts
            self._generator = make_generator(self._job)
        return self._generator.generate(self._job.batches[at])


def generate_with_ray(
    job: GenerateJob, placement: Placement, actors: int, progress: ProgressFile
) -> Iterator[Block[Completion]]:
    """Yield the completions of each batch as it is made.

    Raises:
        RaysweepError: the generator failed, or not all batches came back.
    """
    from ray.data import ActorPoolStrategy

    total = len(job.batches)
    made = numbered(range(total)).map_batches(
        type(f"generate {job.label.replace('.', '-')}", (GenerationActor,), {}),  # in Ray's dashboard
        fn_constructor_args=(job, progress),
        compute=ActorPoolStrategy(size=min(actors, total)),
        batch_size=1,
        num_cpus=0 if placement.in_trial else placement.cpus,  # in the trial's process: it lends its CPU and waits
        num_gpus=placement.gpus or None,
        ray_remote_args_fn=restarting,
        **placement.remote_options,
    )
    for at, completions in made_of(made, total, "a generator", "generation"):
        yield Block(at, completions)
