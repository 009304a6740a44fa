"""Edited models in the tables of all models: one training set, means over pairs."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan

import pytest

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.exhibits.selections import select_training_sets
from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.frame import ScoreFrame, ScoreKey
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.pooling import EDITED, WAY, over_pairs, within_limits, without_pairs
from raysweep.analysis.tables.quantities import quantity_of, score_cell
from raysweep.metrics.base import CellLabels
from raysweep.records import Difference, Score
from raysweep.stats.few_values import few_values_mean
from tests.analysis.examples import with_differences

PAIRS = {"p-C1-pair1": "C1", "p-C1-pair2": "C1", "p-C2-pair1": "C2"}


def score(training_set: str, value: float, perturbation: str = "C1", recipe: str = "creme", note: str = "") -> Score:
    return Score("m", recipe, training_set, 42, "p", perturbation, "pass@1", value, nan, nan, 159, note)


def test_pairs_become_one_training_set_whose_numbers_are_means_over_pairs():
    scores = [
        score("base", 0.5, recipe="none"), score("p-C1-pair1", 0.6), score("p-C1-pair2", 0.8),
        score("p-C2-pair1", 0.9, "C2"), score("p-C1-pair1", 0.7, recipe="rome"), score("C", 0.4, recipe="full"),
    ]  # fmt: skip
    found = over_pairs(scores, PAIRS)
    assert [(s.recipe, s.training_set, s.perturbation, s.value) for s in found] == [
        ("none", "base", "C1", 0.5),
        ("creme", EDITED, "C1", pytest.approx(0.7)),
        ("creme", EDITED, "C2", 0.9),
        ("rome", EDITED, "C1", 0.7),
        ("full", "C", "C1", 0.4),
    ]
    assert (
        found[1].note == "mean over 2 pairs, each without its problem"
        and found[1].low < 0.7 < found[1].high
        and found[1].n == 159
    )
    assert isnan(found[2].low)


def test_an_edited_model_counts_on_its_pairs_category_and_clean_prompts_alone():
    scores = [score("p-C1-pair1", 0.6), score("p-C2-pair1", 0.1), score("p-C2-pair1", 0.7, "clean")]
    assert [(one.perturbation, one.value) for one in over_pairs(scores, PAIRS)] == [("C1", 0.6), ("clean", 0.7)]


def test_intervals_end_where_the_metric_does():
    rates = [score("p-C1-pair1", 0.6), score("p-C1-pair2", 0.8)]
    changes = [replace(one, metric="RD") for one in rates]
    unlimited = [replace(one, metric="G-RIR") for one in rates]
    found = over_pairs([*rates, *changes, *unlimited, score("p-C2-pair1", 0.9, "C2")], PAIRS)
    assert found[0].low < 0 and found[0].high > 1
    ends = [(one.low, one.high) for one in within_limits(found)]
    assert ends[:3] == [(0, 1), (found[1].low, 1), (found[2].low, found[2].high)]
    assert all(map(isnan, ends[3]))


def test_pairs_of_one_problem_are_one_cluster():
    values = dict(zip(PAIRS, (0.5, 0.7, 0.5), strict=True))
    scores = [score(pair, value, "clean") for pair, value in values.items()]
    problems = {CellLabels("m", "creme", pair, 42): problem for pair, problem in zip(PAIRS, "aba", strict=True)}
    (alone,), (together,) = over_pairs(scores, PAIRS), over_pairs(scores, PAIRS, problems)
    expected = few_values_mean(list(values.values()), "pair", list("aba"))
    assert (together.low, together.high) == (expected.low, expected.high)
    assert together.value == alone.value and together.high - together.low > alone.high - alone.low


def test_undefined_numbers_are_left_out_and_said():
    found = over_pairs([score("p-C1-pair1", nan, note="the clean score is 0"), score("p-C1-pair2", 0.5)], PAIRS)
    assert found[0].value == 0.5
    assert found[0].note == "mean over 1 pair, each without its problem; undefined for 1 pair: the clean score is 0"
    (alone,) = over_pairs([score("p-C1-pair1", nan, note="the clean score is 0")], PAIRS)
    assert isnan(alone.value) and "the clean score is 0" in alone.note


def test_a_sweep_without_edits_keeps_its_scores_as_they_are():
    scores = [score("base", 0.5), score("C1", 0.6)]
    assert over_pairs(scores, {}) == scores


def test_differences_of_edited_models_are_left_to_their_section():
    of = [
        Difference("m", "creme", name, 42, "base", "p", "C1", "pass@1_difference", 0.1, 0.0, 0.2, 9)
        for name in ("C1", "p-C1-pair1")
    ]
    assert [difference.training_set for difference in without_pairs(of, PAIRS)] == ["C1"]


def test_edited_models_are_a_training_set_of_their_own_and_no_perturbed_one():
    order = Order(("m",), ("base", "clean", "C1", EDITED), ("p",), ("clean", "C1"), pairs=PAIRS, ways={EDITED: WAY})
    frame = ScoreFrame.of(over_pairs([score("p-C1-pair1", 0.6)], PAIRS), order)
    assert select_training_sets(frame, ["all"]).names == ("base", "clean", "C1", EDITED)
    assert select_training_sets(frame, ["mixes"]).names == ("C1",)
    assert order.way(EDITED).startswith("edited from one edit example") and order.way("C1") == "fine-tuned on C1"


def test_a_recipe_lacks_nothing_where_its_models_are_made_in_another_way_and_is_no_candidate_of_the_choice():
    ways = {EDITED: WAY, "rewritten": "with prompts that it rewrote itself"}
    order = Order(("m",), ("base", EDITED, "rewritten"), ("p",), ("clean", "C1"), pairs=PAIRS, ways=ways)
    scores = over_pairs([score("p-C1-pair1", 0.6), score("rewritten", 0.5, recipe="denoised")], PAIRS)
    frame = ScoreFrame.of(scores, order)
    creme = next(variant for variant in frame.variants if variant.recipe == "creme")
    quantity = quantity_of("pass@1")
    assert score_cell(frame, ScoreKey(creme, "rewritten", "p", "C1"), quantity).state == "empty"
    assert score_cell(frame, ScoreKey(creme, EDITED, "p", "C1"), quantity).text == "60.0"
    assert score_cell(frame, ScoreKey(creme, "C1", "p", "C1"), quantity).state == "missing"
    passed = {("p", "C1"): ProblemRates({"a": 1.0, "b": 0.0}, {}, 1, 1)}
    rates = {CellLabels("m", "creme", name, 42): passed for name in PAIRS}
    with pytest.raises(NothingToDraw, match="a model with verdicts"):
        read_exhibits()["choice"].draw(Evidence(frame, rates))


def test_tables_have_no_row_of_a_training_set_that_a_recipe_does_not_make():
    ways = {EDITED: WAY, "rewritten": "with prompts that it rewrote itself"}
    order = Order(("m",), ("base", EDITED, "rewritten"), ("p",), ("clean", "C1"), pairs=PAIRS, ways=ways)
    tests = ("clean", "C1")
    scores = [score("base", 0.5, test, "none") for test in tests]
    scores += [score(EDITED, 0.6, test, "creme") for test in tests]
    scores += [score("rewritten", 0.7, test, "denoised") for test in tests]
    frame = ScoreFrame.of(scores, order)
    drawn = read_exhibits()["summary"].draw(Evidence(frame))
    sets = {table.title: [row.labels[0] for row in table.rows] for table in drawn.tables}
    assert sets == {"m · creme on p": ["base", EDITED], "m · denoised on p": ["base", "rewritten"]}
    difference = Difference("m", "denoised", "rewritten", 42, "base", "p", "C1", "pass@1_difference", 0.2, 0.1, 0.3, 9)
    (table,) = difference_tables(with_differences(frame, [difference]))
    assert {row.labels[1] for row in table.rows} == {"m · denoised"}
    assert not any(cell.state == "missing" for row in table.rows for cell in row.cells)
