"""What the study of FAIT says in words, beside a sweep's numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from raysweep.analysis.comparisons.base import TestSetName
from raysweep.analysis.comparisons.sums import PartRates
from raysweep.analysis.exhibits.answers import Answer, Answers
from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order, RecipeChoice
from raysweep.metrics.base import CellLabels
from raysweep.records import Score
from tests.analysis.exhibits.examples import EXHIBITS, cells, passing
from tests.analysis.exhibits.recipes.test_mended import FAR, NEAR, RIGHT, answer

RECIPES = {
    "sft": RecipeChoice("sft", {}),
    "dpo": RecipeChoice("dpo", {}),
    "fait": RecipeChoice("fait", {"alpha": 2}),
    **{f"fixed-{weight}": RecipeChoice("fixed", {"weight": weight}) for weight in (0, 2, 3)},
    **{f"alpha-{alpha}": RecipeChoice("fait", {"alpha": alpha}) for alpha in (1, 3)},
}
PASSED = {
    "none": 8, "sft": 10, "dpo": 7, "fait": 16,
    "fixed-0": 9, "fixed-2": 14, "fixed-3": 12, "alpha-1": 10, "alpha-3": 15,
}  # fmt: skip
"""How many of 20 problems pass."""


class Rated(Answers):
    """So many problems of each set pass, by recipe; of HumanEval+ there are texts too."""

    def __init__(self, passed: Mapping[str, int], texts: Mapping[str, Sequence[str]], hard: int) -> None:
        self.passed, self.texts, self.hard = passed, texts, hard

    def rates(self, cell: CellLabels, test_set: TestSetName) -> PartRates:
        more = self.hard if test_set[0] == "bigcodebench-hard" and cell.recipe == "fait" else 0
        return {"": passing(self.passed[cell.recipe] + more)}

    def of(self, cell: CellLabels, test_set: TestSetName) -> Sequence[Answer]:
        return [answer(f"t{number}", text) for number, text in enumerate(self.texts.get(cell.recipe, ()))]

    def references(self, problem_set: str) -> Mapping[str, str]:
        return {f"t{number}": RIGHT for number in range(9)}

    def prompts(self, test_set: TestSetName) -> Mapping[str, str]:
        return {}


def evidence(
    model: str,
    passed: Mapping[str, int] = PASSED,
    hard: int = 0,
    sets: Sequence[str] = ("humaneval-plus",),
    **texts: list[str],
) -> Evidence:
    scores = [
        Score(
            model,
            recipe,
            "base" if recipe == "none" else "evol",
            1,
            name,
            "clean",
            "pass@1",
            0.5,
            math.nan,
            math.nan,
            20,
        )
        for recipe in passed
        for name in sets
    ]
    order = Order(training_sets=("base", "evol"), trained_with={"evol": "clean"}, recipes=RECIPES)
    return Evidence(ScoreFrame.of(scores, order), answers=Rated(passed, texts, hard))


def said(of: Evidence) -> dict[str, tuple[str, str]]:
    (table,) = EXHIBITS["fait-claims"].draw(of).tables
    return {labels[0]: (row["this sweep"], row["agrees"]) for labels, row in cells(table).items()}


def test_each_claim_in_words_stands_beside_its_cases():
    found = said(evidence("m"))
    assert found == {
        "a weight of 2 is the best of the fixed weights": (
            "higher in 3 of 3 cases, shown in 2; the reverse shown in 0", "yes",
        ),
        "dynamic weights (fait) are above the best fixed weight": (
            "higher in 1 of 1 case, shown in 0; the reverse shown in 0", "yes",
        ),
        "an alpha of 2 is the best": ("higher in 2 of 2 cases, shown in 1; the reverse shown in 0", "yes"),
        "every alpha of the ablation is at least plain fine-tuning (sft)": (
            "at least as high in 3 of 3 cases, shown in 2; the reverse shown in 0", "yes",
        ),
        "DPO falls below the model before fine-tuning": ("1 of 1 case, shown in 0", "yes"),
    }  # fmt: skip
    other = said(evidence("m", PASSED | {"fixed-2": 5, "dpo": 9, "alpha-1": 9}))
    assert [agrees for _, agrees in other.values()] == ["no", "yes", "yes", "not shown", "not shown"]
    assert other["a weight of 2 is the best of the fixed weights"][0].endswith("the reverse shown in 3")


@pytest.mark.parametrize(
    ("hard", "words", "agrees"),
    [(2, "1 of 1 case (m +100.0 % and +125.0 %)", "yes"), (-2, "0 of 1 case (m +100.0 % and +75.0 %)", "no")],
)
def test_the_gain_on_hard_problems_stands_beside_that_on_all(hard, words, agrees):
    found = said(evidence("m", {"none": 8, "fait": 16}, hard, ("bigcodebench-full", "bigcodebench-hard")))
    assert found["hard problems gain more"] == (words, agrees)


def test_a_tie_of_all_problems_is_not_shown():
    found = said(evidence("m", {"none": 8, "fait": 10, "fixed-2": 10, "fixed-3": 10}))
    assert {agrees for _, agrees in found.values()} == {"not shown"}


def test_a_baseline_that_passes_nothing_has_no_relative_change():
    found = said(evidence("m", {"none": 0, "dpo": 0, "fait": 5, "fixed-2": 4, "fixed-3": 0}))
    why = "the baseline passes nothing, so that it has no relative change"
    assert found == {
        "a weight of 2 is the best of the fixed weights": (f"undefined in 1 case: {why}", "–"),
        "dynamic weights (fait) are above the best fixed weight": (
            "higher in 1 of 1 case, shown in 0; the reverse shown in 0", "yes",
        ),
        "DPO falls below the model before fine-tuning": (f"undefined in 1 case: {why}", "–"),
    }  # fmt: skip
    of_sets = ("bigcodebench-full", "bigcodebench-hard")
    hard = said(evidence("m", {"none": 0, "fait": 3}, sets=of_sets))
    assert hard == {"hard problems gain more": (f"undefined in 1 case: {why}", "–")}


def test_shares_of_error_segments_stand_beside_those_of_the_studys_models():
    of = {"none": 8, "fait": 16}
    texts = {"none": [NEAR, NEAR, FAR, RIGHT, FAR], "fait": [RIGHT, RIGHT, RIGHT, RIGHT, FAR]}
    found = said(evidence("semcoder-s", of, **texts))
    claim = "tasks that fait mended within an error-sensitive segment: semcoder-s"
    assert found[claim] == ("66.7 % of 3 tasks of humaneval-plus", "yes")
    failed = said(evidence("llama-3.1-70b-instruct", {"none": 8}, none=[NEAR, FAR, FAR, FAR, RIGHT]))
    assert failed == {
        "failures within an error-sensitive segment: llama-3.1-70b-instruct": (
            "25.0 % of 4 tasks of humaneval-plus", "yes",
        )
    }  # fmt: skip


def test_a_sweep_without_any_of_it_has_no_such_table():
    with pytest.raises(NothingToDraw, match="nothing that the claims of the FAIT study are about"):
        said(evidence("m", {"none": 8, "sft": 9}))
