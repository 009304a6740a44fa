"""Estimates how long a sweep still runs, from steps and tasks that were measured while it ran.

An estimate is a range. What the own steps of a running task say is narrow; what finished tasks of the same kind took is
a little wider. Of a kind of which nothing has finished, what its tasks compute tells more, at the pace of those that
were measured; else other kinds give a wide range. The time left is shown only where the range is so narrow that its
middle is right within a factor of 1.5.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from raysweep.engine.progress import AT_ONCE, DONE, FAILED, MODELS, RUNNING, TRAINING, WAITING, Activity, Work

WITHIN = 1.5
"""The factor within which a shown time is right."""
STEPS, FEW_STEPS, SAME_KIND, BY_WORK, OTHER_KIND = 1.15, 1.5, 1.3, 1.4, 4.0
"""Factors by which an estimate may be wrong: from a third of the own steps or from fewer, from other tasks of the
kind, from what the task computes, and from tasks of other kinds."""
FEWEST_STEPS = 0.07
"""The share of a stage that must have been seen to say how fast it is."""
MODEL = re.compile(r"\.(base|s-?\d+)$")
"""Ends the id of a model's task; other tasks make inputs that models share."""
STAGES = ("starting", TRAINING, "generating", "executing")
"""The stages of a model's task, in order."""
_WINDOW_SECONDS, _FEWEST_LOOKS = 60.0, 3
"""How many tasks run at once is the most of the last seconds, or looks: a place is empty for a while between tasks."""


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
    """What was seen of one task.

    Attributes:
        work: what each of its stages computes.
        state: of the last look.
        stage: of the last look.
        stages: seconds of work in each stage, waiting left out.
        starts: of these, seconds before the first units were done.
        whole: seconds that a whole stage takes after its start, as far as its units were seen.
        first: units of the stage that were done at the first look at it that found any.
        seconds: of work in the stage since then.
        done: units of the stage that were done at the last look.
        quiet: of `seconds`, those since the last units were done.
    """

    work: Mapping[str, float]
    state: str = WAITING
    stage: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    whole: dict[str, float] = field(default_factory=dict)
    first: int = 0
    seconds: float = 0.0
    done: int = 0
    quiet: float = 0.0

    def count(self, seconds: float, done: int) -> None:
        self.stages[self.stage] = self.stages.get(self.stage, 0.0) + seconds
        self.seconds += seconds
        self.quiet = self.quiet + seconds if done and done == self.done else 0.0
        self.done = done

    def take_back(self) -> None:
        """Count no work since the last units: a wait is told only after it has lasted a while."""
        self.stages[self.stage] = self.stages.get(self.stage, 0.0) - self.quiet
        self.seconds, self.quiet = max(0.0, self.seconds - self.quiet), 0.0


class _AtOnce(NamedTuple):
    """How many tasks worked at a look: models, all that were in a stage of `STAGES`, all."""

    time: float
    models: int
    training: int
    working: int


