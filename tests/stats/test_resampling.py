"""Bootstraps over problems: p and interval agree, clusters count, and the best setting is in its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from raysweep.errors import UsageError
from raysweep.seeding import numpy_rng
from raysweep.stats import argmax_interval, bootstrap_difference, mcnemar
from raysweep.stats.bootstrap import LOST_OR_WON, RESAMPLES, bootstrap_intervals
from raysweep.stats.resampling import ONE_DRAW, ROUGH


def once(values):
    return [[float(value)] for value in values]


def verdicts(rng, problems: int, first: float, second: float):
    hardness = rng.random(problems) / 2 + rng.random(problems) / 2
    return once(hardness < first), once(hardness + rng.normal(0, 0.1, problems) < second)


def test_the_interval_is_that_of_a_drop_and_p_is_below_a_twentieth_where_it_leaves_out_0():
    rng = numpy_rng(3, "agreement")
    found = [(bootstrap_difference(*pair), pair) for pair in (verdicts(rng, 60, 0.5, 0.42) for _ in range(60))]
    outside = [not one.low <= 0 <= one.high for one, _ in found]
    assert outside == [one.p < 0.05 for one, _ in found] and 5 < sum(outside) < 55
    one, (first, second) = found[0]
    (ends,) = bootstrap_intervals([second, first], lambda means: [means[1] - means[0]])
    assert (one.low, one.high) == pytest.approx(ends, abs=0.01)
    assert one.difference == pytest.approx(np.mean(first) - np.mean(second)) and one.low < one.difference < one.high


def test_p_is_near_mcnemars_mid_p():
    for lost in (4, 8, 14):
        first = [True] * 40 + [True] * lost + [False] * 5 + [False] * 51
        second = [True] * 40 + [False] * lost + [True] * 5 + [False] * 51
        mid_p = mcnemar(first, second).p - binom.pmf(min(lost, 5), lost + 5, 0.5)
        assert bootstrap_difference(once(first), once(second)).p == pytest.approx(mid_p, abs=0.1 * mid_p + 0.03)


@pytest.mark.parametrize("kind", ["int64", "float32", "bool"])
def test_arrays_of_any_numbers_give_what_lists_give(kind):
    first, second = [[1]] * 10 + [[0]] * 2, [[0]] * 9 + [[1]] * 3
    expected = bootstrap_difference(first, second)
    assert bootstrap_difference(np.array(first, kind), np.array(second, kind)) == expected
    with pytest.raises(UsageError, match="problem 1 of first has no value"):
        bootstrap_difference(np.empty((3, 0)), np.empty((3, 0)))


def test_equal_cells_reject_about_one_time_in_twenty():
    rng = numpy_rng(3, "null")
    rejected = sum(bootstrap_difference(*verdicts(rng, 80, 0.5, 0.5)).p < 0.05 for _ in range(300))
    assert rejected / 300 < 0.09


def test_problems_count_and_not_the_models_and_seeds_within_them():
    first, second = once([1, 1, 0, 1, 0, 1] * 5), once([0, 1, 0, 1, 0, 0] * 5)
    thrice = [values * 3 for values in first], [values * 3 for values in second]
    one, more = bootstrap_difference(first, second), bootstrap_difference(*thrice)
    assert (one.n, more.n, one.values, more.values) == (30, 30, 60, 180)
    assert (one.low, one.high, one.p) == pytest.approx((more.low, more.high, more.p))


@pytest.mark.parametrize("value", [1.0, 0.3])
def test_equal_values_have_a_symmetric_interval_that_is_near_the_resampled_one(value):
    first = [[value]] * 80 + [[0.0]] * 80
    one = bootstrap_difference(first, first)
    assert one.difference == 0 and one.high == -one.low == pytest.approx(1 - 0.05 ** (1 / 161)) and one.p == 1
    (resampled,) = bootstrap_intervals([first, first], lambda means: [means[0] - means[1]], LOST_OR_WON)
    assert resampled == pytest.approx((one.low, one.high), abs=0.002)


def test_a_difference_says_what_it_can_show():
    clear = bootstrap_difference(once([1] * 50), once([0] * 50))
    assert clear.p == clear.smallest_p == 2 / (RESAMPLES + 1) and clear.note == ""
    same = bootstrap_difference(once([1, 0, 1]), once([1, 0, 1]))
    assert (same.p, same.difference, same.note) == (1, 0, ROUGH) and same.low < 0 < same.high


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([[1.0]], [[1.0]], "at least 2; they have 1 and 1"),
        ([[1.0]] * 3, [[1.0]] * 2, "they have 3 and 2"),
        ([[1.0], []], [[1.0], [0.0]], "problem 2 of first has no value"),
        ([1.0, 0.0], [[1.0], [0.0]], r"problem 1 of first is 1.0; give a list of values, such as \[1.0\]"),
        ([[1.0], [0.5]], [[1.0], [float("nan")]], "problem 2 of second has the value nan"),
        ([[1.0], [2.0]], [[1.0], [0.0]], "problem 2 of first has the value 2"),
    ],
)
def test_unusable_cells_are_refused(first, second, said):
    with pytest.raises(UsageError, match=said):
        bootstrap_difference(first, second)


def curve(rng, problems: int, draws: int, heights: dict[str, float]):
    hardness = rng.random((problems, 1))
    return {
        name: (rng.random((problems, draws)) * 0.4 + 0.8 * hardness < height).astype(float).tolist()
        for name, height in heights.items()
    }


def test_a_clear_peak_is_the_best_and_the_interval_holds_nothing_else():
    heights = {"10 %": 0.2, "30 %": 0.4, "50 %": 0.8, "70 %": 0.4, "90 %": 0.2}
    found = argmax_interval(curve(numpy_rng(1, "peak"), 161, 3, heights))
    assert (found.best, found.interval, found.tied, found.note) == ("50 %", ("50 %",), ("50 %",), "")
    assert found.shares == (0, 0, 1, 0, 0) and (found.n, found.draws) == (161, (3,) * 5)


@pytest.mark.slow
def test_the_interval_holds_the_best_setting_95_times_in_100():
    heights = {"0.5x": 0.5, "1x": 0.56, "2x": 0.58, "4x": 0.55}
    rng = numpy_rng(1, "hold")
    found = [argmax_interval(curve(rng, 100, 2, heights)) for _ in range(200)]
    assert sum("2x" in one.interval for one in found) / 200 >= 0.92
    assert all(one.best in one.interval and sum(one.shares) == pytest.approx(1) for one in found)
    assert all(list(one.interval) in [list(heights)[a:b] for a in range(4) for b in range(a + 1, 5)] for one in found)
    assert 1 < np.mean([len(one.interval) for one in found]) < 4


def test_settings_that_tie_are_named_and_share():
    rows = once([1, 0, 1, 0, 1] * 8)
    found = argmax_interval({"a": once([0] * 40), "b": rows, "c": rows})
    assert (found.best, found.tied, found.interval) == ("b", ("b", "c"), ("b", "c"))
    assert found.shares == pytest.approx((0, 0.5, 0.5), abs=0.05)
    assert found.note == f"b and c tie; {ONE_DRAW}"


def test_one_problem_makes_no_setting_certain():
    rows = [1.0, 0.0] * 80
    found = argmax_interval({"a": once(rows), "b": once([1.0, 1.0, *rows[2:]])})
    assert found.best == "b" and found.shares[1] == pytest.approx(0.76, abs=0.08) and found.interval == ("a", "b")
    assert found.shares[1] == pytest.approx(
        1 - bootstrap_difference(once([1.0, 1.0, *rows[2:]]), once(rows)).p / 2, abs=0.04
    )


@pytest.mark.slow
def test_of_equal_settings_few_are_called_certain():
    rng = numpy_rng(1, "equal")

    def sure(redrawn: float) -> bool:
        first = (rng.random(161) < 0.3) * 1.0
        second = np.where(rng.random(161) < redrawn, rng.random(161) < 0.3, first)
        return len(argmax_interval({"a": once(first), "b": once(second)}).interval) == 1

    assert sum(sure(redrawn) for redrawn in (0.02, 0.1, 1.0) for _ in range(60)) / 180 < 0.15  # 5 % at each side


def test_settings_may_have_different_numbers_of_draws():
    rng = numpy_rng(1, "unequal")
    base = (rng.random(60) < 0.5) * 1.0
    found = argmax_interval({"a": once(base), "b": np.stack([base, base, 1 - base], axis=1).tolist()})
    assert found.draws == (1, 3) and found.note == ONE_DRAW


def test_draws_that_disagree_make_the_best_setting_less_sure():
    rng = numpy_rng(2, "draws")
    base = rng.random((200, 1)) < 0.5
    steady = {"a": np.repeat(base, 2, 1) * 1.0, "b": np.repeat(base | (rng.random((200, 1)) < 0.1), 2, 1) * 1.0}
    seeds = {"a": np.clip(steady["a"] + [[0.2, -0.2]], 0, 1), "b": steady["b"]}
    sure, unsure = (argmax_interval({k: v.tolist() for k, v in scores.items()}) for scores in (steady, seeds))
    assert sure.interval == ("b",) and max(unsure.shares) < max(sure.shares)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"a": [[1.0], [0.0]]}, "at least 2 settings, not 1"),
        ({"a": [1, 0], "b": [[1], [0]]}, r"a problem of setting a is 1; give a list of draws: \[1\]"),
        ({"a": [[1.0]], "b": [[1.0]]}, "setting a needs at least 2 problems"),
        ({"a": [[1.0], [0.0, 1.0]], "b": [[1.0], [0.0]]}, "equally many draws"),
        ({"a": [[1.0], [0.0]], "b": [[1.0], [0.0], [1.0]]}, "settings a and b need the same problems"),
        ({"a": [[1.0], [0.0]], "b": [[1.0], [float("nan")]]}, "problem 2 of setting b has the value nan"),
    ],
)
def test_unusable_settings_are_refused(scores, said):
    with pytest.raises(UsageError, match=said):
        argmax_interval(scores)
