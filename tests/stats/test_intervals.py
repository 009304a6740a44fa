"""Intervals against theory: coverage, the normal approximation, and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysweep.errors import UsageError
from raysweep.seeding import numpy_rng
from raysweep.stats.intervals import (
    MEAN_WEIGHT,
    drawn_mean_interval,
    mean_interval,
    part_interval,
    share_interval,
)


def once(values: list[float]) -> list[list[float]]:
    """The values of one draw."""
    return [[value] for value in values]


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 3, 0.0, 0.5615), (12, 12, 0.7575, 1.0), (8, 10, 0.4902, 0.9433), (49, 164, 0.2340, 0.3728)],
)
def test_a_share_of_problems_has_wilsons_interval_at_the_edges_too(count, total, low, high):
    assert share_interval(count, total) == pytest.approx((low, high), abs=5e-5)
    assert mean_interval([1.0] * count + [0.0] * (total - count)) == share_interval(count, total)
    parts, wholes = ([1.0] * number + [0.0] * (200 - number) for number in (count, total))
    assert part_interval(once(parts), once(wholes)) == pytest.approx((low, high), abs=5e-5)


def test_other_means_have_an_interval_close_to_the_normal_one_for_many_problems():
    values = [0.5] * 120 + [0.0] * 280
    half = 1.96 * 0.5 * math.sqrt(0.3 * 0.7 / 400)
    low, high = mean_interval(values)
    assert (low, high) == pytest.approx((0.15 - half, 0.15 + half), abs=0.006)


def test_nothing_gives_nan():
    assert all(math.isnan(end) for end in mean_interval([]))
    assert all(map(math.isnan, part_interval(once([0.0, 0.0]), once([0.0, 0.0]))))
    assert all(map(math.isnan, part_interval([[0.5]], [[1.0]])))


def test_a_share_of_shares_that_are_all_1_has_the_interval_of_the_mean():
    values = [float(n % 3 == 0) / 2 for n in range(100)]
    assert part_interval(once(values), once([1.0] * 100)) == pytest.approx(mean_interval(values))


def test_shares_of_few_completions_of_many_problems_cover_the_truth_about_95_times_in_100():
    rng, held = numpy_rng(7, "coverage of parts"), 0
    for _ in range(300):
        fails = rng.random((100, 5)) < rng.beta(0.2, 0.8, (100, 1))
        won = fails & (rng.random((100, 5)) < rng.beta(0.1, 0.9, (100, 1)))
        low, high = part_interval(won.mean(axis=1, keepdims=True), fails.mean(axis=1, keepdims=True))
        held += low <= 0.1 <= high
    assert 0.92 <= held / 300 <= 0.985


def test_equal_data_gives_the_same_interval_whether_drawn_once_or_not():
    values = [float(n % 3 == 0) / 2 for n in range(100)]
    assert mean_interval(values) == mean_interval(list(values)) == drawn_mean_interval(once(values))


def test_shares_cover_the_truth_about_95_times_in_100():
    rng = numpy_rng(7, "coverage")
    found = [mean_interval((rng.random(40) < 0.9).astype(float).tolist()) for _ in range(300)]
    assert 0.90 <= sum(low <= 0.9 <= high for low, high in found) / 300 <= 0.985


def test_no_end_of_an_interval_lies_beyond_what_a_mean_can_be():
    for count in (*range(2, 60), 164):
        assert mean_interval([1.0] * count).high == 1.0
        assert 0 <= mean_interval([0.1] * count).low <= 0.1 <= mean_interval([0.1] * count).high <= 1


def test_values_beyond_their_limits_are_refused_and_limits_scale_the_interval():
    values = [0.0, 0.5, 1.0, 0.5] * 10
    assert mean_interval([2 * value - 1 for value in values], limits=(-1.0, 1.0)) == pytest.approx(
        [2 * end - 1 for end in mean_interval(values)]
    )
    with pytest.raises(UsageError, match=r"1\.5 is not a value from 0 to 1; give the values' limits"):
        mean_interval([0.0, 1.5])


def test_a_mean_of_verdicts_that_are_shares_of_more_completions_is_narrower():
    once_each, forty_each = mean_interval([1.0, 0.0] * 80), mean_interval([0.55, 0.45] * 80)
    assert np.diff(forty_each)[0] < 0.2 * np.diff(once_each)[0]


@pytest.mark.parametrize("values", [[0.3, 0.0, 0.9, 1.0, 0.2] * 8, [0.0] * 39 + [0.3], [1.0] * 30 + [0.1] * 10])
def test_an_effective_number_of_problems_gives_statsmodels_interval(values):
    from statsmodels.stats.proportion import proportion_confint

    spread = np.array(values)
    carriers = min(total.sum() ** 2 / (total**2).sum() for total in (spread, 1 - spread))
    ratio = spread.var() / (spread.mean() * (1 - spread.mean()))
    effect = (ratio * carriers + MEAN_WEIGHT) / (carriers + MEAN_WEIGHT)
    problems = 40 / min(effect * 40 / 39, 1)
    reference = proportion_confint(spread.mean() * problems, problems, method="wilson")
    assert mean_interval(values) == pytest.approx(reference)


def test_means_over_several_draws_cover_the_truth_and_narrow_with_more_draws():
    rng = numpy_rng(7, "mean of draws")
    found = [drawn_mean_interval((rng.random((40, 5)) < 0.5).astype(float).tolist()) for _ in range(200)]
    assert sum(low <= 0.5 <= high for low, high in found) / 200 >= 0.93
    widths = [np.diff(drawn_mean_interval((rng.random((200, n)) < 0.5).astype(float).tolist()))[0] for n in (2, 8, 32)]
    assert widths == sorted(widths, reverse=True)


def test_a_problem_may_miss_a_draw():
    low, high = drawn_mean_interval([[1.0, 0.0], [1.0], [0.0, 1.0, 1.0]] * 30)
    assert low < (0.5 + 1 + 2 / 3) / 3 < high
