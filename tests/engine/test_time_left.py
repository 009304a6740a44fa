"""The estimate of the time left: silent, or right within a factor of 1.5, in simulated sweeps."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from raysweep.engine.progress import AT_ONCE, DONE, MODELS, RUNNING, WAITING, Activity, Work
from raysweep.engine.time_left import WITHIN, TimeLeft, kind_of

LOOK = 0.5
START = {"training": 0.12, "generating": 0.3}
"""The share of a stage's time before its first units are done, such as that of imports."""


@dataclass
class Task:
    """A task with the seconds of its stages; it starts once those in `after` have ended."""

    name: str
    stages: list[tuple[str, float, int]]  # (stage, seconds, units)
    after: tuple[str, ...] = ()
    began: float | None = None
    waited: float = field(default=0.0)

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds, _ in self.stages)

    def activity(self, now: float) -> Activity:
        if self.began is None:
            return Activity(self.name)
        passed = now - self.began
        for stage, seconds, units in self.stages:
            if passed < seconds:
                start = START.get(stage, 0.0) * seconds
                done = int(units * max(0.0, passed - start) / (seconds - start))
                return Activity(self.name, RUNNING, stage, done, units)
            passed -= seconds
        return Activity(self.name, DONE, self.stages[-1][0])


def sweep(models: int, sets: int, noise: float, rng: random.Random) -> list[Task]:
    """A sweep as the quickstart: inputs, base models, then cells of kinds that differ several times over."""

    def about(seconds: float) -> float:
        return seconds * rng.uniform(1 - noise, 1 + noise)

    tasks = [Task(f"test-set-{n}-0123abcd", [("making", about(1), 0)]) for n in range(sets)]
    tasks += [Task(f"base-model-m{m}-0123abcd", [("training", about(90 + 60 * m), 1200)]) for m in range(models)]
    needs = tuple(task.name for task in tasks)  # models start when all inputs are made
    for m in range(models):
        judged = [("generating", about(9), 1200), ("executing", about(3), 800)]
        tasks.append(Task(f"m{m}.base", [("starting", about(1), 0), *judged], needs))
        tasks += [
            Task(f"m{m}.full.C{n}.s42", [("starting", 1.0, 0), ("training", about(20 + 25 * m), 118), *judged], needs)
            for n in range(sets)
        ]
    return tasks


def can_run(at_once: int) -> Work:
    return {AT_ONCE: {MODELS: float(at_once)}}


def run(
    tasks: list[Task], at_once: int, work: Work | None = None, look: float = LOOK
) -> Iterator[tuple[float, float | None]]:
    """Yield (time, told seconds left) at each look, with so many tasks running at once."""
    left, now = TimeLeft([task.name for task in tasks], work), 0.0
    while True:
        activities = {task.name: task.activity(now) for task in tasks}
        done = {name for name, activity in activities.items() if activity.state == DONE}
        running = sum(activity.state == RUNNING for activity in activities.values())
        for task in tasks:
            if task.began is None and running < at_once and done.issuperset(task.after):
                task.began, running = now, running + 1
                activities[task.name] = task.activity(now)
        left.look(activities, now)
        yield now, left.seconds()
        if len(done) == len(tasks):
            return
        now += look


def judged(looks: list[tuple[float, float | None]]) -> tuple[float, list[tuple[float, float]], list[Any]]:
    """Return the end, and what was told up to 10 s before it: all, and what was wrong with the seconds left."""
    end = looks[-1][0]
    told = [(now, seconds) for now, seconds in looks if seconds is not None and end - now > 10]
    wrong = [(now, seconds, end - now) for now, seconds in told if not 1 / WITHIN <= seconds / (end - now) <= WITHIN]
    return end, told, wrong


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "seed"), [(1, 0), (2, 1), (4, 2), (2, 3)])
def test_what_is_told_is_right_within_the_factor(at_once: int, seed: int) -> None:
    looks = list(run(sweep(2, 5, 0.15, random.Random(seed)), at_once))
    _, told, wrong = judged(looks)
    assert len(wrong) <= 0.02 * len(told), wrong[:5]
    assert len(told) > 0.15 * len(looks), "a display that is always silent tells nothing"


def work_of(tasks: list[Task]) -> Work:
    """What the tasks compute, as a plan knows it: a fifth too much of training, a quarter too little of generation."""
    known = {"training": 1.2, "generating": 0.75}
    work = {
        task.name: {stage: 100 * s * known[stage] for stage, s, _ in task.stages if stage in known} for task in tasks
    }
    return {name: stages for name, stages in work.items() if stages}


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "seed"), [(2, 0), (3, 1), (8, 0)])
def test_what_tasks_compute_tells_the_time_left_before_one_of_their_kind_has_ended(at_once: int, seed: int) -> None:
    tasks = sweep(2, 5, 0.15, random.Random(seed))
    looks = list(run(tasks, at_once, {**work_of(tasks), **can_run(at_once)}))
    end, told, wrong = judged(looks)
    assert not wrong, wrong[:5]
    assert told[0][0] < 45
    assert len([now for now, _ in told if now >= 120]) >= 0.95 * len([now for now, _ in looks if 120 <= now < end - 10])


def test_stages_that_pass_between_two_looks_tell_how_long_others_take() -> None:
    judged = [("generating", 12.0, 160), ("executing", 2.0, 0)]
    tasks = [Task("tiny.full.C.s1", [("starting", 1.0, 0), ("training", 14.0, 118), *judged])]
    for number, seconds in enumerate((120.0, 240.0, 360.0)):
        stages = [("starting", 1.0, 0), ("training", 2 * seconds, 900), ("generating", seconds, 160), judged[1]]
        tasks.append(Task(f"big{number}.full.C.s1", stages, ("tiny.full.C.s1",)))
    looks = list(run(tasks, 1, work_of(tasks), look=2.0))
    end = looks[-1][0]
    told = [(now, seconds / (end - now)) for now, seconds in looks if seconds is not None and end - now > 20]
    assert len(told) > 500 and all(1 / WITHIN <= ratio <= WITHIN for _, ratio in told)


