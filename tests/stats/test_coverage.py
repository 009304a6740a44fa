"""Intervals hold 95 times in 100 in simulated sweeps; benchmarks/coverage.py measures all populations."""

from __future__ import annotations

from math import inf

import pytest

from tests.stats.coverage import Population, change_coverage, coverages

SWEEPS = 600
LOWEST = 0.905
"""Two standard errors of 600 sweeps below 92.5 %."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "concentration", "samples"),
    [(0.02, 0.1, 1), (0.1, 0.1, 40), (0.1, inf, 1), (0.5, 1.0, 40), (0.98, 1.0, 1)],
)
def test_intervals_hold_about_95_times_in_100(level, concentration, samples):
    found = list(coverages(Population(level, concentration, 161, samples), SWEEPS))
    of_many = {"pass@10"} if samples == 40 else set()
    assert {one.quantity for one in found} == {"pass@1", "drop", "RD", "two models", "change of RD"} | of_many
    low = {one.quantity: round(one.share, 3) for one in found if one.counts and one.share < LOWEST}
    assert not low and all(one.width > 0 for one in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problems", "lost", "won", "edits"),
    [(160, 0.015, 0.0, 1), (160, 0.02, 0.02, 1), (427, 0.005, 0.0, 1), (160, 0.015, 0.0, 15), (160, 0.03, 0.01, 15)],
)
def test_changes_of_few_verdicts_are_covered_93_times_in_100(problems, lost, won, edits):
    found = change_coverage(problems, lost, won, edits, 1000)
    assert found.share >= 0.93 - 2 * (0.93 * 0.07 / 1000) ** 0.5 and found.width < 0.08


def test_a_population_with_few_expected_passes_is_named_by_what_it_expects():
    rough = {one.quantity for one in coverages(Population(0.02, 1.0, 161, 1), 20) if not one.counts}
    assert rough == {"RD", "change of RD"}
    assert all(one.counts for one in coverages(Population(0.1, 1.0, 161, 1), 20))


def test_a_larger_test_set_has_narrower_intervals():
    small, large = (list(coverages(Population(0.3, 1.0, problems, 40), 50)) for problems in (40, 161))
    assert all(one.width > 1.5 * other.width for one, other in zip(small, large, strict=True))
