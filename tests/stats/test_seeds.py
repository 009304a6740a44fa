"""The mean over few seeds, its interval over problems and seeds, and its p."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from raysweep.errors import UsageError
from raysweep.stats import mean_over_seeds
from raysweep.stats.intervals import Interval, Z
from raysweep.stats.seeds import NO_SPREAD, ONE_SEED, shared_variance
from tests.stats.coverage import Population, seeds_coverages


def around(values: list[float], half: float) -> list[Interval]:
    return [Interval(value - half, value + half) for value in values]


def test_where_problems_say_nothing_it_is_students_interval_and_test_of_the_seeds():
    values = [0.1, 0.3, 0.5]
    found = mean_over_seeds(values, around(values, 0.0), 161)
    low, high = t.interval(0.95, 2, loc=0.3, scale=0.2 / math.sqrt(3))
    assert (found.n, found.mean, found.sd) == (3, pytest.approx(0.3), pytest.approx(0.2))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(ttest_1samp(values, 0).pvalue)


def test_where_seeds_agree_it_is_the_interval_over_problems():
    found = mean_over_seeds([0.4, 0.4, 0.4], around([0.4] * 3, 0.1), 161)
    half = 0.1 / Z * t.ppf(0.975, 160)
    assert (found.low, found.high, found.sd) == (pytest.approx(0.4 - half), pytest.approx(0.4 + half), 0)
    narrower = mean_over_seeds([0.4, 0.4, 0.4], around([0.4] * 3, 0.1), 161, shared=0.25)
    assert narrower.high - narrower.low == pytest.approx(half), "half of the standard error is left"


def test_both_parts_add_up_with_the_degrees_of_freedom_of_satterthwaite():
    values = [0.50, 0.52, 0.57]
    found = mean_over_seeds(values, around(values, 0.08), 161)
    over, between = (0.08 / Z) ** 2, np.var(values, ddof=1) / 3
    degrees = (over + between) ** 2 / (over**2 / 160 + between**2 / 2)
    half = t.ppf(0.975, degrees) * math.sqrt(over + between)
    assert half > t.ppf(0.975, 2) * math.sqrt(between)
    assert (found.low, found.high) == (pytest.approx(found.mean - half), pytest.approx(found.mean + half))
    assert found.p == pytest.approx(2 * t.sf(found.mean / math.sqrt(over + between), degrees))


def test_one_seed_keeps_its_interval_and_limits_are_kept():
    found = mean_over_seeds([0.4], [Interval(0.3, 0.6)], 161)
    assert (found.n, found.mean, found.low, found.high, found.note) == (1, 0.4, 0.3, 0.6, ONE_SEED)
    assert math.isnan(found.sd) and math.isnan(found.p)
    near = mean_over_seeds([0.9, 1.0, 0.95], [Interval(0.8, 1.0)] * 3, 161, limits=(0.0, 1.0))
    assert near.high == 1.0 and near.low < 0.9


def test_without_an_interval_over_problems_there_is_a_mean_and_an_sd_only():
    found = mean_over_seeds([1.0, 3.0], [Interval(math.nan, math.nan)] * 2, 5)
    assert (
        (found.mean, found.sd) == (2.0, pytest.approx(math.sqrt(2))) and math.isnan(found.low) and math.isnan(found.p)
    )
    with pytest.raises(UsageError, match="nan is not a number to average"):
        mean_over_seeds([math.nan], [Interval(0, 1)], 5)
    with pytest.raises(UsageError, match="2 values need as many intervals"):
        mean_over_seeds([0.1, 0.2], [Interval(0, 1)], 5)


def test_what_seeds_share_of_the_variance_over_problems_is_that_of_their_mean():
    rng = np.random.default_rng(0)
    alike = np.repeat(rng.random((1, 50)), 3, axis=0)
    assert shared_variance(alike) == pytest.approx(1) and shared_variance(np.full((3, 5), 0.2)) == 1
    assert shared_variance(rng.random((4, 20_000))) == pytest.approx(1 / 4, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "samples", "spread"), [(3, 1, 0.35), (3, 40, 0.15), (5, 40, 0.35)])
def test_intervals_over_problems_and_seeds_hold_about_95_times_in_100(seeds, samples, spread):
    """benchmarks/coverage.py --seeds simulates 2,000 sweeps of more populations."""
    found = list(seeds_coverages(Population(0.3, 1.0, 161, samples), seeds, spread, 150))
    assert [one.quantity for one in found] == ["pass@1", "drop", "RD", "two models"]
    lowest = 0.93 - 2.5 * math.sqrt(0.93 * 0.07 / 150)
    assert min(one.share for one in found) >= lowest and all(0 < one.width < 0.7 for one in found)


def test_without_any_spread_there_is_no_test_but_of_a_mean_of_0():
    found = mean_over_seeds([0.1, 0.1], around([0.1] * 2, 0.0), 8)
    assert math.isnan(found.p) and found.note == NO_SPREAD
    found = mean_over_seeds([0.0, 0.0], around([0.0] * 2, 0.0), 8)
    assert (found.p, found.note) == (1.0, "")
