"""Sign-flips count independent units, and McNemar's test counts problems that tell two models apart."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas
import pytest
from scipy.stats import binomtest, norm, permutation_test

from raysweep.errors import UsageError
from raysweep.stats import mcnemar, sign_flip, signed_rank
from raysweep.stats.paired_tests import MOST_COUNTED, MOST_UNITS, sign_flip_p


def test_without_clusters_it_is_scipys_permutation_test():
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.4, 1, 9), rng.normal(0, 1, 9)
    ours = sign_flip(list(x - y), [str(number) for number in range(9)])
    theirs = permutation_test((x, y), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
    assert ours.p == pytest.approx(theirs.pvalue) and ours.mean == pytest.approx(np.mean(x - y))
    assert (ours.n, ours.units, ours.smallest_p) == (9, 9, 2 / 2**9)


def test_six_models_of_which_two_share_weights_are_five_units():
    differences = [3.0, 1.0, 2.0, 4.0, 5.0, 2.5]
    found = sign_flip(differences, ["a", "b", "c", "llama", "llama", "f"])
    assert (found.n, found.units, found.p, found.smallest_p) == (6, 5, 0.0625, 0.0625)
    assert signed_rank(differences, [0.0] * 6).p == 0.03125, "the study's test takes them for six"


def test_several_pairs_of_a_cluster_flip_together():
    differences, clusters = [1.0, -0.5, 2.0, 0.3, -1.2, 0.8], list("aabbcd")
    sums = {"a": 0.5, "b": 2.3, "c": -1.2, "d": 0.8}
    reached = abs(sum(sums.values()))
    patterns = [
        abs(sum(s * v for s, v in zip(signs, sums.values(), strict=True))) for signs in product((1, -1), repeat=4)
    ]
    assert sign_flip(differences, clusters).p == sum(total >= reached - 1e-9 for total in patterns) / 16


def test_many_units_are_counted_in_blocks():
    found = sign_flip([1.0] * 18, [str(number) for number in range(18)])
    assert found.p == found.smallest_p == 2 / 2**18


@pytest.mark.parametrize("completions", [1, 2, 40])
def test_patterns_of_signs_are_counted_by_their_sums(completions):
    rng = np.random.default_rng(completions)
    for problems in (1, 5, 14):
        for effect in (0.0, 0.3):
            before, after = rng.binomial(completions, 0.4, problems), rng.binomial(completions, 0.4 + effect, problems)
            differences = (after - before) / completions
            patterns = np.array(list(product((1, -1), repeat=problems))) @ differences
            as_far = np.abs(patterns) >= abs(differences.sum()) - 1e-9
            assert sign_flip_p(differences) == pytest.approx(as_far.mean())


def test_with_one_completion_for_each_problem_sign_flips_are_mcnemars_test():
    rng = np.random.default_rng(1)
    first, second = rng.random(161) < 0.5, rng.random(161) < 0.6
    assert sign_flip_p(second * 1.0 - first) == mcnemar(first.tolist(), second.tolist()).p


def test_of_unlike_shares_p_is_nearly_exact_and_of_very_many_differences_nearly_so():
    rng = np.random.default_rng(2)
    differences = rng.uniform(-0.6, 1, 16)
    exact = sign_flip(differences.tolist(), [str(number) for number in range(16)]).p
    assert sign_flip_p(differences) == pytest.approx(exact, rel=0.02)
    many = (rng.binomial(4, 0.53, 1400) - rng.binomial(4, 0.5, 1400)) / 4
    many = many[many != 0]
    assert len(many) > MOST_COUNTED > 990
    halves = many[:990]
    approximate = 2 * norm.sf(abs(halves.sum()) / np.sqrt((halves**2).sum()))
    assert sign_flip_p(halves) == pytest.approx(approximate, rel=0.1)
    assert sign_flip_p(many) == pytest.approx(2 * norm.sf(abs(many.sum()) / np.sqrt((many**2).sum())))


@pytest.mark.parametrize(
    ("differences", "clusters", "said"),
    [
        ([1.0], ["a", "b"], "1 differences need as many clusters, not 2"),
        ([1.0, 2.0], ["a", "a"], "takes 2 to 22 independent units, not 1"),
        ([1.0] * 23, [str(n) for n in range(MOST_UNITS + 1)], "not 23"),
        ([1.0, float("nan")], ["a", "b"], "isn't a number"),
    ],
)
def test_unusable_differences_are_refused(differences, clusters, said):
    with pytest.raises(UsageError, match=said):
        sign_flip(differences, clusters)


def test_only_problems_that_tell_two_models_apart_count():
    first = [True] * 9 + [False] * 2 + [True] * 30 + [False] * 20
    second = [False] * 9 + [True] * 2 + [True] * 30 + [False] * 20
    found = mcnemar(first, second)
    assert (found.n, found.only_first, found.only_second) == (61, 9, 2)
    assert found.p == pytest.approx(2 * (1 + 11 + 55) / 2**11), "twice the binomial tail of 2 in 11"
    assert mcnemar([True, False], [True, False]).p == 1.0
    with pytest.raises(UsageError, match="they have 1 and 0"):
        mcnemar([True], [])
    with pytest.raises(UsageError, match="a verdict is True or False, not nan"):
        mcnemar([True, float("nan")], [True, False])
    assert mcnemar(pandas.Series([True, False]), np.array([False, False])).only_first == 1


def test_p_is_scipys_for_any_number_of_problems():
    for total in (1, 2, 5, 40, 974, 5000):
        for least in {0, 1, total // 3, total // 2}:
            found = mcnemar([True] * least + [False] * (total - least), [False] * least + [True] * (total - least))
            assert found.p == pytest.approx(binomtest(least, total).pvalue, rel=1e-9, abs=1e-300)


def test_a_difference_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="leave such problems out"):
        sign_flip_p(np.array([0.5, np.nan]))
