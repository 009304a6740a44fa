"""The bootstrap of statistics of several means: it covers what it should, and keeps its width at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raysweep.seeding import numpy_rng
from raysweep.stats.bootstrap import bootstrap_intervals
from raysweep.stats.intervals import NO_INTERVAL, drawn_mean_interval, interval_note, mean_interval


def difference(x, y):
    return y - x


def loss(x, y):
    return (x - y) / np.where(x == 0, np.nan, x)


def drawn(rng, problems: int, clean: float, lost: float, won: float, draws: int = 1):
    """Verdicts on clean and perturbed prompts: of those that pass, `lost` fail then, and of the others `won` pass."""
    before = rng.random(problems) < clean
    shape = (draws, problems)
    after = np.where(before, rng.random(shape) >= lost, rng.random(shape) < won)
    return before.astype(float).tolist(), after.T.astype(float).tolist()


def once(values) -> list[list[float]]:
    """The values of one draw."""
    return [[float(value)] for value in values]


def paired_interval(clean, perturbed, statistic, seed=42):
    (found,) = bootstrap_intervals([once(clean), perturbed], lambda means: [statistic(*means)], seed=seed)
    return found


def test_equal_data_has_equal_intervals_and_another_seed_other_ones():
    values = [float(n % 3 == 0) / 2 for n in range(100)]
    one, other = (paired_interval(values, once(values[::-1]), difference, seed) for seed in (1, 2))
    assert paired_interval(values, once(values[::-1]), difference, 1) == one != other
    ends = [
        paired_interval([1.0] * 161, once([float(n % 3 > 0) for n in range(161)]), loss, seed) for seed in range(12)
    ]
    assert (np.std(ends, axis=0) < 0.0013).all()  # .13 points


@pytest.mark.parametrize("problems", [[], [1.0]])
def test_fewer_than_two_problems_have_none(problems):
    found = bootstrap_intervals([once(problems)] * 2, lambda means: [means[0] - means[1], means[0]])
    assert len(found) == 2 and all(math.isnan(end) for interval in found for end in interval)


def test_an_undefined_statistic_has_none():
    ((low, high),) = bootstrap_intervals([once([0.0] * 5)], lambda means: [np.full(means.shape[1], np.nan)])
    assert math.isnan(low) and math.isnan(high)


def test_changes_of_shares_of_many_completions_are_narrower_than_those_of_verdicts():
    values = [once([0.5 + shift] * 60 + [0.4 + shift] * 60) for shift in (0.0, 0.1, 0.05, 0.2)]
    verdicts = [once([1.0] * 60 + [0.0] * 60), once([0.0, 1.0] * 60), once([1.0] * 80 + [0.0] * 40), once([1.0] * 120)]
    change = lambda means: [means[3] - means[2] - means[1] + means[0]]  # noqa: E731
    (narrow,), (wide,) = bootstrap_intervals(values, change), bootstrap_intervals(verdicts, change)
    assert np.diff(narrow)[0] < 0.3 * np.diff(wide)[0]


@pytest.mark.slow
@pytest.mark.parametrize("problems", [12, 100])
@pytest.mark.parametrize(
    ("rates", "draws", "sweeps"),
    [((0.4, 0.3, 0.1), 1, 300), ((0.9, 0.5, 0.2), 1, 300), ((0.95, 0.05, 0.0), 1, 300), ((0.9, 0.5, 0.2), 4, 200)],
)
def test_paired_intervals_cover_the_truth_about_95_times_in_100(problems, rates, draws, sweeps):
    clean, lost, won = rates
    after = clean * (1 - lost) + (1 - clean) * won
    rng, held = numpy_rng(7, "coverage", problems, draws, *map(str, rates)), np.zeros(2)
    for _ in range(sweeps):
        before, perturbed = drawn(rng, problems, *rates, draws=draws)
        ends = bootstrap_intervals([once(before), perturbed], lambda means: [difference(*means), loss(*means)])
        held += [
            low <= truth <= high for (low, high), truth in zip(ends, (after - clean, 1 - after / clean), strict=True)
        ]
    assert (held / sweeps >= 0.9).all()


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


@pytest.mark.long
def test_differences_of_rd_are_covered():
    """161 problems, one completion each; problems share their difficulty between models and prompts.

    In small, without the columns that are resampled: tests/stats/test_coverage.py.
    """
    from raysweep.analysis.comparisons.degradation import _resampled, rd_change

    rng, hits, sweeps = np.random.default_rng(5), 0, 300
    scale = np.array([1.0, 0.8, 0.9, 0.85])
    truth = rd_change(*(0.5 * scale))[0]
    for _ in range(sweeps):
        chances = rng.beta(1, 1, (161, 1)) * scale
        verdicts = (rng.random((161, 4)) < chances).astype(float)
        low, high = bootstrap_intervals([once(column) for column in verdicts.T], _resampled)[0]
        hits += low <= truth <= high
    assert 0.925 <= hits / sweeps <= 0.985
