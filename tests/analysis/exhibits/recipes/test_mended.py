"""What training mended: blocks of a difference, mended and failed tasks, sums of columns, texts side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from raysweep.analysis.comparisons.base import TestSetName
from raysweep.analysis.comparisons.sums import PartRates, SumChange
from raysweep.analysis.exhibits.answers import Answer, Answers
from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.exhibits.recipes.mended import blocks, failed_tasks, mended_tasks
from raysweep.analysis.exhibits.recipes.sum_changes import _over_cells
from raysweep.analysis.tables.score_book import Order, ScoreBook
from raysweep.metrics.base import CellLabels
from raysweep.records import Score
from tests.analysis.exhibits.examples import EXHIBITS, cells, study

RIGHT = "    total = 0\n    for x in xs:\n        total += x\n    return total\n"
NEAR = RIGHT.replace("+=", "-=")
FAR = "    total = 1\n    for x in xs:\n        total += x\n    return -total\n"


def answer(task: str, text: str, sample: int = 0, *, passed: bool | None = None, program: bool = False) -> Answer:
    verdict = text == RIGHT if passed is None else passed
    return Answer(task, sample, text, verdict, "passed" if verdict else "failed", program)


class Made(Answers):
    """Answers by recipe, or by recipe and seed; task t of each is right or not as its text says."""

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self.texts = texts

    def of(self, cell: CellLabels, test_set: TestSetName) -> Sequence[Answer]:
        texts = self.texts.get(f"{cell.recipe} {cell.seed}", self.texts.get(cell.recipe, ()))
        return [answer(f"t{number}", text) for number, text in enumerate(texts)]

    def rates(self, cell: CellLabels, test_set: TestSetName) -> PartRates:
        passed = {one.task_id: float(one.passed) for one in self.of(cell, test_set)}
        return {"base": {task: 1.0 for task in passed}, "": passed} if passed else {}

    def prompts(self, test_set: TestSetName) -> Mapping[str, str]:
        return {"t0": "def f(xs):\n"}

    def references(self, problem_set: str) -> Mapping[str, str]:
        return {f"t{number}": RIGHT for number in range(9)}


TEXTS = {
    "none": (NEAR, NEAR, FAR, RIGHT, FAR, NEAR),
    "sft": (RIGHT, NEAR, FAR, RIGHT, RIGHT, NEAR),
    "fait": (RIGHT, RIGHT, RIGHT, NEAR, FAR, NEAR),
}


OTHER_SEED = {"sft 2": TEXTS["none"], "fait 2": (RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, NEAR)}
"""Beside `TEXTS`: what the second seed's models answer."""


def evidence(
    texts: Mapping[str, Sequence[str]] = TEXTS,
    seeds: Sequence[int] = (1,),
    models: str = "m",
    *,
    each_seed: bool = False,
) -> Evidence:
    """Return a sweep's evidence as exhibits read it that pool several seeds themselves."""
    labels = [
        (model, recipe, "base" if recipe == "none" else "evol", seed)
        for model in models for seed in seeds for recipe in texts
        if " " not in recipe and (recipe != "none" or seed == seeds[0])
    ]  # fmt: skip
    scores = [Score(*one, "minicode", "clean", "pass@1", 0.5, math.nan, math.nan, 6) for one in labels]
    order = Order(training_sets=("base", "evol"), trained_with={"evol": "clean"})
    book = ScoreBook.of(scores, order)
    return Evidence(book, answers=Made(texts), by_seed=book if len(seeds) > 1 and not each_seed else None)


@pytest.mark.parametrize(
    ("first", "second", "number"),
    [
        (RIGHT, RIGHT, 0),
        (NEAR, RIGHT, 1),
        (FAR, RIGHT, 2),
        (RIGHT + "\n\n", RIGHT.replace("\n", "  \r\n"), 0),
        ("", RIGHT, 1),
        ("    return 1\n", "    # it is\n    return 1\n", 1),
    ],
)
def test_blocks_are_the_places_in_which_lines_differ(first: str, second: str, number: int):
    assert blocks(first, second) == blocks(second, first) == number


def test_a_mended_task_fails_before_and_passes_after_in_the_first_completion():
    before = [answer("a", NEAR), answer("b", RIGHT), answer("c", FAR), answer("d", NEAR), answer("a", RIGHT, 1)]
    after = [answer("a", RIGHT), answer("b", RIGHT), answer("c", NEAR), answer("d", NEAR), answer("d", RIGHT, 1)]
    assert [(pair.task_id, pair.failing, pair.passing) for pair in mended_tasks(before, after)] == [("a", NEAR, RIGHT)]
    unjudged = [Answer("a", 0, NEAR, None, "harness_error")]
    assert not mended_tasks(unjudged, after) and not mended_tasks(before, unjudged)