@pytest.mark.parametrize("resumed", [50, 80])
def test_what_is_left_of_a_resumed_training_tells_how_long_whole_ones_take(resumed: int) -> None:
    names = [f"m.full.C{number}.s1" for number in range(5)]
    left = TimeLeft(names, {**{name: {"training": 100.0} for name in names}, **can_run(1)})
    for second in range(100 - resumed):
        left.look({names[0]: Activity(names[0], RUNNING, "training", resumed + second, 100)}, second)
    left.look({names[0]: Activity(names[0], DONE, "training")}, 100 - resumed)
    assert left.seconds() == pytest.approx(400, rel=0.1)


def test_short_tasks_beside_the_long_ones_and_a_last_one_alone_leave_the_number_that_runs_at_once() -> None:
    inputs = ("base-model-a-01", "base-model-b-02", "test-set-x-03", "test-set-w-04")
    names = [*inputs, *(f"a.full.C{n}.s1" for n in range(10))]
    work = {name: {"training": 100.0} for name in names if "test-set" not in name}
    left = TimeLeft(names, work)
    for second in range(0, 130):
        activities = [Activity(names[n], RUNNING, "training", min(second + 10 * n, 100), 100) for n in range(2)]
        activities = [Activity(one.id, DONE, "training") if one.done == 100 else one for one in activities]
        activities.append(Activity(names[2], (RUNNING if second < 75 else DONE) if second >= 60 else WAITING, "making"))
        activities.append(Activity(names[3], DONE if second else RUNNING, "making"))
        if second > 100:
            activities += [Activity(names[n], RUNNING, "training", second - 101, 100) for n in (4, 5)]
        for now in (second, second + 0.5):
            left.look({one.id: one for one in activities}, now)
        if second >= 20 and second != 100:
            assert left.seconds() == pytest.approx(600 - second, rel=0.15), second


def test_an_input_in_a_stage_that_no_other_has_hides_no_time_left() -> None:
    base, sets, rows = "base-model-m-0123abcd", "test-set-x-0123abcd", "perturbed-rows-of-x-0123abcd"
    left = TimeLeft([base, sets, rows, "m.base"], {base: {"training": 90.0}, "m.base": {"generating": 9.0}})
    for second in range(60):
        activities = [
            Activity(base, RUNNING, "training", second, 90),
            Activity(sets, DONE if second > 2 else RUNNING, "making"),
            Activity(rows, RUNNING, "perturbing", 0, 640, waits="a free CPU"),
        ]
        left.look({activity.id: activity for activity in activities}, float(second))
    assert left.seconds() == pytest.approx(31 + 9, rel=0.25)


def test_a_wait_that_is_told_late_makes_no_stage_look_slow() -> None:
    base, sets, rows = "base-model-m-0123abcd", "test-set-x-0123abcd", "perturbed-rows-of-x-0123abcd"
    left, told = TimeLeft([base, sets, rows], {base: {"training": 90.0}}), {}
    for second in range(92):
        done, waits = 512 if second < 90 else 1536, "its next block of rows" if 30 <= second < 90 else ""
        activities = [Activity(base, RUNNING, "training", second, 100)]
        activities.append(Activity(sets, DONE if second > 2 else RUNNING, "making"))
        activities.append(Activity(rows, RUNNING, "perturbing", done, 8000, waits=waits))
        left.look({activity.id: activity for activity in activities}, float(second))
        told[second] = left.seconds()
    assert all(seconds == pytest.approx(100 - second, abs=30) for second, seconds in told.items() if seconds)
    assert told[80]


def test_what_is_told_of_a_running_stage_is_right_within_the_factor() -> None:
    name, stages = "base-model-m0-0123abcd", [("making", 3.0, 0), ("training", 90.0, 1200)]
    task, left = Task(name, stages, began=0.0), TimeLeft([name, "m.full.C1.s1"])
    told = []
    for look in range(int(93 / LOOK)):
        now = look * LOOK
        left.look({name: task.activity(now)}, now)
        told += [(93 - now, seconds) for seconds in left.stage_seconds().values()]
        assert left.seconds() is None, "of the other task nothing is known"
    assert len(told) > 100
    assert all(1 / WITHIN <= seconds / real <= WITHIN for real, seconds in told)


def test_nothing_is_told_before_steps_were_measured() -> None:
    looks = itertools.takewhile(lambda look: look[0] < 60, run(sweep(2, 5, 0.15, random.Random(1)), 2))
    assert {seconds for _, seconds in looks} == {None}


def test_a_task_that_waits_does_no_work() -> None:
    left = TimeLeft(["m.full.C1.s1"])
    for second in range(100):
        waits = "a GPU" if 20 <= second < 90 else ""
        done = min(second, 20) if second < 90 else second - 70
        left.look({"m.full.C1.s1": Activity("m.full.C1.s1", RUNNING, "training", done, 40, waits=waits)}, float(second))
    assert left._own_steps("m.full.C1.s1").low * 1.15 == pytest.approx(11, abs=1.5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama.base", ".base"),
        ("llama.full.C1.s42", "llama.full"),
        ("llama-1.5b.full.C-half.s-3", "llama-1.5b.full"),
        ("base-model-llama-0123abcd", "base-model"),
        ("test-set-minicode-C1-0123abcd", "test"),
    ],
)
def test_tasks_of_one_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind
