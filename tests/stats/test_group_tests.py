"""Friedman's test against R's example, scipy and the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, rankdata

from raysweep.errors import UsageError
from raysweep.stats import friedman
from raysweep.stats.group_tests import ALL_TIED, ROUGH

ROUNDING_FIRST_BASE = """
5.40 5.50 5.55  5.85 5.70 5.75  5.20 5.60 5.50  5.55 5.50 5.40  5.90 5.85 5.70  5.45 5.55 5.60  5.40 5.40 5.35
5.45 5.50 5.35  5.25 5.15 5.00  5.85 5.80 5.70  5.25 5.20 5.10  5.65 5.55 5.45  5.60 5.35 5.45  5.05 5.00 4.95
5.50 5.50 5.40  5.45 5.55 5.50  5.55 5.55 5.35  5.45 5.50 5.55  5.50 5.45 5.25  5.65 5.60 5.40  5.70 5.65 5.55
6.30 6.30 6.25
"""
"""Hollander and Wolfe's times of 22 players and three methods, the example of R's `friedman.test`; it has ties."""


def test_rs_example():
    times = np.array(ROUNDING_FIRST_BASE.split(), dtype=float).reshape(22, 3)
    found = friedman(times)
    assert (found.n, found.methods, found.df, found.tied_rows, found.note) == (22, 3, 2, 4, "")
    assert found.statistic == pytest.approx(11.143, abs=5e-4) and found.p == pytest.approx(0.003805, abs=5e-7)
    assert found.w == pytest.approx(found.statistic / 44)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_with_and_without_ties_it_is_the_definition(levels):
    rng = np.random.default_rng(levels)
    for rows, methods in ((3, 3), (12, 4), (161, 6)):
        table = rng.integers(0, levels, (rows, methods)).astype(float)
        found, ranks = friedman(table.tolist()), rankdata(table, axis=1)
        sums = ranks.sum(axis=0)
        total = (ranks**2).sum() - rows * methods * (methods + 1) ** 2 / 4  # Conover's form, which corrects for ties
        expected = (methods - 1) * ((sums - rows * (methods + 1) / 2) ** 2).sum() / total
        assert found.statistic == pytest.approx(expected) and 0 <= found.w <= 1
        assert found.p == pytest.approx(friedmanchisquare(*table.T).pvalue)
        assert found.mean_ranks == pytest.approx(sums / rows)


def test_rows_that_agree_have_w_1_and_rows_that_are_tied_p_1():
    assert friedman([[1.0, 2.0, 3.0]] * 12).w == pytest.approx(1)
    tied = friedman([[0.2, 0.2, 0.2], [0.5, 0.5, 0.5]])
    assert (tied.statistic, tied.p, tied.w, tied.note, tied.tied_rows) == (0, 1, 0, ALL_TIED, 2)
    assert friedman([[0.0, 0.0, 0.0]] * 3).note == ALL_TIED


def test_numbers_that_differ_in_the_last_bit_are_ties():
    assert friedman([[0.3, 0.1 + 0.2, 0.3], [0.1 + 0.2, 0.3, 0.3]]).note == ALL_TIED
    assert friedman([[0.3, 0.1 + 0.2, 0.9], [0.1, 0.2, 0.9]]).note == ROUGH


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "at least 2 rows, and there are 0"),
        ([[1.0, 2.0, 3.0]], "at least 2 rows, and there are 1"),
        ([[1.0, 2.0], [2.0, 1.0]], "at least 3 methods, not 2; signed_rank compares two"),
        ([[1.0, 2.0, 3.0], [2.0, 1.0]], "row 2 has 2 numbers and row 1 has 3"),
        ([[1.0, 2.0, 3.0], [2.0, math.nan, 1.0]], "row 2 has a number that is not defined"),
    ],
)
def test_unusable_tables_are_refused(values, said):
    with pytest.raises(UsageError, match=said):
        friedman(values)