def test_a_failure_stands_beside_its_nearest_passing_sample_else_the_reference():
    other = "    return sum(xs)\n"
    answers = [
        answer("a", NEAR), answer("a", other, 1, passed=True), answer("a", RIGHT, 2), answer("b", FAR),
        answer("c", f"def f(xs):\n{NEAR}", passed=False, program=True), answer("d", NEAR), answer("e", RIGHT),
    ]  # fmt: skip
    pairs = failed_tasks(answers, dict.fromkeys("abc", RIGHT), {"c": "def f(xs):\n"})
    assert [(pair.task_id, pair.passing, pair.own) for pair in pairs] == [
        ("a", RIGHT, True), ("b", RIGHT, False), ("c", f"def f(xs):\n{RIGHT}", False),
    ]  # fmt: skip
    assert [blocks(pair.failing, pair.passing) for pair in pairs] == [1, 2, 1]


def test_the_tables_count_tasks_and_give_the_share_in_one_block_with_its_interval():
    (table,) = EXHIBITS["fait-mended"].draw(evidence()).tables
    assert cells(table) == {
        ("m", "sft"): {"mended (tasks)": "2", "within one block (tasks)": "1", "share (%)": "50.0"},
        ("m", "fait"): {"mended (tasks)": "3", "within one block (tasks)": "2", "share (%)": "66.7"},
    }
    share = table.rows[1].cells[2]
    assert 0 < share.low < share.value < share.high <= 100 and share.n == 3
    (failed,) = EXHIBITS["fait-failed"].draw(evidence()).tables
    assert cells(failed)["m", "base"] == {
        "failed (tasks)": "5", "within one block (tasks)": "3", "share (%)": "60.0",
        "beside the reference (tasks)": "5",
    }  # fmt: skip
    assert [row.labels for row in failed.rows] == [("m", "base"), ("m", "sft"), ("m", "fait")]


def test_more_blocks_may_count():
    wider = EXHIBITS["fait-mended"].model_copy(update={"blocks": 2})
    (table,) = wider.draw(evidence()).tables
    assert cells(table)["m", "fait"] == {"mended (tasks)": "3", "within 2 blocks (tasks)": "3", "share (%)": "100.0"}


def test_the_average_is_the_change_of_the_sum_of_the_columns_over_models_and_seeds():
    (table,) = EXHIBITS["fait-average"].draw(evidence(seeds=(1, 2), models="mo")).tables
    found = cells(table)
    row = found["fait", "base", "m"]  # sums of the base part (all pass) and the whole tests
    assert (row["baseline's sum (%)"], row["its sum (%)"]) == (f"{100 * 7 / 6:.1f}", f"{100 * 9 / 6:.1f}")
    assert row["relative change (%)"] == "+28.6" and row["reads"] in ("higher", "no clear difference")
    assert found["fait", "base", "mean of 2 models"]["relative change (%)"] == "+28.6"
    assert found["fait", "sft", "m"]["relative change (%)"] == "+0.0".lstrip("+")
    assert ("fait", "dpo", "m") not in found and "minicode (base tests), minicode" in table.caption
    assert table.rows[0].cells[2].spread == "SD 0.0" and table.problems == "n = 6 problems, 2 training seeds"


def test_the_average_of_several_seeds_has_their_spread_and_the_base_none():
    (table,) = EXHIBITS["fait-average"].draw(evidence(TEXTS | OTHER_SEED, (1, 2), "mo")).tables
    rows = {row.labels: row.cells for row in table.rows}
    base, own, change, reads = rows["fait", "base", "m"]  # the sums are 7 / 6, and 9 / 6 and 11 / 6
    assert (base.text, base.spread, base.seeds) == ("116.7", "", 0)
    assert (own.text, own.spread, own.seeds) == ("166.7", "SD 23.6", 2)
    assert change.value == pytest.approx(100 * 3 / 7) and change.sd == pytest.approx(100 * 2 / 7 / math.sqrt(2))
    assert reads.text == "no clear difference", "two seeds that differ say little"
    of_both = rows["fait", "base", "mean of 2 models"][2]
    assert (of_both.value, of_both.sd) == (pytest.approx(change.value), pytest.approx(change.sd))
    assert change.low < 0 < change.value < change.high


def test_the_average_of_each_seed_has_a_row_on_demand():
    shown = evidence(TEXTS | OTHER_SEED, (1, 2), "mo", each_seed=True)
    (table,) = EXHIBITS["fait-average"].draw(shown).tables
    rows = [row for row in table.rows if row.labels[:2] == ("fait", "base")]
    labels = ["m · seed 1", "o · seed 1", "mean of 2 models · seed 1"]
    assert [row.labels[2] for row in rows] == [*labels, *(label.replace("1", "2") for label in labels)]
    assert [row.cells[2].text for row in rows] == ["+28.6"] * 3 + ["+57.1"] * 3
    assert not any(cell.seeds for row in rows for cell in row.cells)


