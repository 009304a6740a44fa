"""Curves along an argument of an objective: its points are recipes, found by their objective and not by their names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.exhibits.curves.settings import argument_curve
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order, RecipeChoice
from raysweep.metrics.base import CellLabels
from raysweep.records import Score
from tests.analysis.exhibits.examples import EXHIBITS, drawing

RECIPES = {
    "sft": RecipeChoice("sft", {"reduction": "per_token"}, "lr 1"),
    "half": RecipeChoice("fixed", {"weight": 0.5}, "lr 1"),
    "twice": RecipeChoice("fixed", {"weight": 2}, "lr 1"),
    "five": RecipeChoice("fixed", {"weight": 5.0}, "lr 1"),
    "other-lr": RecipeChoice("fixed", {"weight": 3}, "lr 9"),
    "fait": RecipeChoice("fait", {}, "lr 1"),
    "fait-line": RecipeChoice("fait", {"alpha": 2, "granularity": "line"}, "lr 1"),
    "alpha-3": RecipeChoice("fait", {"alpha": 3}, "lr 1"),
    "alpha-1": RecipeChoice("fait", {"alpha": 1}, "lr 1"),
}
PASSED = {"none": 8, "sft": 10, "half": 9, "twice": 14, "five": 11, "other-lr": 2, "fait": 15, "alpha-3": 13,
          "alpha-1": 12, "fait-line": 3}  # fmt: skip
ORDER = Order(models=("m",), training_sets=("base", "evol", "typos"), problem_sets=("humaneval-plus",),
              perturbations=("clean",), trained_with={"evol": "clean", "typos": "C"}, recipes=RECIPES)  # fmt: skip


def evidence(seeds: Sequence[int] = (1,), sets: Sequence[str] = ("evol",), order: Order = ORDER) -> Evidence:
    """A model whose recipes pass so many of 20 problems; problem t passes if t is below the number."""
    scores, rates = [], {}
    for seed in seeds:
        for recipe, passed in PASSED.items():
            for trained in ["base"] if recipe == "none" else sets:
                cell = ("m", recipe, trained, seed)
                for metric, more in (("pass@1", 0), ("pass@1 base", 2)):
                    value = (passed + more) / 20
                    scores.append(Score(*cell, "humaneval-plus", "clean", metric, value, math.nan, math.nan, 20))
                passing = {f"t{t:02}": float(t < passed) for t in range(20)}
                rates[CellLabels(*cell)] = {("humaneval-plus", "clean"): ProblemRates(passing, {}, 1, 1)}
    return Evidence(ScoreFrame.of(scores, order), rates)


def test_settings_are_the_recipes_of_the_objective_that_differ_in_the_argument_only():
    weight, alpha = (argument_curve(ORDER, EXHIBITS[id].argument, "evol") for id in ("fait-figure-6", "fait-figure-7"))
    assert [(s.value, s.recipe) for s in weight.settings] == [(0.5, "half"), (1, "sft"), (2, "twice"), (5, "five")]
    assert [(s.value, s.recipe) for s in alpha.settings] == [(1, "alpha-1"), (2, "fait"), (3, "alpha-3")]


@pytest.mark.parametrize("id", ["fait-figure-6", "fait-figure-7"])
def test_the_figure_has_a_point_for_each_recipe_and_level_lines_for_those_beside_it(id, snapshot):
    drawn = EXHIBITS[id].draw(evidence())
    assert drawing(drawn) == snapshot
    assert ElementTree.fromstring(drawn.figures[0].render()) is not None


def test_each_seed_has_a_panel_and_each_training_set_a_figure():
    (figure,) = EXHIBITS["fait-figure-6"].draw(evidence(seeds=(1, 2))).figures
    assert [panel.title for panel in figure.panels] == ["m · seed 1", "m · seed 2"]
    both = EXHIBITS["fait-figure-6"].model_copy(update={"training_sets": ["clean", "C"]})
    drawn = both.draw(evidence(sets=("evol", "typos")))
    assert [figure.label for figure in drawn.figures] == [
        "fait-figure-6-evol-humaneval-plus", "fait-figure-6-typos-humaneval-plus",
    ]  # fmt: skip
    assert list(both.reads(evidence().frame)) == [("evol", "clean"), ("typos", "clean")]


@pytest.mark.parametrize("recipes", [{}, {"twice": RECIPES["twice"]}])
def test_one_value_is_no_curve(recipes):
    order = Order(models=("m",), training_sets=("base", "evol"), trained_with={"evol": "clean"}, recipes=recipes)
    with pytest.raises(NothingToDraw, match="no two recipes of the objective fixed that differ in nothing but weight"):
        EXHIBITS["fait-figure-6"].draw(evidence(order=order))
