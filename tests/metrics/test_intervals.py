"""Bootstrap intervals against theory: coverage, the normal approximation, and pairing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysweep.metrics.intervals import mean_interval, paired_interval
from raysweep.seeding import numpy_rng


def test_it_is_close_to_the_normal_interval_for_many_problems():
    values = [1.0] * 120 + [0.0] * 280
    half = 1.96 * math.sqrt(0.3 * 0.7 / 400)
    low, high = mean_interval(values)
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.006)


def test_equal_values_give_an_interval_of_no_width_and_nothing_gives_nan():
    assert mean_interval([1.0] * 50) == pytest.approx((1.0, 1.0))
    assert all(math.isnan(end) for end in mean_interval([]))


def test_equal_data_gives_the_same_interval_and_another_seed_another():
    values = [float(n % 3 == 0) for n in range(100)]
    assert mean_interval(values) == mean_interval(list(values))
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_it_covers_the_truth_about_95_times_in_100():
    rng = numpy_rng(7, "coverage")
    samples = [(rng.random(100) < 0.4).astype(float).tolist() for _ in range(300)]
    covered = sum(low <= 0.4 <= high for low, high in map(mean_interval, samples))
    assert 0.90 <= covered / 300 <= 0.985


def test_a_paired_difference_is_narrower_than_an_unpaired_one_would_be():
    clean = [float(n % 2) for n in range(200)]
    perturbed = [value if n % 20 else 0.0 for n, value in enumerate(clean)]
    low, high = paired_interval(clean, perturbed, lambda x, y: y - x)
    assert high - low < 0.5 * (mean_interval(clean).high - mean_interval(clean).low)
    assert paired_interval(clean, clean, lambda x, y: y - x) == (0.0, 0.0)


def test_resamples_in_which_the_statistic_is_undefined_are_left_out():
    def ratio(x, y):
        return y / np.where(x == 0, np.nan, x)

    low, high = paired_interval([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], ratio)  # 8 of 27 resamples have no 1
    assert (low, high) == (1.0, 1.0)


def test_no_end_of_an_interval_lies_beyond_what_a_mean_can_be():
    for count in (*range(1, 60), 164):
        assert mean_interval([1.0] * count) == (1.0, 1.0)
        assert mean_interval([0.1] * count) == (0.1, 0.1)
