"""Sums of edits: means over pairs, the edited problem left out on both sides, ended edits no zeros."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.comparisons.estimate import Estimate
from raysweep.analysis.exhibits.edits import BaseRates, rates_change
from raysweep.analysis.exhibits.layer_editing.edit_scores import (
    BEYOND,
    COLUMNS,
    FEWEST_WITHIN,
    UNSHOWN,
    WITHIN,
    within_cell,
)
from raysweep.analysis.exhibits.layer_editing.sums import (
    ALL,
    EditGroup,
    clean_change,
    ends,
    grouped,
    judged_cell,
    over_categories,
    sums_of_edits,
)
from raysweep.stats.few_values import ONE_CLUSTER
from tests.analysis.exhibits.layer_editing.examples import edit_of, ended, made

GROUP = EditGroup("minicode", "llama", "C1", "creme")
FIRST = edit_of("llama", "creme", "C1", 1)


def cell_of(edits, column: str = "restored"):
    return COLUMNS[column].cell(sums_of_edits({GROUP: edits})[GROUP])


def change_of(*seeds):
    return clean_change([edit.clean_rates for edit in edits] for edits in seeds)


def with_restored(lost: int, back: int, number: int = 1):
    """An edit of whose ten problems so many were lost, and so many of these came back."""
    clean = {f"t{n}": 1.0 for n in range(10)}
    perturbed = {task: float(n >= lost) for n, task in enumerate(clean)}
    after = perturbed | {f"t{n}": 1.0 for n in range(back)}
    edit = edit_of("llama", "creme", "C1", number)
    return replace(edit, task_ids=(f"edited/{number}",), base=BaseRates(clean, perturbed), clean=clean, perturbed=after)


def test_the_share_restored_is_the_mean_over_pairs_with_students_interval():
    cell = cell_of([with_restored(8, back, number) for number, back in enumerate((2, 4, 6))])
    assert cell.text == "50.0" and cell.value == pytest.approx(50)
    assert cell.high - 50 == pytest.approx(4.3027 * 25 / math.sqrt(3), rel=1e-4)


def test_what_clean_prompts_gain_is_a_share_of_the_loss_over_the_problems_that_all_have():
    edit = with_restored(8, 4)  # of ten
    assert edit.clean_gain.value == 0
    base = BaseRates({**edit.base.clean, "t8": 0.0, "t9": 0.0}, {**edit.base.perturbed, "t8": 0.0, "t9": 0.0})
    nudged = replace(edit, base=base, perturbed=base.perturbed | {"t8": 1.0, "t9": 1.0})
    assert [nudged.accuracy.restored.value, nudged.clean_gain.value] == pytest.approx([2 / 8, 2 / 8])
    apart = replace(edit, clean={"t0": 0.0, "elsewhere": 1.0}, perturbed={"t0": 0.0, "t1": 1.0})
    assert apart.clean_gain.value == -1
    assert math.isnan(replace(apart, clean={"elsewhere": 1.0}).clean_gain.value)


def test_pairs_of_one_problem_in_several_categories_are_one_cluster():
    alone = [with_restored(8, back, number) for number, back in enumerate((2, 2, 6, 6, 4, 4))]
    twice = [replace(edit, task_ids=(f"edited/{number // 2}",)) for number, edit in enumerate(alone)]
    cell, clustered = cell_of(alone), cell_of(twice)
    assert clustered.value == cell.value and clustered.high - clustered.low > 1.5 * (cell.high - cell.low)
    assert cell_of([replace(edit, task_ids=("a",)) for edit in alone]).note == ONE_CLUSTER


def test_an_edit_whose_base_loses_nothing_is_left_out_with_its_reason_and_is_no_zero():
    cell = cell_of([with_restored(8, 4), with_restored(8, 4), with_restored(0, 0)])
    assert cell.text == "50.0" and cell.note.startswith("without 1 pair: the base model is no worse")
    alone = cell_of([with_restored(0, 0)])
    assert (alone.text, alone.state) == ("–", "undefined") and alone.note.startswith("undefined: the base model is no")


def test_the_edited_problem_counts_nowhere_even_if_it_was_judged():
    task = FIRST.task_id
    judged = replace(FIRST, clean={**FIRST.clean, task: 0.0}, perturbed={**FIRST.perturbed, task: 1.0})
    assert judged.accuracy == FIRST.accuracy and FIRST.accuracy.n == 159
    assert judged.clean_rates == FIRST.clean_rates and task not in FIRST.clean_rates[1]


def test_clean_accuracy_is_compared_problem_by_problem_over_all_edits():
    change = change_of([edit_of("llama", "creme", "C1", number) for number in range(1, 6)])
    assert change.n == 160  # each problem was left out by one edit at most
    assert -0.02 < change.value < 0 and change.low < change.value < change.high
    assert change_of([]) is None and change_of() is None


def test_the_change_on_clean_prompts_is_the_mean_of_the_rows_of_single_edits():
    edits = [edit_of("llama", "creme", "C1", number) for number in (1, 2)]
    few = [
        replace(e, clean={t: r for t, r in e.clean.items() if t in list(e.base.clean)[:9]} | {edits[1].task_id: 0.0})
        for e in edits
    ]
    change, rows = change_of(few), [edit.clean_change.value for edit in few]
    assert change.value == pytest.approx(sum(rows) / 2) and rows[0] != rows[1]
    assert change.low < change.value < change.high and change.n == 10


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(-0.009, 0.004, WITHIN), (-0.05, -0.02, BEYOND), (-0.02, 0.001, UNSHOWN), (0.02, 0.03, BEYOND)],
)
def test_within_one_point_is_said_of_the_whole_interval(low, high, says):
    assert within_cell(Estimate("clean_change", (low + high) / 2, low, high, 160)).text == says


@pytest.mark.parametrize(("problems", "says"), [(FEWEST_WITHIN, WITHIN), (FEWEST_WITHIN - 1, UNSHOWN)])
def test_with_equal_verdicts_the_number_of_problems_decides_what_is_shown(problems, says):
    rates = {f"t{number}": float(number % 3 == 0) for number in range(problems)}
    change = rates_change([rates], [rates])
    within = within_cell(change)
    assert change.value == 0 and change.high == -change.low and within.text == says
    assert within.note == ("" if says == WITHIN else "297 problems are too few to show it")


def test_the_numbers_of_an_edit_leave_its_problem_out_on_both_sides():
    base = BaseRates({"a": 1.0, "b": 1.0, "edited": 1.0}, {"a": 0.0, "b": 0.0, "edited": 0.0})
    own = {"clean": {"a": 1.0, "b": 1.0}, "perturbed": {"a": 1.0, "b": 0.0}}
    edit = replace(FIRST, task_ids=("edited",), base=base, **own)
    assert edit.restored.value == 0.5 and edit.restored.n == 2 and edit.clean_change.value == 0
    judged = replace(edit, clean=own["clean"] | {"edited": 0.0}, perturbed=own["perturbed"] | {"edited": 1.0})
    assert (judged.restored, judged.clean_change) == (edit.restored, edit.clean_change)


def test_ended_edits_are_counted_by_reason_and_others_are_not_done():
    edits = [FIRST, ended(FIRST, "no such pair"), ended(FIRST, "not reproduced: 5 of 5"), ended(FIRST, "")]
    assert ends(edits) == {"no such pair": 1, "not reproduced": 1}
    cell = judged_cell(edits)
    assert cell.text == "1 of 4"
    assert cell.note == "1 edit: no such pair; 1 edit: not reproduced; 1 edit failed or not judged yet"


def test_groups_are_methods_of_a_category_and_categories_add_up():
    groups = grouped(made(["llama"]))
    assert list(groups)[:2] == [EditGroup("minicode", "llama", name, "creme") for name in ("C1", "C2")]
    together = over_categories(groups)
    assert {(group.model, group.method): len(edits) for group, edits in together.items()}["llama", "creme"] == 15
    assert {group.category for group in together} == {ALL}


def test_several_seeds_are_one_method_or_methods_of_their_own():
    other = replace(FIRST, cell=replace(FIRST.cell, seed=43))
    assert [group.method for group in grouped([FIRST, other])] == ["creme · seed 42", "creme · seed 43"]
    assert [group.method for group in grouped([FIRST, other], over_seeds=True)] == ["creme"]


def with_seed(edits, seed: int = 43):
    return [replace(edit, cell=replace(edit.cell, seed=seed)) for edit in edits]


def test_the_same_edits_with_another_seed_say_no_more_and_no_less():
    first = [with_restored(8, back, number) for number, back in enumerate((2, 4, 6))]
    alone, twice = cell_of(first), cell_of([*first, *with_seed(first)])
    assert (twice.value, twice.low, twice.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert (alone.spread, twice.spread, twice.seeds) == ("", "SD 0.0", 2)


@pytest.mark.parametrize("column", ["restored", "relative gain"])
def test_seeds_that_differ_widen_the_interval_of_their_mean(column):
    first = [with_restored(8, back, number) for number, back in enumerate((1, 1, 2, 2))]
    second = with_seed([with_restored(8, back, number) for number, back in enumerate((7, 7, 6, 6))])
    cells = [cell_of(edits, column) for edits in (first, second, [*first, *second])]
    low, high, both = (cell.high - cell.low for cell in cells)
    assert cells[2].value == pytest.approx((cells[0].value + cells[1].value) / 2)
    # problem by problem the seeds cancel: as values of one sample they would have no interval at all
    assert both > 10 * max(low, high) and cells[2].low < cells[0].value < cells[1].value < cells[2].high
    assert not cells[2].note and cells[2].seeds == 2


def test_each_seed_counts_once_whatever_the_number_of_its_edits():
    first = [with_restored(8, back, number) for number, back in enumerate((2, 2, 2, 4, 2, 2))]
    second = with_seed([with_restored(8, back, number) for number, back in enumerate((6, 4))])
    means = [cell_of(edits, column).value for column in ("restored", "repaired") for edits in (first, second)]
    assert cell_of([*first, *second]).value == pytest.approx(sum(means[:2]) / 2)
    assert cell_of([*first, *second], "repaired").value == pytest.approx(sum(means[2:]) / 2)


def test_a_seed_with_one_pair_leaves_the_mean_without_an_interval():
    first = [with_restored(8, back, number) for number, back in enumerate((2, 4, 6))]
    cell = cell_of([*first, *with_seed([with_restored(8, 8)])])
    assert (cell.text, cell.interval, cell.spread) == ("75.0", "", "SD 35.4")
    assert cell.note == "seed 43: no interval from one pair"


def test_the_interval_of_a_clean_change_is_over_problems_and_seeds():
    first = [edit_of("llama", "creme", "C1", number) for number in range(1, 6)]
    again = [replace(edit, cell=replace(edit.cell, seed=43)) for edit in first]
    alone, twice = change_of(first), change_of(first, again)
    assert twice.value == pytest.approx(alone.value)
    assert twice.high - twice.low == pytest.approx(alone.high - alone.low, rel=0.05), "the same seed again says no more"
    worse = [replace(edit, clean=dict.fromkeys(edit.clean, 0.0)) for edit in again]
    apart = change_of(first, worse)
    assert apart.low == -1.0 and apart.high > 0 and apart.n == alone.n
