from __future__ import annotations

import math

import pytest

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import Drawn, Evidence, NothingToDraw
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order, RecipeChoice
from raysweep.analysis.tables.trainings import ReportedTraining, ReportedValidation
from raysweep.metrics.base import CellLabels
from raysweep.records import Score
from tests.analysis.exhibits.examples import EXHIBITS, drawing

ORDER = Order(
    models=("llama",), training_sets=("base", "clean"), problem_sets=("set",), perturbations=("clean", "C1"),
    mixes=("C1",), trained_with={"clean": "clean"}, recipes={"sft": RecipeChoice("sft"), "fait": RecipeChoice("fait")},
)  # fmt: skip
SEEDS = (1, 2, 3)
PROBLEMS, PAIRS = 40, 50


def evidence(passed: dict[str, int], margins: dict[str, float], pairs: dict[str, str] | None = None) -> Evidence:
    """A sweep whose recipes solve the first so many problems, and whose margins are so large, plus one a pair."""
    scores = [
        Score("llama", recipe, "clean", seed, "set", "clean", "pass@1", count / PROBLEMS, 0, 1, PROBLEMS)
        for recipe, count in passed.items()
        for seed in SEEDS
    ]
    rates = {
        CellLabels("llama", recipe, "clean", seed): {
            ("set", test): ProblemRates({str(n): float(n < count + (seed == 2)) for n in range(PROBLEMS)}, {}, 1, 1)
            for test in ("clean", "C1")
        }
        for recipe, count in passed.items()
        for seed in SEEDS
    }
    trainings = [
        ReportedTraining(
            "llama", "clean", recipe, seed, 9, 0, {}, 9, (), 0.5,
            validation=ReportedValidation(
                9, margins=tuple(margin + at for at in range(PAIRS)), pairs=(pairs or {}).get(recipe, "same")
            ),
        )
        for recipe, margin in margins.items()
        for seed in SEEDS
    ]  # fmt: skip
    return Evidence(ScoreFrame.of(scores, ORDER), rates, trainings)


def drawn(found: Evidence) -> Drawn:
    return EXHIBITS["recipes"].draw(found)


CASES = {
    "above on problems and pairs": evidence({"sft": 10, "fait": 30}, {"sft": -10.5, "fait": -4.5}),
    "scores in another order": evidence({"fait": 30, "sft": 10}, {"fait": -4.5, "sft": -10.5}),
    "no difference": evidence({"sft": 10, "fait": 10}, {"sft": 0.5, "fait": 0.5}),
}


@pytest.mark.parametrize("case", CASES)
def test_recipes_stand_beside_the_configs_first_one_on_problems_and_pairs(case, snapshot):
    assert drawing(drawn(CASES[case])) == snapshot


@pytest.mark.parametrize(("margin", "pairs"), [(6, {"fait": "other"}), (math.nan, None)])
def test_other_pairs_and_margins_that_are_no_numbers_are_not_compared(margin, pairs):
    tables = drawn(evidence({"sft": 10, "fait": 30}, {"sft": 0, "fait": margin}, pairs)).tables
    assert [table.label for table in tables] == ["recipes-set"]


def test_one_recipe_has_nothing_to_be_compared_with():
    with pytest.raises(NothingToDraw, match="two recipes of a model"):
        drawn(evidence({"sft": 10}, {"sft": 0}))
