"""Intervals against theory: coverage, the normal approximation, edges, and pairing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from raysweep.errors import UsageError
from raysweep.seeding import numpy_rng
from raysweep.stats.intervals import (
    MEAN_WEIGHT,
    NO_INTERVAL,
    drawn_mean_interval,
    interval_note,
    mean_interval,
    paired_interval,
    share_interval,
)


def difference(x, y):
    return y - x


def loss(x, y):
    return (x - y) / np.where(x == 0, np.nan, x)


def once(values: list[float]) -> list[list[float]]:
    """The values of one draw."""
    return [[value] for value in values]


def drawn(rng, problems: int, clean: float, lost: float, won: float, draws: int = 1):
    """Verdicts on clean and perturbed prompts: of those that pass, `lost` fail then, and of the others `won` pass."""
    before = rng.random(problems) < clean
    shape = (draws, problems)
    after = np.where(before, rng.random(shape) >= lost, rng.random(shape) < won)
    return before.astype(float).tolist(), after.T.astype(float).tolist()


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 3, 0.0, 0.5615), (12, 12, 0.7575, 1.0), (8, 10, 0.4902, 0.9433), (49, 164, 0.2340, 0.3728)],
)
def test_a_share_of_problems_has_wilsons_interval_at_the_edges_too(count, total, low, high):
    assert share_interval(count, total) == pytest.approx((low, high), abs=5e-5)
    assert mean_interval([1.0] * count + [0.0] * (total - count)) == share_interval(count, total)


def test_other_means_have_an_interval_close_to_the_normal_one_for_many_problems():
    values = [0.5] * 120 + [0.0] * 280
    half = 1.96 * 0.5 * math.sqrt(0.3 * 0.7 / 400)
    low, high = mean_interval(values)
    assert (low, high) == pytest.approx((0.15 - half, 0.15 + half), abs=0.006)


def test_nothing_gives_nan():
    assert all(math.isnan(end) for end in (*mean_interval([]), *paired_interval([], [], difference)))


def test_equal_data_gives_the_same_interval_and_another_seed_another_bootstrap():
    values = [float(n % 3 == 0) / 2 for n in range(100)]
    assert mean_interval(values) == mean_interval(list(values)) == drawn_mean_interval(once(values))
    one, other = (paired_interval(values, once(values[::-1]), difference, seed) for seed in (1, 2))
    assert paired_interval(values, once(values[::-1]), difference, 1) == one != other


@pytest.mark.parametrize("problems", [12, 100])
@pytest.mark.parametrize("rates", [(0.4, 0.3, 0.1), (0.9, 0.5, 0.2), (0.95, 0.05, 0.0)])
@pytest.mark.parametrize("statistic", [difference, loss])
def test_paired_intervals_cover_the_truth_about_95_times_in_100(problems, rates, statistic):
    clean, lost, won = rates
    truth = float(statistic(np.array([clean]), np.array([clean * (1 - lost) + (1 - clean) * won]))[0])
    rng = numpy_rng(7, "coverage", problems, *map(str, rates))
    found = [paired_interval(*drawn(rng, problems, *rates), statistic) for _ in range(300)]
    assert sum(low <= truth <= high for low, high in found) / 300 >= 0.9


def test_shares_cover_the_truth_about_95_times_in_100():
    rng = numpy_rng(7, "coverage")
    found = [mean_interval((rng.random(40) < 0.9).astype(float).tolist()) for _ in range(300)]
    assert 0.90 <= sum(low <= 0.9 <= high for low, high in found) / 300 <= 0.985


def test_a_paired_difference_is_narrower_than_an_unpaired_one_would_be():
    clean = [float(n % 2) for n in range(200)]
    perturbed = [value if n % 20 else 0.0 for n, value in enumerate(clean)]
    low, high = paired_interval(clean, once(perturbed), difference)
    assert high - low < 0.5 * (mean_interval(clean).high - mean_interval(clean).low)


@pytest.mark.parametrize("problems", [2, 3, 12, 164])
def test_an_interval_keeps_a_width_when_all_problems_agree_and_contains_what_was_measured(problems):
    ones, noughts = [1.0] * problems, [0.0] * problems
    for clean, perturbed, statistic, value in (
        (ones, ones, difference, 0),
        (noughts, noughts, difference, 0),
        (ones, noughts, difference, -1),
        (ones, ones, loss, 0),
        (ones, noughts, loss, 1),
    ):
        low, high = paired_interval(clean, once(perturbed), statistic)
        assert low <= value <= high and high - low > 1 / (4 * problems + 4) and high <= 1
    widths = [
        high - low for low, high in (paired_interval([1.0] * n, once([1.0] * n), difference) for n in (3, 12, 164))
    ]
    assert widths == sorted(widths, reverse=True)


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
    spread = np.array(values)
    carriers = min(total.sum() ** 2 / (total**2).sum() for total in (spread, 1 - spread))
    ratio = spread.var() / (spread.mean() * (1 - spread.mean()))
    effect = (ratio * carriers + MEAN_WEIGHT) / (carriers + MEAN_WEIGHT)
    problems = 40 / min(effect * 40 / 39, 1)
    reference = proportion_confint(spread.mean() * problems, problems, method="wilson")
    assert mean_interval(values) == pytest.approx(reference)


@pytest.mark.parametrize("problems", [12, 100])
@pytest.mark.parametrize("statistic", [difference, loss])
def test_paired_intervals_over_several_draws_cover_the_truth(problems, statistic):
    truth = float(statistic(np.array([0.9]), np.array([0.9 * 0.5 + 0.1 * 0.2]))[0])
    rng = numpy_rng(7, "draws", problems)
    found = [paired_interval(*drawn(rng, problems, 0.9, 0.5, 0.2, draws=4), statistic) for _ in range(200)]
    assert sum(low <= truth <= high for low, high in found) / 200 >= 0.9


def test_means_over_several_draws_cover_the_truth_and_narrow_with_more_draws():
    rng = numpy_rng(7, "mean of draws")
    found = [drawn_mean_interval((rng.random((40, 5)) < 0.5).astype(float).tolist()) for _ in range(200)]
    assert sum(low <= 0.5 <= high for low, high in found) / 200 >= 0.93
    widths = [np.diff(drawn_mean_interval((rng.random((200, n)) < 0.5).astype(float).tolist()))[0] for n in (2, 8, 32)]
    assert widths == sorted(widths, reverse=True)


def test_draws_that_agree_change_no_interval():
    clean, perturbed = [1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]
    thrice = [[value] * 3 for value in perturbed]
    assert drawn_mean_interval(thrice) == drawn_mean_interval(once(perturbed)) == mean_interval(perturbed)
    assert paired_interval(clean, thrice, loss) == paired_interval(clean, once(perturbed), loss)


def test_draws_that_differ_widen_the_interval_of_their_means():
    steady, mixed = [[0.5, 0.5], [1.0, 1.0]] * 20, [[0.0, 1.0], [1.0, 1.0]] * 20
    ends = [drawn_mean_interval(draws) for draws in (steady, mixed)]
    assert np.diff(ends[1])[0] > np.diff(ends[0])[0]
    clean = [1.0] * 40
    ends = [paired_interval(clean, draws, difference) for draws in (steady, mixed)]
    assert np.diff(ends[1])[0] > np.diff(ends[0])[0]


def test_a_problem_may_miss_a_draw():
    low, high = drawn_mean_interval([[1.0, 0.0], [1.0], [0.0, 1.0, 1.0]] * 30)
    assert low < (0.5 + 1 + 2 / 3) / 3 < high


@pytest.mark.parametrize("value", [0.0, 1.0, 2 / 3])
def test_one_problem_gives_no_interval_over_problems(value):
    found = [mean_interval([value]), drawn_mean_interval([[value]]), drawn_mean_interval([[0.0, value, 1.0]])]
    found.append(paired_interval([1.0], [[value]], difference))
    assert all(math.isnan(end) for interval in found for end in interval)
    assert [interval_note(tasks) for tasks in (0, 1, 2)] == ["", NO_INTERVAL, ""]
    assert [interval_note(50, passes) for passes in (0, 9.5, 10)] == [
        "",
        "rough interval: fewer than 10 clean passes",
        "",
    ]
    assert interval_note(50, 9, "clean failures") == "rough interval: fewer than 10 clean failures"
