"""The signed-rank test against R, scipy and what the study printed."""

from __future__ import annotations

import csv
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from raysweep.errors import UsageError
from raysweep.stats.rank_tests import ALL_EQUAL, NO_INTERVAL, holm, signed_rank
from tests.conftest import shared_data

BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
"""Hollander and Wolfe's depression data, the example of R's `wilcox.test`."""
MISPRINTED = {("5", "character"): "3.2e-4", ("9", "character"): "0.219"}
"""Printed p that don't follow from the printed W and n (data/paper/SOURCE.md), and what does."""
ROUNDED = {("5", "word"): 0.455, ("9", "character"): 0.556}


def test_rs_example():
    greater = signed_rank(BEFORE, AFTER, alternative="greater")
    assert (greater.n, greater.statistic, greater.method) == (9, 40, "exact")
    assert greater.p == pytest.approx(0.01953, abs=5e-6)
    both = signed_rank(BEFORE, AFTER)
    assert (both.statistic, both.positive, both.negative) == (5, 40, 5)
    assert both.p == pytest.approx(0.0391, abs=5e-5) and both.estimate == pytest.approx(0.46)
    assert (both.low, both.high) == pytest.approx((0.01, 0.786)), "R: conf.int = TRUE"
    assert both.rank_biserial == pytest.approx(35 / 45) and both.note == ""


def with_sums(n: int, smaller: int) -> tuple[list[float], list[float]]:
    """Pairs without ties, whose smaller sum of ranks is given."""
    signs, left = [1] * n, smaller
    for rank in range(n, 0, -1):
        if rank <= left:
            signs[rank - 1], left = -1, left - rank
    assert left == 0
    return [float(sign * rank) for rank, sign in enumerate(signs, 1)], [0.0] * n


def last_digit(printed: str) -> float:
    """What one more in the last printed digit is."""
    digits, _, exponent = printed.partition("e")
    return float(10.0 ** (int(exponent or 0) - len(digits.partition(".")[2])))


def test_the_studys_fourteen_tests():
    with shared_data("paper", "signed_rank_tests.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14
    for row in rows:
        method = "normal" if row["table"] == "text" else "exact"
        found = signed_rank(*with_sums(int(row["n"]), int(row["W"])), method=method)
        assert (found.n, found.statistic, found.method) == (int(row["n"]), float(row["W"]), method)
        name = row["table"], row["group"]
        printed = MISPRINTED.get(name, row["printed_p"])
        assert found.p == pytest.approx(float(printed), abs=last_digit(printed)), name
        assert (name in MISPRINTED) == (abs(found.p - float(row["printed_p"])) > last_digit(row["printed_p"])), name
        assert found.r_z == pytest.approx(ROUNDED.get(name, float(row["printed_r"])), abs=0.006), name
    character = signed_rank(*with_sums(24, 32))
    assert abs(character.rank_biserial) == pytest.approx(0.787, abs=5e-4), "what is printed as r is another"
    assert character.r_z == pytest.approx(0.688, abs=5e-4)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n", [2, 7, 30, 50, 51, 200])
def test_without_ties_it_is_scipys(n, alternative):
    rng = np.random.default_rng(n)
    x, y = rng.normal(0.3, 1, n), rng.normal(0, 1, n)
    for method, theirs in (("exact", "exact"), ("normal", "asymptotic")):
        found = signed_rank(x, y, alternative=alternative, method=method)
        reference = wilcoxon(x, y, alternative=alternative, method=theirs, correction=False)
        assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
        assert found.statistic == pytest.approx(reference.statistic)
    assert signed_rank(x, y).method == ("exact" if n <= 50 else "normal")


@pytest.mark.parametrize("zeros", ["wilcox", "pratt", "zsplit"])
def test_with_ties_and_zeros_the_normal_one_is_scipys(zeros):
    x = [0.0, 0.0, 1.0, -1.0, 2.0, 2.0, 3.0, -4.0, 5.0, 5.0, 5.0, 6.0]
    found = signed_rank(x, [0.0] * len(x), zeros=zeros)
    reference = wilcoxon(x, zero_method=zeros, method="asymptotic", correction=False)
    assert (found.method, found.zero_pairs, found.tied_pairs) == ("normal", 2, 7)
    assert found.p == pytest.approx(reference.pvalue) and found.statistic == reference.statistic
    assert found.z == pytest.approx(abs(reference.zstatistic)) and found.n == (12 if zeros == "zsplit" else 10)


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=9), st.sampled_from(["wilcox", "pratt", "zsplit"]))
@settings(max_examples=60)
def test_an_exact_p_counts_all_signs_also_with_ties_and_zeros(differences, zeros):
    if not any(differences):
        return
    found = signed_rank([float(d) for d in differences], [0.0] * len(differences), zeros=zeros, method="exact")
    kept = np.array([d for d in differences if d or zeros != "wilcox"])
    ranks = rankdata(np.abs(kept))
    of_zeros = ranks[kept == 0].sum() / 2 if zeros == "zsplit" else 0.0
    assert found.positive == pytest.approx(ranks[kept > 0].sum() + of_zeros)
    signs = np.array(list(product((False, True), repeat=np.count_nonzero(kept))))
    sums = signs @ ranks[kept != 0] + of_zeros
    less, greater = np.mean(sums <= found.positive + 1e-9), np.mean(sums >= found.positive - 1e-9)
    assert found.p == pytest.approx(min(1, 2 * min(less, greater)))


