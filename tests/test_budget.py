"""The gate: statements are counted, budgets are kept, and their sums never grow."""

from __future__ import annotations

import pytest

from tests.budget import complaints, lowered, statements


def test_only_statements_count():
    long = '"""Docs."""\nimport os\nX = 1\n"""What X is."""\ndef f():\n    """Docs."""\n    if X: return os\n'
    assert statements(long) == 4, "the assignment, the function, its condition and its return"


@pytest.mark.parametrize(
    ("number", "most", "line"),
    [
        (101, 100, "raysweep/a: 101 statements, the budget has 100: remove some, or take from a folder"),
        (97, 100, "raysweep/a: 97 statements, the budget has 100: `python -m tests.budget --lower`"),
        (98, 100, None),
        (100, 100, None),
    ],
)
def test_a_folder_keeps_its_budget(number, most, line):
    counts, budget = {"raysweep/a": {"statements": number}}, {"raysweep/a": {"statements": most}}
    assert complaints(counts, budget, []) == ([line] if line else [])
    assert lowered(counts, budget) == {"raysweep/a": {"statements": min(number, most)}}


def test_a_new_folder_takes_its_budget_from_another_one():
    before = {"raysweep/a": {"statements": 100}}
    counts = {"raysweep/a": {"statements": 60}, "raysweep/b": {"statements": 41}}
    grown = "raysweep statements: the budgets' sum is 101, and was 100: it only falls"
    assert complaints(counts, counts, [before]) == [grown]
    counts["raysweep/b"]["statements"] = 40
    assert complaints(counts, counts, [before]) == []
