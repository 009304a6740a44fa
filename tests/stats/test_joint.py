"""Intervals of statistics of several means: they agree with others where these exist, and cover what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysweep.stats.intervals import paired_interval
from raysweep.stats.joint import joint_intervals


def difference(means):
    return [means[1] - means[0]]


def test_two_means_have_about_the_interval_of_a_paired_difference():
    rng = np.random.default_rng(3)
    before, after = rng.random((2, 161)) < np.array([[0.6], [0.5]])
    (joint,) = joint_intervals(np.column_stack([before, after]).tolist(), difference)
    paired = paired_interval(before.astype(float).tolist(), [[float(x)] for x in after], lambda x, y: y - x)
    assert joint == pytest.approx(paired, abs=0.02)


def test_problems_that_agree_keep_a_width():
    ((low, high),) = joint_intervals([[1.0, 1.0]] * 50, difference)
    assert -0.1 < low < 0 < high < 0.1


def test_equal_data_has_equal_intervals():
    data = [[0.0, 1.0], [1.0, 1.0], [0.5, 0.25]]
    assert joint_intervals(data, difference) == joint_intervals(data, difference)


@pytest.mark.parametrize("problems", [[], [[0.0, 1.0]]])
def test_fewer_than_two_problems_have_none(problems):
    found = joint_intervals(problems, lambda means: [means[0]] if len(means) else [means])
    assert all(math.isnan(end) for interval in found for end in interval)


def test_an_undefined_statistic_has_none():
    ((low, high),) = joint_intervals([[0.0]] * 5, lambda means: [np.full(means.shape[1], np.nan)])
    assert math.isnan(low) and math.isnan(high)


@pytest.mark.slow
def test_differences_of_rd_are_covered():
    """161 problems, one completion each; problems share their difficulty between models and prompts."""
    from raysweep.analysis.comparisons.degradation import _resampled, rd_change

    rng, hits, sweeps = np.random.default_rng(5), 0, 300
    scale = np.array([1.0, 0.8, 0.9, 0.85])
    truth = rd_change(*(0.5 * scale))[0]
    for _ in range(sweeps):
        chances = rng.beta(1, 1, (161, 1)) * scale
        verdicts = (rng.random((161, 4)) < chances).astype(float)
        low, high = joint_intervals(verdicts.tolist(), _resampled)[0]
        hits += low <= truth <= high
    assert 0.925 <= hits / sweeps <= 0.985
