"""Stored results of sweeps still give the numbers that they gave when they were stored."""

from __future__ import annotations

import pytest

from tests.golden.__main__ import differences, stored_differences


def test_a_number_that_is_another_one_or_missing_is_named():
    before = {"a.csv|x|value": 1.0, "b.csv|x|value": float("nan"), "key|x": "1f"}
    assert differences(before, before) == []
    assert differences({**before, "c.csv|new": 2.0, "choice-x.csv|y": 1.0}, before | {"choice-x.csv|x": 1.0}) == [
        "choice-x.csv|y: new, 1.0"
    ]
    assert differences({"a.csv|x|value": 1.0 + 1e-6, "b.csv|x|value": 2.0}, before) == [
        "a.csv|x|value: 1.0, now 1.000001",
        "b.csv|x|value: nan, now 2.0",
        "key|x: 1f, now missing",
    ]


@pytest.mark.long
def test_stored_results_give_the_numbers_that_they_gave():
    assert {name: lines for name, lines in stored_differences() if lines} == {}
