"""The share of the work that is done and the time left, in simulated sweeps and by hand."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from raysweep.engine.progress import DONE, FAILED, RUNNING, Activity, Work
from raysweep.engine.time_left import FEWEST_SECONDS, TimeLeft

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


def run(tasks: list[Task], at_once: int, work: Work) -> list[tuple[float, float | None]]:
    """Return (time, told seconds left) at each look, with so many tasks running at once."""
    left, now, looks = TimeLeft([task.name for task in tasks], work), 0.0, []
    while True:
        activities = {task.name: task.activity(now) for task in tasks}
        done = {name for name, activity in activities.items() if activity.state == DONE}
        running = sum(activity.state == RUNNING for activity in activities.values())
        for task in tasks:
            if task.began is None and running < at_once and done.issuperset(task.after):
                task.began, running = now, running + 1
                activities[task.name] = task.activity(now)
        left.look(activities, now)
        looks.append((now, left.seconds()))
        if len(done) == len(tasks):
            return looks
        now += LOOK


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "seed"), [(1, 0), (2, 1), (4, 2)])
def test_the_time_left_of_a_sweep_is_about_right_as_soon_as_it_is_told(at_once: int, seed: int) -> None:
    tasks = sweep(2, 5, 0.15, random.Random(seed))
    known = {"training": 120.0, "generating": 75.0}  # of a plan: too much of training, too little of generation
    work = {one.name: {stage: known[stage] * s for stage, s, _ in one.stages if stage in known} for one in tasks}
    looks = run(tasks, at_once, {name: stages for name, stages in work.items() if stages})
    end = looks[-1][0]
    # towards the end fewer tasks run at once than before, so that the rest takes longer
    told = [(now, seconds, end - now) for now, seconds in looks if seconds is not None and now < 0.8 * end]
    assert 0.12 * 90 + FEWEST_SECONDS - 3 < told[0][0] < 30, "as soon as a base model has trained for some seconds"
    assert not [each for each in told if not 1 / 2 <= each[1] / each[2] <= 2]


BASE, SET, CELLS = "base-model-m-0123abcd", "test-set-x-0123abcd", [f"m.full.C{number}.s1" for number in range(4)]


def test_the_rest_takes_as_long_as_the_plans_work_at_the_measured_pace() -> None:
    left = TimeLeft([BASE, *CELLS], {BASE: {"training": 100.0}, **{name: {"generating": 50.0} for name in CELLS}})
    for second in range(51):
        left.look({BASE: Activity(BASE, RUNNING, "training", second, 100)}, float(second))
    judging = 4 * 0.05 * 50  # next to nothing, of which a plan knows nothing
    assert left.seconds() == pytest.approx(50 + 4 * 50 + judging, rel=0.05)
    assert left.share() == pytest.approx(50 / (100 + 4 * 50 + judging))


def test_nothing_is_told_before_a_model_has_computed_for_some_seconds() -> None:
    left = TimeLeft([BASE, SET, *CELLS])
    for second in range(30):
        made = Activity(SET, RUNNING, "making", second, 60)
        left.look({SET: made, BASE: Activity(BASE, RUNNING, "training", 0, 100)}, float(second))
        assert left.seconds() is None
    assert left.stage_seconds() == {SET: pytest.approx(31)}
    for second in range(30, 40):
        left.look({BASE: Activity(BASE, RUNNING, "training", second - 29, 100)}, float(second))
        assert (left.seconds() is None) == (second < 30 + 1 + FEWEST_SECONDS)


def test_prompts_that_end_long_before_the_others_of_their_batch_tell_no_time() -> None:
    """Two of 320 in five seconds would make 26 minutes; all but a few end together after 9 s."""
    left = TimeLeft(["m.base"])
    for second in range(16):
        done = 0 if second < 1 else 1 if second < 6 else 2 if second < 10 else 60 * (second - 9)
        left.look({"m.base": Activity("m.base", RUNNING, "generating", done, 320)}, float(second))
        for told in (left.seconds(), left.stage_seconds().get("m.base")):
            assert told is None if second < 12 else told is not None and told < 60


def test_a_few_large_units_tell_their_time_after_the_second() -> None:
    left = TimeLeft(["m.base"])
    for second in range(0, 200, 10):
        left.look({"m.base": Activity("m.base", RUNNING, "generating", second // 60, 5)}, float(second))
        told = left.stage_seconds().get("m.base")
        assert told is None if second < 180 else told is not None and 90 <= told <= 160


def test_steps_from_before_a_resumed_training_and_failed_cells_are_not_taken_for_fast_ones() -> None:
    left = TimeLeft(CELLS, {name: {"training": 100.0} for name in CELLS})
    for second in range(21):
        activities = [Activity(CELLS[0], RUNNING, "training", 60 + second if second > 2 else 0, 100)]
        activities += [Activity(CELLS[1], FAILED)] * (second > 10)
        left.look({activity.id: activity for activity in activities}, float(second))
    assert left.seconds() == pytest.approx(20 + 2 * 100, rel=0.15)


def test_models_that_were_there_and_usual_shares_of_work_count_where_no_plan_knows_more() -> None:
    activities = [
        Activity("m.base", DONE),
        Activity("m.full.C1.s1", RUNNING, "training", 5, 10),
        Activity("m.full.C2.s1", FAILED),
        Activity(SET, DONE),
    ]
    for cached in (0, 3):
        left = TimeLeft([activity.id for activity in activities], cached_cells=cached)
        left.look({activity.id: activity for activity in activities}, 0.0)
        assert left.share() == pytest.approx((0.2 + 0.4 + 1 + 0.05 + cached) / (0.2 + 1 + 1 + 0.05 + cached))


def test_how_long_a_task_is_silent_counts_from_when_its_last_report_was_seen_whatever_its_clock_says() -> None:
    left = TimeLeft(["a", "b"])
    for now, a, b in ((0.0, 5e9, 7.0), (10.0, 5e9, 8.0), (40.0, 5e9, 8.0)):
        left.look({"a": Activity("a", RUNNING, updated=a), "b": Activity("b", RUNNING, updated=b)}, now)
    assert left.silent_seconds() == {"a": 40.0, "b": 30.0}
    left.look({"a": Activity("a", RUNNING, waits="a GPU", updated=5e9), "b": Activity("b", DONE, updated=8.0)}, 50.0)
    assert left.silent_seconds() == {}
