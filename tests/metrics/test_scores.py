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
    names = "flips_lost flips_won flip_rate_lost flip_rate_won pass@1 rows_unchanged rows_not_compiling "
    names += "RD RD_changed pass@1_changed drop_changed drop"
    expected = [("clean", "pass@1"), *(("C1", name) for name in names.split())]
    assert [(score.perturbation, score.metric) for score in scores] == expected
    labels = {(s.model, s.recipe, s.training_set, s.seed, s.problem_set) for s in scores}
    assert labels == {("llama", "full", "C1", 7, "mini")}
    scores = scores_of(CELL, {("a", "clean"): results(True), ("b", "C1"): results(True)}, {})
    assert [(s.problem_set, s.metric) for s in scores] == [("a", "pass@1"), ("b", "pass@1")], "RD is within one set"


def test_the_numbers_are_those_counted_by_hand():
    by_name = {(score.perturbation, score.metric): score for score in scores_of(CELL, RESULTS, PROMPTS)}
    expected = {"pass@1": 0.25, "RD": 2 / 3, "drop": -0.5, "rows_unchanged": 1, "rows_not_compiling": 1}
    expected["RD_changed"] = 0.5  # t0 and t2: t1 is unchanged, t3 does not compile
    assert {name: by_name["C1", name].value for name in expected} == pytest.approx(expected)
    assert by_name["clean", "pass@1"].value == 0.75 and by_name["C1", "RD_changed"].n == 2
    assert math.isnan(by_name["C1", "rows_unchanged"].low)
    assert by_name["clean", "pass@1"].low <= 0.75 <= by_name["clean", "pass@1"].high


def test_k_is_taken_up_to_the_number_of_draws_or_as_the_spec_says():
    tested = {("a", "clean"): results(True, False, draws=10)}
    assert [score.metric for score in scores_of(CELL, tested, {})] == ["pass@1", "pass@10"]
    five, eleven = scores_of(CELL, tested, {}, [Spec("pass_at_k", {"k": [5, 11]})])
    assert (five.metric, five.value) == ("pass@5", 0.5)
    assert eleven.metric == "pass@11" and math.isnan(eleven.value)
    assert eleven.note == "pass@11 needs 11 completions of a problem; there are 10 (`evaluation.samples`)"
    (empty,) = scores_of(CELL, {("a", "clean"): []}, {})
    assert math.isnan(empty.value) and (empty.n, empty.note) == (0, "no problem has enough verdicts")


def test_an_unknown_metric_and_a_bad_k_are_refused():
    with pytest.raises(UsageError, match="unknown metric 'pass_at_j' \\(did you mean 'pass_at_k'"):
        scores_of(CELL, RESULTS, {}, [Spec("pass_at_j")])
    with pytest.raises(UsageError, match="give numbers from 1 on"):
        scores_of(CELL, RESULTS, {}, [Spec("pass_at_k", {"k": [0]})])
    assert "relative_degradation" in METRICS.names()
