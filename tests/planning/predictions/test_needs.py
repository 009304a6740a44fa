"""What a label's condition names, and which values satisfy it."""

from __future__ import annotations

import pytest

from raysweep.config.resources import values_of
from raysweep.planning.predictions.needs import matches_one, names_in, without

CONDITIONS = [  # the condition, what it names, what may be, what satisfies it of A, B and no label
    ("A", ["A"], ["A"], {"A"}),
    ("in(A,B)", ["A", "B"], ["A", "B"], {"A", "B"}),
    ("in(A, C)", ["A", "C"], ["A", "C"], {"A"}),
    ("in()", [], [""], set()),
    ("!A", ["A"], [], {"B", None}),
    ("!in(A,B)", ["A", "B"], [], {None}),
    ("", [], [], {"A", "B", None}),
]


@pytest.mark.parametrize(("condition", "named", "possible", "satisfying"), CONDITIONS)
def test_a_condition_is_read_in_one_way(condition, named, possible, satisfying):
    assert values_of(condition) == named
    assert names_in(condition) == possible
    if condition:  # a label without a condition isn't asked
        assert {value for value in ("A", "B", None) if matches_one(condition, value)} == satisfying


@pytest.mark.parametrize(
    ("condition", "left"),
    [("in(A,B)", "B"), ("A", "in()"), ("in()", "in()"), ("!B", "!in(A,B)"), ("", "!in(A)"), ("in(B,C)", "in(B,C)")],
)
def test_values_can_be_taken_out_of_a_condition(condition, left):
    assert without(condition, ["A"]) == left
