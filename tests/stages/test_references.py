"""Limits from reference times: at least a second or what the set says, in steps, never above the fixed limit."""

from __future__ import annotations

import pytest

from raysweep.stages.references import rounded_timeout


@pytest.mark.parametrize(
    ("seconds", "factor", "most", "limit"),
    [
        (0.0, 4, 5, 1.0),
        (0.001, 4, 5, 1.0),
        (0.25, 4, 5, 1.0),
        (0.26, 4, 5, 1.5),
        (0.45, 4, 5, 2.0),
        (0.51, 4, 5, 3.0),
        (1.0, 4, 5, 5.0),
        (1.3, 4, 5, 5.0),
        (1.3, 4, 100, 7.0),
        (2.5, 4, 100, 10.0),
        (3.0, 4, 100, 15.0),
        (0.01, 4, 0.5, 0.5),
        (250.0, 4, 1e5, 1000.0),
        (250.1, 4, 1e5, 1500.0),
    ],
)
def test_a_limit_is_the_next_step_above_the_multiple(seconds, factor, most, limit):
    assert rounded_timeout(seconds, factor, most) == pytest.approx(limit)


@pytest.mark.parametrize(("seconds", "limit"), [(1.0, 30.0), (8.0, 50.0), (30.0, 150.0), (70.0, 240.0)])
def test_a_limit_is_no_shorter_than_the_least_one_of_its_set(seconds, limit):
    assert rounded_timeout(seconds, 4, 240, least=30) == limit
    assert rounded_timeout(seconds, 4, 10, least=30) == 10
