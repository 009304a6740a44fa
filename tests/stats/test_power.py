"""Numbers of problems and pairs against textbooks, G*Power's values and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel, wilcoxon

from raysweep.errors import UsageError
from raysweep.seeding import numpy_rng
from raysweep.stats import detectable_mean_difference, detectable_rate_difference, pairs_needed, problems_needed
from raysweep.stats.power import UNREACHABLE


def test_the_approximation_is_the_textbooks():
    found = problems_needed(0.3, 0.7)
    assert found.note.endswith("says 59"), "Chow, Shao and Wang, example 6.4.3; R's TrialSize::McNemar.Test"
    assert 59 < found.n < 75 and found.power >= 0.8 and (found.difference, found.spread) == (0.3, 0.7)


@pytest.mark.parametrize(("difference", "discordant"), [(0.05, 0.1), (0.3, 0.7), (-0.1, 0.1)])
def test_the_exact_mcnemar_test_finds_the_difference_as_often_as_planned(difference, discordant):
    plan = problems_needed(difference, discordant)
    rng, size = numpy_rng(5, "power", f"{difference:g}"), abs(difference)
    apart = rng.binomial(plan.n, discordant, 4000)
    better = rng.binomial(apart, (discordant + size) / 2 / discordant)
    ps = {pair: binomtest(pair[0], pair[1]).pvalue for pair in set(zip(better.tolist(), apart.tolist())) if pair[1]}
    found = np.mean([ps.get(pair, 1.0) <= 0.05 for pair in zip(better.tolist(), apart.tolist())])
    assert found == pytest.approx(plan.power, abs=0.02) and plan.power >= 0.8


def test_more_problems_show_smaller_differences():
    needed = [problems_needed(difference, 0.15).n for difference in (0.1, 0.05, 0.03)]
    assert needed == sorted(needed) and needed[0] < 161 < needed[1]
    shown = [detectable_rate_difference(problems, 0.15).difference for problems in (161, 427, 2000)]
    assert shown == sorted(shown, reverse=True)
    assert problems_needed(shown[1], 0.15).n == pytest.approx(427, abs=25), "a staircase in n"


def test_too_few_problems_show_nothing_and_say_so():
    found = detectable_rate_difference(20, 0.1)
    assert math.isnan(found.difference) and found.note == UNREACHABLE and found.power < 0.8


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.8, 15), (0.2, 199)])
def test_pairs_of_a_t_test_are_gpowers(effect, n):
    found = pairs_needed(2 * effect, 2.0)
    assert (found.n, found.test, found.spread) == (n, "t", 2.0) and 0.8 <= found.power < 0.83
    assert detectable_mean_difference(n, 2.0, power=found.power).difference == pytest.approx(2 * effect, rel=1e-6)


@pytest.mark.parametrize("test", ["t", "signed_rank"])
def test_the_tests_find_the_difference_as_often_as_planned(test):
    plan = pairs_needed(1.0, 1.4, test=test)
    differences = numpy_rng(5, "pairs", test).normal(1.0, 1.4, (2000, plan.n))
    if test == "t":
        p = ttest_rel(differences, np.zeros_like(differences), axis=1).pvalue
    else:
        p = wilcoxon(differences, axis=1, method="exact").pvalue
    assert np.mean(p <= 0.05) == pytest.approx(plan.power, abs=0.04)


def test_five_pairs_show_nothing_to_a_signed_rank_test():
    assert pairs_needed(100.0, 1.0, test="signed_rank").n == 6 and pairs_needed(100.0, 1.0).n == 2
    assert pairs_needed(5, sd=1e-12).n == 2 and pairs_needed(5, sd=1e-300, test="signed_rank").n == 6
    found = detectable_mean_difference(5, 1.0, test="signed_rank")
    assert math.isnan(found.difference) and found.note == UNREACHABLE
    assert detectable_mean_difference(6, 1.0, test="signed_rank").difference > 1
    assert detectable_mean_difference(2, 1.0).difference > detectable_mean_difference(3, 1.0).difference > 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: problems_needed(0.0, 0.1), "difference=0: give one that is not 0"),
        (lambda: problems_needed(0.2, 0.1), "no larger than the share"),
        (lambda: problems_needed(1e-6, 0.5), "plan for a larger one"),
        (lambda: problems_needed(0.1, 1.5), r"discordant=1\.5"),
        (lambda: problems_needed(0.1, 0.2, power=80), "power=80: give a chance between 0 and 1"),
        (lambda: pairs_needed(1.0, 1.0, power=0.05), r"give a chance above alpha=0\.05"),
        (lambda: detectable_rate_difference(0, 0.2), "problems=0: give a number from 1"),
        (lambda: pairs_needed(0.0, 1.0), "difference=0: give one that is not 0"),
        (lambda: pairs_needed(1.0, 0.0), "sd=0: give the standard deviation"),
        (lambda: pairs_needed(1e-6, 1.0), "more than 10,000,000 pairs"),
        (lambda: pairs_needed(1.0, 1.0, test="z"), "test='z': give one of t, signed_rank"),
        (lambda: detectable_mean_difference(1, 1.0), "pairs=1: give a number from 2"),
    ],
)
def test_unusable_plans_are_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()
