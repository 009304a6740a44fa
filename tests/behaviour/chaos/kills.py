"""One kill: what was safe at that moment, what is seen from then on, and what must not have been done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from raysweep.stages.generation import BLOCK_SECONDS
from tests.behaviour.chaos.evidence import (
    COMPLETIONS,
    VERDICTS,
    Manifest,
    Place,
    Snapshot,
    blocks,
    checkpoints,
    holders,
    places,
)
from tests.behaviour.chaos.parts import Part, Parts
from tests.behaviour.chaos.processes import Victim

SLACK_SECONDS = 15.0
"""A block is written `BLOCK_SECONDS` after the one before, and a busy machine takes its time."""
STOPS_ALL = (Victim.DRIVER, Victim.RAYLET, Victim.GCS)
"""With one of these gone, the command ends, and what it started, a few seconds later."""


@dataclass
class Kill:
    """A kill that was made, and what became of it."""

    victim: Victim
    at: float  # seconds since the first start
    parts: Parts
    before: Snapshot
    waiting: dict[str, Place]  # activities that are not again where they were
    told: Mapping[str, float]  # when each activity told of rows last, seconds since the epoch
    recovered: float | None = None  # seconds until all of them were
    again: set[str] = field(default_factory=set)  # what was safe and was written once more
    restarted: set[str] = field(default_factory=set)  # "stage/key" of what another process makes since

    @classmethod
    def now(
        cls, victim: Victim, at: float, parts: Parts, before: Snapshot, told: Mapping[str, float] = MappingProxyType({})
    ) -> Kill:
        """Return a kill that was made a moment ago; `before`: the store right after it."""
        kill = cls(victim, at, parts, before, dict(before.places), told)
        if victim is Victim.TRAIN_WORKER and len(before.checkpoints) == 1:
            kill.restarted.update(before.checkpoints)
        return kill

    def look(self, storage: Path) -> None:
        """See what has happened since."""
        held = dict(holders(storage))
        for name, pid in held.items():
            if name in self.before.holders and pid != self.before.holders[name]:
                self.restarted.add(name)
        for name, step, written in checkpoints(storage):
            safe = self.before.checkpoints.get(name, 0)
            if written > self.before.seen and step <= safe:
                self.again.add(f"{name}: step {step}, though a checkpoint of step {safe} was there")
        for name, rows, written in blocks(storage):
            both = rows & self.before.blocks.get(name, frozenset())
            if written > self.before.seen and both:
                self.again.add(f"{name}: {len(both)} rows of blocks that were there")
        if self.recovered is None:
            self._look_who_is_back(storage, held)

    def lost_steps(self) -> int:
        """Return the steps that were done and are in no checkpoint, the most of any training that ran."""
        lost = [0]
        for name, place in self.before.places.items():
            training = self.parts.of(name).training
            if place.stage == "training" and training not in self.before.manifests:
                lost.append(place.done - self.before.checkpoints.get(training, 0))
        return max(lost)

    def lost_rows(self, ended: Mapping[str, Manifest]) -> int:
        """Return the rows that were told to be done and are in no block, the most of any evaluation that ran.

        Completions come into a block `BLOCK_SECONDS` after the last one at the latest.
        Verdicts of programs that another cell ran are in the store's cache.
        """
        lost = [0]
        for name, place in self.before.places.items():
            part = self.parts.of(name)
            kind = {"generating": COMPLETIONS, "executing": VERDICTS}.get(place.stage)
            latest = max(place.since, self.before.written.get(f"{part.evaluation}/{kind}", 0.0))
            told = self.told.get(name, self.before.at)
            if kind == COMPLETIONS and told - latest < BLOCK_SECONDS + SLACK_SECONDS:
                continue
            if kind and not set(part.results) <= self.before.manifests.keys():
                cached = _count(ended, part.results, "programs_reused", sum) if kind == VERDICTS else 0
                lost.append(place.done - len(self.before.blocks.get(f"{part.evaluation}/{kind}", ())) - cached)
        return max(lost)

    def safe_rows(self) -> int:
        """Return the rows in blocks of evaluations that were not done."""
        return sum(map(len, self.before.blocks.values()))

    def problems(self, ended: Mapping[str, Manifest]) -> list[str]:
        """Say what was lost, or done again though it was safe, given the artefacts in the end."""
        found = [f"written again: {text}" for text in sorted(self.again)]
        for name, manifest in self.before.manifests.items():
            if name not in ended or ended[name].identity != manifest.identity:
                found.append(f"committed work was made again: {name}")
        if self.lost_steps() > self.parts.interval:
            found.append(f"{self.lost_steps()} steps were in no checkpoint, the interval is {self.parts.interval}")
        if lost_rows := self.lost_rows(ended):
            found.append(f"{lost_rows} rows were told to be done and in no block")
        for part in self.parts.parts:
            found += self._went_on(part, ended)
        return [f"{self.victim.label} killed after {self.at:.0f} s: {text}" for text in found]

    def _look_who_is_back(self, storage: Path, held: Mapping[str, int]) -> None:
        now = places(storage, self.parts.name)
        for name, was in list(self.waiting.items()):
            part = self.parts.of(name)
            work = part.evaluation if was.stage in ("generating", "executing") else part.training
            doomed = self.victim in STOPS_ALL and work in held and held[work] == self.before.holders.get(work)
            if (name in now and now[name].is_past(was) and not doomed) or part.is_done(storage):
                del self.waiting[name]
        if not self.waiting:
            self.recovered = time.time() - self.before.at

    def _went_on(self, part: Part, ended: Mapping[str, Manifest]) -> list[str]:
        """Say where a part that was started again did not go on from what was safe."""
        found = []
        safe = self.before.checkpoints.get(part.training, 0)
        if part.training in self.restarted and _count(ended, [part.training], "resumed_from") < safe:
            found.append(f"{part.activity} did not go on from step {safe}")
        for kind, names, count, total in (
            (COMPLETIONS, part.completions, "prompts_resumed", max),  # each has the number of the whole cell
            (VERDICTS, part.results, "programs_resumed", sum),
        ):
            rows = len(self.before.blocks.get(f"{part.evaluation}/{kind}", ()))
            fresh = not any(name in self.before.manifests for name in names)
            if fresh and part.evaluation in self.restarted and _count(ended, names, count, total) < rows:
                found.append(f"{part.activity} did not go on from {rows} rows of {kind}")
        return found


def _count(
    ended: Mapping[str, Manifest], names: Sequence[str], what: str, total: Callable[[list[int]], int] = max
) -> int:
    return total([0, *(int(ended[name].counts.get(what, 0)) for name in names if name in ended)])