def test_a_seed_without_a_change_is_left_out_and_counted():
    of_seeds = {CellLabels("m", "fait", "a", seed): SumChange(value) for seed, value in [(1, 0.1), (2, math.nan)]}
    change = _over_cells(of_seeds, 2)
    assert (change.value, change.seeds, change.note) == (0.1, 1, "1 of 2 seeds")


def test_a_base_model_is_one_row_of_failures_whatever_the_seeds():
    (failed,) = EXHIBITS["fait-failed"].draw(evidence(seeds=(1, 2), each_seed=True)).tables
    labels = [row.labels for row in failed.rows]
    assert labels[0] == ("m", "base") and [name for _, name in labels].count("base") == 1
    assert ("m · seed 1", "sft") in labels and ("m · seed 2", "fait") in labels


def test_tasks_of_several_seeds_are_means_with_the_spread_between_them():
    shown = evidence(TEXTS | OTHER_SEED, (1, 2))
    (mended,) = EXHIBITS["fait-mended"].draw(shown).tables
    rows = {row.labels: row.cells for row in mended.rows}
    tasks, near, share = rows["m", "fait"]
    assert (tasks.text, tasks.spread, near.text, near.spread) == ("3.5", "SD 0.7", "2.0", "SD 0.0")
    assert share.value == pytest.approx(100 * (2 / 3 + 2 / 4) / 2) and (share.spread, share.seeds) == ("SD 11.8", 2)
    assert 0 <= share.low < share.value < share.high <= 100
    _, _, of_one = rows["m", "sft"]  # the second seed mends nothing, so it has no share
    assert (rows["m", "sft"][0].text, of_one.text, of_one.seeds, of_one.note) == ("1.0", "50.0", 1, "1 of 2 seeds")
    (failed,) = EXHIBITS["fait-failed"].draw(shown).tables
    assert [row.labels for row in failed.rows] == [("m", "base"), ("m", "sft"), ("m", "fait")]
    base, _, fait = (row.cells[0] for row in failed.rows)
    assert (base.text, base.seeds, fait.text, fait.spread) == ("5", 0, "2.0", "SD 1.4")


def test_counts_and_sums_of_fewer_seeds_say_so():
    shown = evidence(TEXTS | OTHER_SEED | {"fait 2": ()}, (1, 2))
    (mended,) = EXHIBITS["fait-mended"].draw(shown).tables
    rows = {row.labels: row.cells for row in mended.rows}
    assert [cell.note for cell in rows["m", "fait"][:2]] == ["1 of 2 seeds"] * 2 and not rows["m", "sft"][0].note
    assert [cell.seeds for cell in rows["m", "fait"]] == [1, 1, 1]
    (average,) = EXHIBITS["fait-average"].draw(shown).tables
    own = next(row for row in average.rows if row.labels == ("fait", "base", "m")).cells[1]
    assert (own.text, own.note, own.seeds) == ("150.0", "1 of 2 seeds", 1)


def test_noise_between_seeds_is_that_of_their_means_over_training_sets():
    def noted(*values: float) -> str:  # of two sets, for each seed
        of = zip([("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 3)], values, strict=False)
        return _over_cells({CellLabels("m", "fait", *one): SumChange(value) for one, value in of}, 3).note

    assert "within noise" not in noted(0.10, 0.30, 0.11, 0.31, 0.10, 0.30)  # the sets differ, the seeds don't
    assert "within noise" in noted(0.10, 0.10, -0.10, -0.10, 0.02, 0.02)


def test_side_by_side_come_first_the_tasks_that_only_the_last_recipe_passes():
    tasks = EXHIBITS["fait-side-by-side"].draw(evidence(seeds=(1, 2))).side_by_side
    assert [task.task_id for task in tasks] == ["t1", "t2", "t0"]
    first = tasks[0]
    assert [(one.label, one.passed, one.text) for one in first.answers] == [
        ("before fine-tuning", False, NEAR), ("sft", False, NEAR), ("fait", True, RIGHT),
    ]  # fmt: skip
    assert first.label == "m · seed 1 · minicode · trained on evol" and tasks[2].prompt == "def f(xs):\n"


@pytest.mark.parametrize("id", ["fait-mended", "fait-failed", "fait-average", "fait-side-by-side"])
def test_a_sweep_without_such_recipes_or_answers_has_nothing_to_show(id: str):
    with pytest.raises(NothingToDraw):
        EXHIBITS[id].draw(study())
    with pytest.raises(NothingToDraw):
        EXHIBITS[id].draw(Evidence(evidence().book))
