"""The runs test against all orders, written out, and the chi-square test against its exact distribution."""

from __future__ import annotations

from itertools import combinations, groupby, product
from math import isnan

import pytest

from raysweep.errors import UsageError
from raysweep.stats.runs_test import NO_COUNT, NO_ORDER, runs_test


def share_of_orders(places: int, marked: int, runs: int) -> float:
    """The share of all orders of marked places with so many runs or fewer."""
    found = [
        len(list(groupby([place in chosen for place in range(places)])))
        for chosen in combinations(range(places), marked)
    ]
    return sum(number <= runs for number in found) / len(found)


@pytest.mark.parametrize("counts", [(0, 5, 5, 0), (5, 0, 5, 0), (0, 0, 3, 4, 3, 0, 0, 0), (9, 0, 0, 0, 0, 0, 0, 9)])
def test_p_is_the_share_of_orders_with_as_few_runs(counts):
    found = runs_test(counts)
    assert found.p_runs == pytest.approx(share_of_orders(found.places, found.marked, found.runs))
    assert found.smallest_p_runs == pytest.approx(share_of_orders(found.places, found.marked, 2))


def test_neighbours_among_32_blocks_are_told_from_scattered_ones():
    together = runs_test([0] * 14 + [3] * 6 + [0] * 12)
    scattered = runs_test([3 if place % 5 == 2 else 0 for place in range(32)])
    assert together.p_runs < 1e-3 < 0.5 < scattered.p_runs
    assert together.p_uniform < 0.01 and scattered.p_uniform < 0.01


def test_the_chi_square_p_is_that_of_all_outcomes():
    counts = (4, 1, 0)
    found = runs_test(counts)
    outcomes = list(product(range(3), repeat=5))

    def distance(numbers) -> float:
        return sum((number - 5 / 3) ** 2 for number in numbers)

    exact = sum(distance([o.count(p) for p in range(3)]) >= distance(counts) - 1e-9 for o in outcomes) / len(outcomes)
    assert found.p_uniform == pytest.approx(exact, abs=0.02)


def test_equal_counts_show_nothing_and_no_counts_are_no_test():
    equal, none = runs_test([2, 2, 2, 2]), runs_test([0, 0, 0])
    assert isnan(equal.p_runs) and equal.note == NO_ORDER and equal.p_uniform == 1
    assert isnan(none.p_runs) and isnan(none.p_uniform) and none.note == NO_COUNT


@pytest.mark.parametrize("counts", [(3,), (2, -1)])
def test_fewer_than_two_places_and_negative_counts_are_refused(counts):
    with pytest.raises(UsageError, match="a runs test needs counts from 0 of at least 2 places"):
        runs_test(counts)