class TimeLeft:
    """Follows the tasks of a sweep. Call `look` regularly, then `seconds`.

    `wanted`: the ids of the tasks. `work`: what tasks compute, by task and stage, in one unit for all; of other stages
    next to nothing is expected. Under `AT_ONCE` how many models can run at once, if that is known.
    """

    def __init__(self, wanted: Sequence[str], work: Work | None = None) -> None:
        self._work = work or {}
        self._tasks = {name: _Followed(self._work.get(name, {})) for name in wanted}
        self._kinds: dict[str, list[str]] = {}
        for name in wanted:
            self._kinds.setdefault(kind_of(name), []).append(name)
        self._last_look: float | None = None
        self._can_run = int(self._work.get(AT_ONCE, {}).get(MODELS, 0))
        self._at_once: list[_AtOnce] = []
        self._first_model: float | None = None  # when the first one was seen to run
        self._activities: Mapping[str, Activity] = {}
        self._paces: dict[str, float | None] = {}  # since the last look, by stage

    def look(self, activities: Mapping[str, Activity], now: float) -> None:
        """Take notice of how far the tasks are at a time (seconds since any moment)."""
        passed = 0.0 if self._last_look is None else now - self._last_look
        self._last_look, self._activities, self._paces = now, activities, {}
        models, training, working = 0, 0, 0
        for name, task in self._tasks.items():
            activity = activities.get(name, Activity(name))
            if activity.stage != task.stage:
                task.stage, task.first, task.seconds, task.quiet = activity.stage, activity.done, 0.0, 0.0
            if activity.waits:
                task.take_back()
            elif activity.state == RUNNING:
                task.count(passed, activity.done)
                working += 1
                models += bool(MODEL.search(name))
                training += task.stage in STAGES
            if activity.done and not task.first:  # what came before the first units was a start
                task.starts[task.stage], task.first, task.seconds = task.seconds, activity.done, 0.0
            task.state = activity.state
            share = (activity.done - task.first) / activity.total if activity.total else 0.0
            if share >= FEWEST_STEPS and activity.state == RUNNING:
                task.whole[task.stage] = task.seconds / share
        if working:
            recent = [look for look in self._at_once if now - look.time < _WINDOW_SECONDS]
            recent = max(recent, self._at_once[1 - _FEWEST_LOOKS :], key=len)
            self._at_once = [*recent, _AtOnce(now, models, training, working)]
        if models and self._first_model is None:
            self._first_model = now

    def _slots(self, models: bool) -> int:
        """Return how many models, or inputs, run at once; short inputs that run beside trainings don't count."""
        inputs = max(look.training for look in self._at_once) or max(look.working for look in self._at_once)
        if not models:
            return inputs
        seen = max(look.models for look in self._at_once)
        is_new = self._first_model is None or self._at_once[-1].time - self._first_model < _WINDOW_SECONDS
        return max(seen, self._can_run or inputs) if is_new else max(seen, 1)

    def seconds(self) -> float | None:
        """Return the seconds left; None while they can't be predicted within a factor of `WITHIN`."""
        names = [name for name, task in self._tasks.items() if task.state not in (DONE, FAILED)]
        if not names or not self._at_once:
            return None
        names.sort(key=lambda name: self._tasks[name].state != RUNNING)
        whole = Range(0.0, 0.0)
        for models in (False, True):  # models start when all inputs are made
            left, slots = (
                [self._left(name) for name in names if bool(MODEL.search(name)) == models],
                self._slots(models),
            )
            low, high = (_last_end([getattr(guess, end) for guess in left], slots) for end in ("low", "high"))
            whole += Range(low, high)
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
        task, activity, share = self._tasks[name], self._activities[name], self._share_seen(name)
        if share >= FEWEST_STEPS:
            seconds = task.seconds * (activity.total - activity.done) / (activity.done - task.first)
            return _around(seconds, STEPS if share >= 1 / 3 else FEW_STEPS)
        return _without(self._usual(name, task.stage), task.stages.get(task.stage, 0.0))

    def _share_seen(self, name: str) -> float:
        activity = self._activities[name]
        return (activity.done - self._tasks[name].first) / activity.total if activity.total else 0.0

    def _later_stages(self, name: str) -> Range:
        stages, stage = self._stages(name), self._tasks[name].stage
        later = stages[stages.index(stage) + 1 :] if stage in stages else () if MODEL.search(name) else stages
        return _sum(self._usual(name, one) for one in later)

    def _stages(self, name: str) -> Sequence[str]:
        return STAGES if MODEL.search(name) else tuple(self._work.get(name, ()))

    def _usual(self, name: str, stage: str) -> Range:
        same, work = self._finished(name), self._work.get(name, {})
        if same and not any(stage in task.stages for task in same):
            return Range(0.0, 0.0)
        if took := _took(same, stage, work):
            return _around(_mean(took), SAME_KIND)
        if stage in work:
            pace = self._pace(stage)
            return UNKNOWN if pace is None else _around(self._start(stage) + pace * work[stage], BY_WORK)
        if work and stage == TRAINING:  # its model is there
            return Range(0.0, 0.0)
        others = self._finished(name, any_kind=True)
        took = _took(others, stage, work)
        if not took and not MODEL.search(name):  # inputs have stages of their own
            took = [sum(task.stages.values()) for task in others]
        if work:
            return _around(_mean(took) if took else 0.0, BY_WORK)
        return _around(_mean(took), OTHER_KIND) if took else UNKNOWN

    def _pace(self, stage: str) -> float | None:
        """Return the seconds of a unit of work in a stage, or in any if none such was measured; None if unknown."""
        if stage in self._paces:
            return self._paces[stage]
        measured = [
            (one, seconds, work)
            for name, stages in self._work.items()
            for one, work in stages.items()
            if name in self._tasks and (seconds := self._measured(name, one)) is not None
        ]
        chosen = [each for each in measured if each[0] == stage] or measured
        work = sum(each[2] for each in chosen)
        self._paces[stage] = sum(each[1] for each in chosen) / work if work else None
        return self._paces[stage]

    def _measured(self, name: str, stage: str) -> float | None:
        """Return the seconds of a whole stage without its start, if it has ended or has shown how fast it is."""
        task = self._tasks[name]
        if stage in task.whole:
            return task.whole[stage]
        has_ended = task.state == DONE or (task.state == RUNNING and task.stage != stage)
        return task.stages.get(stage) if has_ended else None

    def _start(self, stage: str) -> float:
        """Return the mean seconds that a stage took before its first units, such as those of imports; 0 if unknown."""
        starts = [task.starts[stage] for task in self._tasks.values() if stage in task.starts]
        return _mean(starts) if starts else 0.0

    def _whole(self, name: str) -> Range:
        if name in self._work:
            return _sum(self._usual(name, stage) for stage in self._stages(name))
        for tasks, factor in ((self._finished(name), SAME_KIND), (self._finished(name, any_kind=True), OTHER_KIND)):
            if tasks:
                return _around(_mean([sum(task.stages.values()) for task in tasks]), factor)
        return UNKNOWN

    def _finished(self, name: str, *, any_kind: bool = False) -> list[_Followed]:
        is_model, has_work = bool(MODEL.search(name)), name in self._work
        alike = [other for other in self._tasks if bool(MODEL.search(other)) == is_model]
        alike = [other for other in alike if is_model or (other in self._work) == has_work]
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


def _took(tasks: Sequence[_Followed], stage: str, work: Mapping[str, float]) -> list[float]:
    seconds = []
    for task in (one for one in tasks if stage in one.stages):
        start = task.starts.get(stage, 0.0) if stage in task.whole else 0.0
        rest = task.stages[stage] - start
        if stage == TRAINING:  # a resumed one took less than a whole one
            rest = task.whole.get(stage, rest)
        scale = work[stage] / task.work[stage] if work.get(stage) and task.work.get(stage) else 1.0
        seconds.append(start + rest * scale)
    return seconds


def _mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds)


def _sum(ranges: Iterable[Range]) -> Range:
    return sum(ranges, Range(0.0, 0.0))


def _is_narrow(seconds: Range) -> bool:
    return seconds.low > 0 and seconds.high <= seconds.low * WITHIN**2


def _around(seconds: float, factor: float) -> Range:
    return Range(seconds / factor, seconds * factor)


def _without(usual: Range, passed: float) -> Range:
    return Range(max(0.0, usual.low - passed), max(0.0, usual.high - passed))
