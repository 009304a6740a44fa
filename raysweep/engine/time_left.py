"""Says what share of a sweep's work is done, and how long the rest takes at the pace that was measured meanwhile.

Work is what a plan knows of it, in FLOPs of training; where it knows nothing, usual shares of a model's. The pace is
the work of models by the seconds that passed, over all tasks together, so that what they do beside is in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.engine.progress import DONE, FAILED, RUNNING, TRAINING, Activity, Work

MODEL = re.compile(r"\.(base|s-?\d+)$")
"""Ends the id of a model's task; other tasks make inputs that models share."""
STAGES = ("starting", TRAINING, "generating", "executing")
"""The stages of a model's task, in order."""
USUAL = {TRAINING: 0.8, "generating": 0.15, "executing": 0.05}
"""Rough shares of a model's work by stage, where a plan knows nothing of it."""
SET = "making"
"""The stage of inputs that are no models: how fast they are made tells nothing of models."""
FEWEST_SECONDS = 5.0
"""How long work must have been seen to tell its pace."""
FEWEST_ADVANCES = 4
"""Looks that must have seen more work than the last one: a prompt that ends before its whole batch tells no pace."""
LONG_SECONDS = 60.0
"""After so long two of them are enough: work may consist of few large units."""


@dataclass
class _Stage:
    """A running stage of a task: its units when it first had any, and since when; its units at the last look."""

    name: str
    first: int
    began: float
    done: int
    advances: int = 0  # looks that saw more units


class TimeLeft:
    """Follows the tasks of a sweep. Call `look` regularly, then the others.

    `wanted`: the ids of the tasks. `work`: what tasks compute, by task and stage, in one unit for all. `cached_cells`:
    how many models were done before, which are not among the tasks.
    """

    def __init__(self, wanted: Sequence[str], work: Work | None = None, cached_cells: int = 0) -> None:
        planned = work or {}
        of_models = [sum(planned[name].values()) for name in wanted if MODEL.search(name) and name in planned]
        self._usual = (sum(of_models) / len(of_models) if of_models else 0.0) or 1.0
        self._work = {name: self._work_of(name, planned.get(name)) for name in wanted}
        self._cached = cached_cells * self._usual
        self._last: dict[str, Activity] = {}
        self._stages: dict[str, _Stage] = {}  # by task
        self._heard: dict[str, float] = {}  # when the latest report of each task was first seen
        self._now = self._seen = 0.0
        self._advances = 0  # looks that saw more work
        self._began: float | None = None  # when work was first seen

    def _work_of(self, name: str, planned: Mapping[str, float] | None) -> Mapping[str, float]:
        """Return what a task computes: as planned, or as usual, where sets take seconds and base models longest."""
        part = self._usual * (0.2 if name.endswith(".base") else 1.0)
        if not MODEL.search(name):
            return planned or ({TRAINING: 3 * part} if name.startswith("base-model") else {SET: 0.05 * part})
        usual = {stage: part * share for stage, share in USUAL.items()}
        return usual if planned is None else {**planned, "executing": usual["executing"]}

    def look(self, activities: Mapping[str, Activity], now: float) -> None:
        """Take notice of how far the tasks are at a time (seconds since any moment)."""
        gained = 0.0
        for name, stages in self._work.items():
            last = self._last.get(name)
            reported = last.updated if last is not None else None
            activity = activities.get(name) or last or Activity(name)  # a file may be unreadable for a while
            stage = self._stages.get(name)
            if stage is not None and stage.name == activity.stage:
                stage.advances += activity.done > stage.done
                stage.done = activity.done
            elif activity.done:
                self._stages[name] = _Stage(activity.stage, activity.done, now, activity.done)
                if activity.stage == TRAINING:  # a resumed one has its first units from before
                    last = None
            if last is not None and SET not in stages and activity.state in (RUNNING, DONE):
                gained += self._done(name, activity) - self._done(name, last)
            self._last[name] = activity
            if activity.updated != reported:
                self._heard[name] = now
        self._now = now
        if self._began is not None:
            self._seen += gained
            self._advances += gained > 0
        elif gained > 0:
            self._began = now

    def silent_seconds(self) -> dict[str, float]:
        """Return for how long each task at work has reported nothing, by the times of the looks."""
        at_work = [name for name, last in self._last.items() if last.state == RUNNING and not last.waits]
        return {name: self._now - self._heard[name] for name in at_work}

    def share(self) -> float:
        whole = self._cached + sum(sum(stages.values()) for stages in self._work.values())
        return (self._cached + sum(self._done(*item) for item in self._last.items())) / (whole or 1.0)

    def seconds(self) -> float | None:
        """Return the seconds left; None before a steady pace was measured."""
        if self._began is None or not self._is_steady(self._began, self._advances) or self._seen <= 0:
            return None
        left = sum(sum(self._work[name].values()) - self._done(name, last) for name, last in self._last.items())
        return left * (self._now - self._began) / self._seen

    def stage_seconds(self) -> dict[str, float]:
        """Return the seconds left of each running stage whose pace was measured, by task."""
        left = {}
        for name, stage in self._stages.items():
            activity = self._last[name]
            is_running = (activity.state, activity.stage) == (RUNNING, stage.name)
            if is_running and activity.done > stage.first and self._is_steady(stage.began, stage.advances):
                rest = (activity.total - activity.done) / (activity.done - stage.first)
                left[name] = (self._now - stage.began) * rest
        return left

    def _is_steady(self, began: float, advances: int) -> bool:
        seconds = self._now - began
        return seconds >= FEWEST_SECONDS and advances >= (2 if seconds >= LONG_SECONDS else FEWEST_ADVANCES)

    def _done(self, name: str, activity: Activity) -> float:
        stages, stage = self._work[name], activity.stage
        if activity.state in (DONE, FAILED):
            return sum(stages.values())
        if activity.state != RUNNING:
            return 0.0
        earlier = STAGES[: STAGES.index(stage)] if stage in STAGES else ()
        part = activity.done / activity.total if activity.total else 0.0
        return sum(stages.get(one, 0.0) for one in earlier) + part * stages.get(stage, 0.0)
