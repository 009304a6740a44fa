"""All numbers of a cell: which metrics on which test sets, in which order."""

from __future__ import annotations

import math

import pytest

from raysweep.errors import UsageError
from raysweep.metrics.base import METRICS, CellLabels
from raysweep.metrics.scores import scores_of
from raysweep.programs import Outcome
from raysweep.records import PromptRow, Result, Spec

CELL = CellLabels("llama", "full", "C1", 7)


def results(*passed: bool, draws: int = 1) -> list[Result]:
    outcome = {True: Outcome.PASSED, False: Outcome.FAILED}
    return [
        Result(f"t{task}", draw, outcome[value], "", "", 0.0, "")
        for task, value in enumerate(passed)
        for draw in range(draws)
    ]


def rows(*changed: bool) -> list[PromptRow]:
    return [PromptRow(f"t{task}", "", "", "C1", value, task != 3) for task, value in enumerate(changed)]


RESULTS = {("mini", "C1"): results(True, False, False, False), ("mini", "clean"): results(True, True, True, False)}
PROMPTS = {("mini", "C1"): rows(True, False, True, True), ("mini", "clean"): rows(False, False, False, False)}


def test_each_test_set_gets_its_metrics_with_the_cells_labels_clean_first():
    scores = scores_of(CELL, RESULTS, PROMPTS)
    assert [(score.perturbation, score.metric) for score in scores] == [
        ("clean", "pass@1"),
        ("C1", "flips_lost"),
        ("C1", "flips_won"),
        ("C1", "flip_rate_lost"),
        ("C1", "flip_rate_won"),
        ("C1", "pass@1"),
        ("C1", "rows_unchanged"),
        ("C1", "rows_not_compiling"),
        ("C1", "RD"),
        ("C1", "RD_changed"),
        ("C1", "pass@1_changed"),
        ("C1", "drop_changed"),
        ("C1", "drop"),
    ]
    assert {(s.model, s.recipe, s.training_set, s.seed, s.problem_set) for s in scores} == {
        ("llama", "full", "C1", 7, "mini")
    }


def test_the_numbers_are_those_counted_by_hand():
    by_name = {(score.perturbation, score.metric): score for score in scores_of(CELL, RESULTS, PROMPTS)}
    assert by_name["clean", "pass@1"].value == 0.75
    assert by_name["C1", "pass@1"].value == 0.25
    assert by_name["C1", "RD"].value == pytest.approx(2 / 3)
    assert by_name["C1", "drop"].value == -0.5
    assert by_name["C1", "RD_changed"].value == 0.5  # t0 and t2: t1 is unchanged, t3 does not compile
    assert by_name["C1", "RD_changed"].n == 2
    assert by_name["C1", "rows_unchanged"].value == 1
    assert by_name["C1", "rows_not_compiling"].value == 1
    assert math.isnan(by_name["C1", "rows_unchanged"].low)
    assert by_name["clean", "pass@1"].low <= 0.75 <= by_name["clean", "pass@1"].high


def test_degradation_is_within_one_problem_set():
    scores = scores_of(CELL, {("a", "clean"): results(True), ("b", "C1"): results(True)}, {})
    assert [(score.problem_set, score.metric) for score in scores] == [("a", "pass@1"), ("b", "pass@1")]


def test_k_is_taken_up_to_the_number_of_draws_or_as_the_spec_says():
    tested = {("a", "clean"): results(True, False, draws=10)}
    assert [score.metric for score in scores_of(CELL, tested, {})] == ["pass@1", "pass@10"]
    five, eleven = scores_of(CELL, tested, {}, [Spec("pass_at_k", {"k": [5, 11]})])
    assert (five.metric, five.value) == ("pass@5", 0.5)
    assert eleven.metric == "pass@11" and math.isnan(eleven.value)
    assert eleven.note == "pass@11 needs 11 completions of a problem; there are 10 (`evaluation.samples`)"


def test_an_empty_test_set_scores_nan_with_its_reason():
    (score,) = scores_of(CELL, {("a", "clean"): []}, {})
    assert math.isnan(score.value)
    assert (score.n, score.note) == (0, "no problem has enough verdicts")


def test_an_unknown_metric_and_a_bad_k_are_refused():
    with pytest.raises(UsageError, match="unknown metric 'pass_at_j' \\(did you mean 'pass_at_k'"):
        scores_of(CELL, RESULTS, {}, [Spec("pass_at_j")])
    with pytest.raises(UsageError, match="give numbers from 1 on"):
        scores_of(CELL, RESULTS, {}, [Spec("pass_at_k", {"k": [0]})])
    assert "relative_degradation" in METRICS.names()
