"""Student's interval of few numbers, against scipy's own test."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from raysweep.errors import UsageError
from raysweep.stats.few_values import ALIKE, BALANCED, few_values_mean


def test_it_is_scipys_interval():
    values = [0.1, 0.4, -0.2, 0.3, 0.25]
    found = few_values_mean(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.n, found.mean) == (5, pytest.approx(0.17))
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_five_normal_numbers_are_covered_in_95_of_100_cases():
    rng = np.random.default_rng(7)
    held = [found.low <= 0.3 <= found.high for found in map(few_values_mean, rng.normal(0.3, 0.5, (1000, 5)).tolist())]
    assert 0.93 < np.mean(held) < 0.97


def test_one_number_and_equal_numbers_have_no_interval():
    one, equal, none = few_values_mean([0.5], "pair"), few_values_mean([0.5, 0.5]), few_values_mean([])
    assert one.mean == 0.5 and isnan(one.low) and one.note == "no interval from one pair"
    assert equal.mean == 0.5 and isnan(equal.high) and equal.note == ALIKE
    assert isnan(none.mean) and none.n == 0


def test_clusters_that_are_alike_have_no_interval():
    pairs = few_values_mean([0.1, 0.3, 0.3, 0.1], "pair", ["a", "a", "b", "b"])
    assert pairs.mean == pytest.approx(0.2) and isnan(pairs.low) and pairs.note == BALANCED


def test_an_undefined_number_is_refused():
    with pytest.raises(UsageError, match="one is nan; leave it out, and say how many"):
        few_values_mean([0.5, float("nan")])
