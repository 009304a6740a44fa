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
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.metrics.base import CellLabels
from raysweep.records import Score
from tests.analysis.exhibits.examples import EXHIBITS, cells, drawing, study

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
    frame = ScoreFrame.of(scores, order)
    return Evidence(frame, answers=Made(texts), by_seed=frame if len(seeds) > 1 and not each_seed else None)


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


BOTH = TEXTS | OTHER_SEED
CASES = {
    "one seed": evidence(),
    "two models whose seeds agree": evidence(seeds=(1, 2), models="mo"),
    "two models whose seeds differ": evidence(BOTH, (1, 2), "mo"),
    "each seed": evidence(BOTH, (1, 2), "mo", each_seed=True),
    "a recipe without its second seed": evidence(BOTH | {"fait 2": ()}, (1, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_mended_and_failed_tasks_and_the_change_of_the_sum_of_columns(case, snapshot):
    drawn = [EXHIBITS[id].draw(CASES[case]) for id in ("fait-mended", "fait-failed", "fait-average")]
    assert "\n".join(map(drawing, drawn)) == snapshot


def test_shares_are_of_the_mended_tasks_and_means_over_the_seeds_that_have_one():
    (one,) = EXHIBITS["fait-mended"].draw(evidence()).tables
    assert cells(one)["m", "fait"] == {"mended (tasks)": "3", "within one block (tasks)": "2", "share (%)": "66.7"}
    wider = EXHIBITS["fait-mended"].model_copy(update={"blocks": 2})
    (table,) = wider.draw(evidence()).tables
    assert cells(table)["m", "fait"] == {"mended (tasks)": "3", "within 2 blocks (tasks)": "3", "share (%)": "100.0"}
    (mended,) = EXHIBITS["fait-mended"].draw(evidence(BOTH, (1, 2))).tables
    share = mended.rows[-1].cells[2]
    assert share.value == pytest.approx(100 * (2 / 3 + 2 / 4) / 2) and (share.spread, share.seeds) == ("SD 11.8", 2)
    assert 0 <= share.low < share.value < share.high <= 100


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


def test_a_seed_without_a_change_is_left_out_and_counted():
    of_seeds = {CellLabels("m", "fait", "a", seed): SumChange(value) for seed, value in [(1, 0.1), (2, math.nan)]}
    change = _over_cells(of_seeds, 2)
    assert (change.value, change.seeds, change.note) == (0.1, 1, "1 of 2 seeds")


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


@pytest.mark.parametrize("found", [study(), Evidence(evidence().frame)], ids=["no such recipes", "no answers"])
def test_a_sweep_without_such_recipes_or_answers_has_nothing_to_show(found: Evidence):
    for id in ("fait-mended", "fait-failed", "fait-average", "fait-side-by-side"):
        with pytest.raises(NothingToDraw):
            EXHIBITS[id].draw(found)
