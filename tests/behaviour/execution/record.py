"""Runs the corpus of hostile programs with one setting: only for tests with the mark `apart`."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import yaml

from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Program, Sandbox, Verdict
from tests.behaviour.execution import corpus
from tests.behaviour.execution.world import World, survivors

SETTINGS = {
    "best, strict lane": (Lane.STRICT, ()),
    "best, shared lane": (Lane.SHARED, ()),
    "best, tests inside": (Lane.STRICT, ()),
    "without namespaces": (Lane.STRICT, ("namespaces",)),
    "without namespaces and Landlock": (Lane.STRICT, ("namespaces", "landlock")),
    "without namespaces and seccomp": (Lane.STRICT, ("namespaces", "seccomp")),
    "without all of them": (Lane.STRICT, ("namespaces", "landlock", "seccomp")),
}
LAYERED = {"forks", "threads", "memory", "exits", "daemons", "signals", "descriptors", "files", "sockets", "proc"} | {
    "kernel",
    "floods",
    "leaks",
    "honest",
}
"""Groups that depend on the layers: the others happen inside of the interpreter, at every level alike."""

OUTSIDE_ONLY = {*yaml.safe_load((corpus.FOLDER / "outside.yaml").read_text())} - {"honest"}
"""Groups that attack what exists only where tests run in another process."""


FOR_ANY_SETTING = {"judge-time", "judge-memory"}
"""Groups that keep a judge busy, which depends on no layer and no lane: a sample has them once."""


@dataclass
class Record:
    """What running the corpus with one setting showed, apart for what the level holds and what is only guarded."""

    level: Level
    entries: list[corpus.Entry]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    witnesses: dict[str, list[Verdict]] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    guarded_effects: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)

    def held(self) -> list[corpus.Entry]:
        return [entry for entry in self.entries if entry.held(self.level)]

    def guarded(self) -> list[corpus.Entry]:
        """What the level doesn't hold off and can still be run."""
        return [entry for entry in self.entries if not entry.held(self.level) and not entry.dangerous]


def record_of(setting: str, *, in_full: bool) -> Record:
    """Run the corpus with a setting, or a sample of it."""
    lane, without = SETTINGS[setting]
    with (
        pytest.MonkeyPatch.context() as patch,
        World() as world,
        survivors() as left,
        Executor(2, Sandbox(lane, Level.LIMITS), without=without) as executor,
    ):
        patch.setattr("raysweep.execution.slot.JUDGE_SECONDS", 1.0)
        entries = [one for one in corpus.load(world.places) if not without or one.group in LAYERED]
        if "inside" in setting:
            entries = [one.inside() for one in entries if one.group not in OUTSIDE_ONLY]
        if not in_full:
            others = set() if setting == next(iter(SETTINGS)) else FOR_ANY_SETTING
            entries = corpus.sample(one for one in entries if one.group not in others)
        made = Record(executor.level(), entries)
        world.effects()
        _run(executor, made, made.held())
        made.effects = world.effects()
        _run(executor, made, made.guarded())
        made.guarded_effects = world.effects()
        executor.close()
    made.survivors = left
    return made


def _run(executor: Executor, record: Record, entries: list[corpus.Entry]) -> None:
    """Run programs, after each of them two honest ones, which may meet what it left."""
    work: list[tuple[tuple[str, int], Program, Limits]] = []
    for number, entry in enumerate(entries):
        work.append(((entry.id, 0), entry.program, entry.limits))
        work += [((entry.id, 1), program, Limits(timeout=3.0)) for program in corpus.witnesses(number)]
    for (name, kind), verdict in executor.stream(work):
        if kind:
            record.witnesses.setdefault(name, []).append(verdict)
        else:
            record.verdicts[name] = verdict
