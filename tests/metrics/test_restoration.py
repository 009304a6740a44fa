"""G-RIR and RI: 0 for no edit, 1 where all came back, undefined with a reason where nothing was lost."""

from __future__ import annotations

from math import isnan

import pytest

from raysweep.metrics.restoration import (
    NO_PROBLEM,
    NOTHING_LOST,
    UNKNOWN,
    CategoryAccuracy,
    category_accuracy,
    gained,
    restored,
    restored_by_task,
    restored_share,
)


@pytest.mark.parametrize(
    ("original", "perturbed", "edited", "share"),
    [
        (0.9, 0.4, 0.4, 0),  # no edit
        (0.9, 0.4, 0.9, 1),  # as on clean prompts
        (0.9, 0.4, 0.65, 0.5),
        (0.5, 0.25, 0.0, -1),  # harm
        (0.5, 0.25, 0.75, 2),  # more than was lost
    ],
)
def test_the_share_of_what_was_lost_that_came_back(original, perturbed, edited, share):
    assert restored_share(original, perturbed, edited).value == pytest.approx(share)


@pytest.mark.parametrize(("perturbed", "note"), [(0.5, NOTHING_LOST), (0.75, NOTHING_LOST), (float("nan"), UNKNOWN)])
def test_where_nothing_or_nobody_knows_what_was_lost_it_is_undefined_and_no_zero(perturbed, note):
    found = restored_share(0.5, perturbed, 0.9)
    assert isnan(found.value) and found.note == note


def test_the_edited_problem_and_problems_that_one_side_lacks_count_nowhere():
    original = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0}
    perturbed = {"a": 0.0, "b": 0.0, "c": 1.0, "edited": 0.0}
    repaired = {"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0, "edited": 1.0}
    found = category_accuracy(original | {"edited": 1.0}, perturbed, repaired, left_out=["edited"])
    assert found == CategoryAccuracy(3, 1.0, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found.restored.value == pytest.approx(0.5)
    found = category_accuracy({"a": 1.0}, {"b": 1.0}, {"c": 1.0})
    assert found.n == 0 and found.restored.note == NO_PROBLEM


def rates(problems: int, lost: int, back: int) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """A base that passes every clean prompt and loses the first few, of which an edit brings the first ones back."""
    tasks = [str(number) for number in range(problems)]
    perturbed = {task: float(number >= lost) for number, task in enumerate(tasks)}
    return dict.fromkeys(tasks, 1.0), perturbed, perturbed | dict.fromkeys(tasks[:back], 1.0)


def test_by_task_it_is_the_mean_share_of_the_problems_that_broke():
    """By hand: of a and b came back .3/.60001 and 0; c never broke, and d was edited."""
    original = {"a": 0.9, "b": 0.5, "c": 0.4, "d": 1.0}
    perturbed = {"a": 0.3, "b": 0.2, "c": 0.4, "d": 0.0}
    repaired = {"a": 0.6, "b": 0.2, "c": 0.9, "d": 1.0}
    found = restored_by_task(original, perturbed, repaired, ["d"])
    assert (found.value, found.n) == (pytest.approx(0.3 / 0.60001 / 2, abs=1e-12), 2)
    assert found.low < found.value < found.high
    assert isnan(restored_by_task(original, original, repaired).value)


def test_an_interval_from_few_lost_problems_is_said_to_be_rough():
    few, enough = restored(*rates(60, 9, 3)), restored(*rates(60, 10, 3))
    assert few.note.startswith("rough interval: fewer than 10 problems lost") and few.low < few.value < few.high
    assert enough.note == ""
    assert gained(*rates(60, 51, 3)).note == "rough interval: fewer than 10 perturbed prompts passed"
    assert gained(*rates(60, 50, 3)).note == ""


def test_resamples_in_which_nothing_was_lost_are_counted():
    original = {str(number): float(number < 20) for number in range(40)}  # 20 are lost, and 19 won
    perturbed = {str(number): float(20 <= number < 39) for number in range(40)}
    found = restored(original, perturbed, original)
    assert found.note.startswith("rough interval: fewer than 10 problems lost, and it leaves out ")
    assert found.note.endswith(" of 10,000 resamples, without any problems lost")
