"""Sums of edits: means over pairs, the edited problem left out on both sides, ended edits no zeros."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.edits import BaseRates
from raysweep.analysis.exhibits.layer_editing.sums import (
    ALL,
    BEYOND,
    UNSHOWN,
    WITHIN,
    clean_change,
    closeness,
    ends,
    grouped,
    judged_cell,
    over_categories,
    restored_cell,
)
from raysweep.stats.resampling import DifferenceOfMeans
from tests.analysis.exhibits.layer_editing.examples import edit_of, ended, made

FIRST = edit_of("llama", "creme", "C1", 1)


def with_restored(lost: int, back: int, number: int = 1):
    """An edit of whose ten problems so many were lost, and so many of these came back."""
    clean = {f"t{n}": 1.0 for n in range(10)}
    perturbed = {task: float(n >= lost) for n, task in enumerate(clean)}
    after = perturbed | {f"t{n}": 1.0 for n in range(back)}
    edit = edit_of("llama", "creme", "C1", number)
    return replace(edit, task_id="", base=BaseRates(clean, perturbed), clean=clean, perturbed=after)


def test_the_share_restored_is_the_mean_over_pairs_with_students_interval():
    cell = restored_cell([with_restored(8, 2), with_restored(8, 4), with_restored(8, 6)])
    assert cell.text == "50.0" and cell.value == pytest.approx(50)
    assert cell.high - 50 == pytest.approx(4.3027 * 25 / math.sqrt(3), rel=1e-4)


def test_an_edit_whose_base_loses_nothing_is_left_out_with_its_reason_and_is_no_zero():
    cell = restored_cell([with_restored(8, 4), with_restored(8, 4), with_restored(0, 0)])
    assert cell.text == "50.0" and cell.note.startswith("without 1 pair: the base model is no worse")
    alone = restored_cell([with_restored(0, 0)])
    assert (alone.text, alone.state) == ("–", "undefined") and alone.note.startswith("undefined: the base model is no")


def test_the_edited_problem_counts_nowhere_even_if_it_was_judged():
    task = FIRST.task_id
    judged = replace(FIRST, clean={**FIRST.clean, task: 0.0}, perturbed={**FIRST.perturbed, task: 1.0})
    assert judged.accuracy == FIRST.accuracy and FIRST.accuracy.n == 159
    assert judged.clean_rates == FIRST.clean_rates and task not in FIRST.clean_rates[1]


def test_clean_accuracy_is_compared_problem_by_problem_over_all_edits():
    change = clean_change([edit_of("llama", "creme", "C1", number) for number in range(1, 6)])
    assert change.n == 160  # each problem was left out by one edit at most
    assert -0.02 < change.difference < 0 and change.low < change.difference < change.high
    assert clean_change([]) is None


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(-0.009, 0.004, WITHIN), (-0.05, -0.02, BEYOND), (-0.02, 0.001, UNSHOWN), (0.02, 0.03, BEYOND)],
)
def test_within_one_point_is_said_of_the_whole_interval(low, high, says):
    assert closeness(DifferenceOfMeans(160, 320, (low + high) / 2, low, high, 1.0, 0.001)) == says


def test_ended_edits_are_counted_by_reason_and_others_are_not_done():
    edits = [FIRST, ended(FIRST, "no such pair"), ended(FIRST, "not reproduced: 5 of 5"), ended(FIRST, "")]
    assert ends(edits) == {"no such pair": 1, "not reproduced": 1}
    cell = judged_cell(edits)
    assert cell.text == "1 of 4"
    assert cell.note == "1 edit: no such pair; 1 edit: not reproduced; 1 edit failed or not judged yet"


def test_groups_are_methods_of_a_category_and_categories_add_up():
    groups = grouped(made(["llama"]))
    assert [group.labels for group in groups][:2] == [("llama", "C1", "creme"), ("llama", "C2", "creme")]
    together = over_categories(groups)
    assert {group.labels: len(edits) for group, edits in together.items()}["llama", "creme"] == 15
    assert {group.category for group in together} == {ALL}


def test_several_seeds_are_methods_of_their_own():
    other = replace(FIRST, cell=replace(FIRST.cell, seed=43))
    assert [group.method for group in grouped([FIRST, other])] == ["creme · seed 42", "creme · seed 43"]