def test_shares_have_the_ties_of_their_counts():
    passed, others = [45, 61, 71, 62, 78, 58, 70], [40, 55, 68, 61, 73, 62, 76]
    counts = signed_rank(passed, others)
    shares = signed_rank([n / 100 for n in passed], [n / 100 for n in others])
    assert (shares.method, shares.tied_pairs, shares.p) == (counts.method, counts.tied_pairs, counts.p)
    assert shares.method == "normal" and shares.tied_pairs == 4
    assert signed_rank([0.3, 0.1 + 0.2], [0.1 + 0.2, 0.3]).note == ALL_EQUAL


@pytest.mark.parametrize("coverage", [0, 1, 95, -1, math.nan])
def test_a_coverage_is_a_share(coverage):
    with pytest.raises(UsageError, match=r"give a share between 0 and 1, such as 0\.95"):
        signed_rank([1.0, 2.0], [0.0, 0.0], coverage=coverage)


def test_with_five_independent_pairs_nothing_is_below_a_sixteenth():
    found = signed_rank([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert found.p == 0.0625 and (found.low, found.high, found.note) == (-math.inf, math.inf, NO_INTERVAL)
    assert signed_rank([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0] * 6).p == 0.03125


def test_equal_numbers_have_p_1_and_say_so():
    found = signed_rank([1.0, 2.0], [1.0, 2.0])
    assert (found.n, found.p, found.statistic, found.note) == (0, 1.0, 0.0, ALL_EQUAL)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([1.0], [1.0, 2.0], "x has 1 and y has 2"),
        ([1.0], [2.0], "needs at least 2 pairs, and there are 1"),
        ([1.0, math.nan], [0.0, 3.0], r"pair 2 is \(nan, 3\); leave out pairs"),
    ],
)
def test_unusable_pairs_are_refused(x, y, said):
    with pytest.raises(UsageError, match=said):
        signed_rank(x, y)


def test_an_unknown_option_is_refused():
    with pytest.raises(UsageError, match="method='auto': give one of exact, normal"):
        signed_rank([1.0, 2.0], [0.0, 0.0], method="auto")


def test_holms_p_are_those_of_the_family():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]
    with_gap = holm([0.01, math.nan, 0.02])
    assert with_gap[0] == 0.02 and math.isnan(with_gap[1]) and with_gap[2] == 0.02
    with pytest.raises(UsageError, match="between 0 and 1, not 2"):
        holm([0.5, 2.0])


@pytest.mark.slow  # theirs collects garbage
def test_holms_p_are_statsmodels_own():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(7)
    for size in (1, 9, 60):
        ps = rng.choice([*rng.random(20) ** 3, 0.0, 0.01, 0.01, 1.0], size).tolist()  # with ties
        assert holm(ps) == multipletests(ps, method="holm")[1].tolist()
