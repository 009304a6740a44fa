"""Estimates how long a sweep still runs, from steps and tasks that were measured while it ran.

An estimate is a range. What the own steps of a running task say is narrow; what finished tasks of the same kind took is
a little wider; for a kind of which nothing has finished, other kinds give a wide one. The time left is shown only where
the range is so narrow that its middle is right within a factor of 1.5.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.engine.progress import DONE, FAILED, RUNNING, WAITING, Activity

WITHIN = 1.5
"""The factor within which a shown time is right."""
STEPS, FEW_STEPS, SAME_KIND, OTHER_KIND = 1.15, 1.5, 1.3, 4.0
"""Factors by which an estimate may be wrong: from a third of the own steps or from a tenth, and from other tasks."""
MODEL = re.compile(r"\.(base|s-?\d+)$")
"""Ends the id of a model's task; other tasks make inputs that models share."""
STAGES = ("starting", "training", "generating", "executing")
"""The stages of a model's task, in order."""
_LOOKS = 40
"""Newest looks, which show how many tasks run at once."""


@dataclass(frozen=True)
class Range:
    """Seconds between which a duration lies."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)


UNKNOWN = Range(0.0, math.inf)


@dataclass
class _Followed:
    """What was seen of one task. `stages`: seconds of work in each stage, waiting left out."""

    state: str = WAITING
    stage: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    first: int = 0  # units of the stage that were done at the first look at it
    seconds: float = 0.0  # of work in the stage since then


class TimeLeft:
    """Follows the tasks of a sweep. Call `look` regularly, then `seconds`.

    Args:
        wanted: the ids of the tasks.
    """

    def __init__(self, wanted: Sequence[str]) -> None:
        self._tasks = {name: _Followed() for name in wanted}
        self._kinds: dict[str, list[str]] = {}
        for name in wanted:
            self._kinds.setdefault(kind_of(name), []).append(name)
        self._last_look: float | None = None
        self._at_once: list[int] = []
        self._activities: Mapping[str, Activity] = {}

    def look(self, activities: Mapping[str, Activity], now: float) -> None:
        """Take notice of how far the tasks are at a time (seconds since any moment)."""
        passed = 0.0 if self._last_look is None else now - self._last_look
        self._last_look, self._activities = now, activities
        working = 0
        for name, task in self._tasks.items():
            activity = activities.get(name, Activity(name))
            if activity.stage != task.stage:
                task.stage, task.first, task.seconds = activity.stage, activity.done, 0.0
            if activity.state == RUNNING and not activity.waits:
                task.stages[task.stage] = task.stages.get(task.stage, 0.0) + passed
                task.seconds += passed
                working += 1
            task.state = activity.state
        if working:
            self._at_once = [*self._at_once[-_LOOKS:], working]

    def seconds(self) -> float | None:
        """Return the seconds left; None while they can't be predicted within a factor of `WITHIN`."""
        names = [name for name, task in self._tasks.items() if task.state not in (DONE, FAILED)]
        if not names or not self._at_once:
            return None
        names.sort(key=lambda name: self._tasks[name].state != RUNNING)
        left, slots = [self._left(name) for name in names], max(self._at_once)
        whole = Range(_last_end([guess.low for guess in left], slots), _last_end([guess.high for guess in left], slots))
        return math.sqrt(whole.low * whole.high) if _is_narrow(whole) else None

    def stage_seconds(self) -> dict[str, float]:
        """Return the seconds left of each stage that runs and has shown how fast it is, by task."""
        running = [name for name, task in self._tasks.items() if task.state == RUNNING]
        ranges = {name: self._own_steps(name) for name in running}
        return {name: math.sqrt(left.low * left.high) for name, left in ranges.items() if _is_narrow(left)}

    def _left(self, name: str) -> Range:
        task = self._tasks[name]
        if task.state != RUNNING:
            return self._whole(name)
        return self._own_steps(name) + self._later_stages(name)

    def _own_steps(self, name: str) -> Range:
        """Return the time left of the running stage."""
        task, activity = self._tasks[name], self._activities[name]
        share = (activity.done - task.first) / activity.total if activity.total else 0.0
        if share >= 0.1:
            seconds = task.seconds * (activity.total - activity.done) / (activity.done - task.first)
            return _around(seconds, STEPS if share >= 1 / 3 else FEW_STEPS)
        return _without(self._usual(name, task.stage), task.stages.get(task.stage, 0.0))

    def _later_stages(self, name: str) -> Range:
        stage = self._tasks[name].stage
        if not MODEL.search(name) or stage not in STAGES:
            return Range(0.0, 0.0)
        return sum((self._usual(name, later) for later in STAGES[STAGES.index(stage) + 1 :]), Range(0.0, 0.0))

    def _usual(self, name: str, stage: str) -> Range:
        """Return how long a stage usually takes. A task of the kind that did without it counts as 0 seconds."""
        same = self._finished(name)
        if same and not any(stage in task.stages for task in same):
            return Range(0.0, 0.0)
        for tasks, factor in ((same, SAME_KIND), (self._finished(name, any_kind=True), OTHER_KIND)):
            took = [task.stages[stage] for task in tasks if stage in task.stages]
            if took:
                return _around(sum(took) / len(took), factor)
        return UNKNOWN

    def _whole(self, name: str) -> Range:
        """Return how long a task usually takes."""
        for tasks, factor in ((self._finished(name), SAME_KIND), (self._finished(name, any_kind=True), OTHER_KIND)):
            if tasks:
                return _around(sum(sum(task.stages.values()) for task in tasks) / len(tasks), factor)
        return UNKNOWN

    def _finished(self, name: str, *, any_kind: bool = False) -> list[_Followed]:
        """Return the finished tasks of a task's kind; `any_kind`: of all models, or of all inputs."""
        is_model = bool(MODEL.search(name))
        alike = [other for other in self._tasks if bool(MODEL.search(other)) == is_model]
        chosen = alike if any_kind else self._kinds[kind_of(name)]
        return [self._tasks[other] for other in chosen if self._tasks[other].state == DONE]


def kind_of(name: str) -> str:
    """Return the kind of a task: tasks of one kind take similar times, such as one model and recipe on several sets."""
    if name.endswith(".base"):
        return ".base"
    if MODEL.search(name):
        return name.rsplit(".", 2)[0]
    return "base-model" if name.startswith("base-model") else name.rpartition("-")[0].partition("-")[0]


def _last_end(seconds: Sequence[float], slots: int) -> float:
    """Return when the last of some tasks ends, if each starts as soon as one of the slots is free."""
    ends = [0.0] * slots
    for length in seconds:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def _is_narrow(seconds: Range) -> bool:
    """Return whether the middle of a range is right within a factor of `WITHIN`."""
    return seconds.low > 0 and seconds.high <= seconds.low * WITHIN**2


def _around(seconds: float, factor: float) -> Range:
    return Range(seconds / factor, seconds * factor)


def _without(usual: Range, passed: float) -> Range:
    return Range(max(0.0, usual.low - passed), max(0.0, usual.high - passed))
