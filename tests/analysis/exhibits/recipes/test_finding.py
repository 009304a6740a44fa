"""Recipes as rows and columns: the study of FAIT's tables from its printed numbers, and what a smaller sweep shows."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.published.reference import published_scores
from raysweep.analysis.published.sums import without_doubles
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.records import Score
from tests.analysis.exhibits.examples import EXHIBITS, cells, drawing, study, tables

PRINTED = published_scores("fait")
SETS = ("evol", "oss", "pyx")
COLUMNS = {
    ("humaneval-plus", "pass@1 base"): "HumanEval", ("humaneval-plus", "pass@1"): "HumanEval+",
    ("mbpp-plus", "pass@1 base"): "MBPP", ("mbpp-plus", "pass@1"): "MBPP+",
    ("bigcodebench-full", "pass@1"): "BigCodeBench full", ("bigcodebench-hard", "pass@1"): "BigCodeBench hard",
}  # fmt: skip


def faits(**keep: object) -> Evidence:
    """The study's own numbers as a sweep."""
    numbers = [one for one in without_doubles(PRINTED) if all(getattr(one, k) in v for k, v in keep.items())]
    scores = [
        Score(one.model, one.recipe, one.training_set, 42, one.problem_set, "clean", one.metric, one.value,
              math.nan, math.nan, 164)
        for one in numbers
    ]  # fmt: skip
    order = Order(
        models=tuple(dict.fromkeys(one.model for one in PRINTED)),
        training_sets=("base", *SETS),
        problem_sets=tuple(dict.fromkeys(name for name, _ in COLUMNS)),
        perturbations=("clean",),
        trained_with=dict.fromkeys(SETS, "clean"),
    )
    return Evidence(ScoreFrame.of(scores, order))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_table_of_the_study_comes_out_of_its_printed_numbers(number):
    (table,) = tables(f"fait-table-{number}", faits())
    printed = [one for one in PRINTED if one.table == number and not (one.note and number != 4)]
    found, seen = cells(table), set()
    for one in printed:
        recipe = "base" if one.recipe == "none" else one.recipe
        (row,) = [labels for labels in found if labels[-2:] == (one.model, recipe)]
        assert Decimal(found[row][COLUMNS[one.problem_set, one.metric]]) == Decimal(one.percent), one
        seen.add(row)
    assert seen == set(found)  # no row that the study's table lacks
    assert [column.full_name for column in table.columns] == list(COLUMNS.values())
    assert f"the FAIT study's table {number}" in table.caption


def test_without_bigcodebench_its_columns_are_left_out():
    (table,) = tables("fait-table-1", faits(problem_set=("humaneval-plus", "mbpp-plus")))
    assert [column.full_name for column in table.columns] == ["HumanEval", "HumanEval+", "MBPP", "MBPP+"]


def test_rows_of_recipes_follow_the_definition_and_training_sets_may_be_rows():
    (table,) = tables("fait-table-3", faits())
    assert [row.labels for row in table.rows] == [
        (trained_on, model, recipe)
        for trained_on, model in (("oss", "magicoder-ds"), ("pyx", "semcoder"))
        for recipe in ("base", "sft", "fait")
    ]


def test_a_sweep_with_one_of_the_named_recipes_has_nothing_to_compare():
    with pytest.raises(NothingToDraw, match="it has no model with two of the recipes base, dpo, fait"):
        EXHIBITS["fait-table-5"].draw(faits(recipe=("none", "sft", "fait")))
    with pytest.raises(NothingToDraw, match=r"no model magicoder-ds or semcoder with two of .*; it has .*semcoder-s"):
        EXHIBITS["fait-table-3"].draw(faits(model=("semcoder-s",)))
    assert not any(tables(id, study()) for id in EXHIBITS if id.startswith("fait-"))


def test_seeds_and_training_sets_have_rows_and_tables_of_their_own_and_unfinished_cells_are_missing(snapshot):
    scores = [
        Score("m", recipe, trained, seed, "minicode", "clean", "pass@1", value, math.nan, math.nan, 40)
        for recipe, trained, seed, value in (
            ("none", "base", 0, 0.5), ("sft", "clean", 1, 0.6), ("fait", "clean", 1, 0.7), ("sft", "clean", 2, 0.65),
            ("fait", "clean", 2, 0.75), ("sft", "typos", 1, 0.4),
        )
    ]  # fmt: skip
    order = Order(training_sets=("base", "clean", "typos"), trained_with={"clean": "clean", "typos": "typos"})
    drawn = [EXHIBITS[id].draw(Evidence(ScoreFrame.of(scores, order))) for id in ("fait-table-1", "fait-recipes")]
    assert "\n".join(map(drawing, drawn)) == snapshot


def test_stars_stand_for_several_recipes_and_without_any_name_all_are_shown():
    all_of_them = EXHIBITS["fait-table-1"].model_copy(update={"recipes": ["all"], "without_models": ()})
    (table,) = all_of_them.draw(faits(model=("semcoder-s",))).tables
    shown = [row.labels[1] for row in table.rows if row.labels[0] == "semcoder-s"]
    assert sorted(shown) == ["base", "dpo", "fait", "fait-line", "fait-token", "sft"] and shown[0] == "base"
    starred = all_of_them.model_copy(update={"recipes": ["dpo", "fait-*"]})
    (table,) = starred.draw(faits(model=("semcoder-s",))).tables
    assert next(row.labels[1] for row in table.rows if row.labels[0] == "semcoder-s") == "dpo"
    assert {row.labels[1] for row in table.rows if row.labels[0] == "semcoder-s"} == {"dpo", "fait-line", "fait-token"}


def test_a_mean_over_models_is_of_each_recipe():
    mean = EXHIBITS["fait-table-5"].model_copy(update={"mean": True})
    (table,) = mean.draw(faits()).tables
    found = cells(table)
    assert found["mean", "dpo"]["HumanEval"] == "74.8" and found["mean", "fait"]["HumanEval"] == "78.0"


def test_models_may_be_chosen_where_recipes_are_no_dimension():
    chosen = EXHIBITS["table-2"].model_copy(
        update={"models": ["starcoder*"], "without_models": ["*-3b"], "mean": False}
    )
    (table,) = chosen.draw(study()).tables
    assert [row.labels for row in table.rows] == [("starcoderbase-1b",)]
