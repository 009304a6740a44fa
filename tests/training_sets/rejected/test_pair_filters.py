"""Rejected responses that are no near misses are left out, each for one reason."""

from __future__ import annotations

import pytest

from raysweep.records import SourceRow
from raysweep.training_sets.rejected.pair_filters import EQUAL, SAME_CODE, PairFilters, Variant, sameness, tokens_by

ROW = SourceRow("a", "Add one.", "x = a + 1\n")
ALL = PairFilters(True, 0.5, 20, True)
NONE = PairFilters(False, 0, 0, False)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        (Variant("x = a - 1\n", ""), ""),
        (Variant("x  =\ta + 1", ""), "equal to the response"),
        (Variant("x = (a+1)  # the next", ""), "equal but for comments or formatting"),
        (Variant("Hello", ""), "less similar than 0.5"),
        (Variant("x = a - 1\n", "", lacks_fence=True), "no code fence"),
        (Variant("x = a - 1\n", "", is_cut=True), "cut at the answer's most tokens"),
        (Variant("x = a - 1  # " + "long " * 20, ""), "longer than 20 tokens with its prompt"),
    ],
)
def test_a_variant_is_left_out_for_the_first_reason(variant: Variant, reason: str) -> None:
    assert ALL.reason_against(ROW, variant, lambda text: len(text.split())) == reason
    assert NONE.reason_against(ROW, variant, len) == ""


FENCED = "Like this:\n```{tag}\n{code}\n```\nDone."
FUNCTION = {"instruction": 'def add(a, b):\n    """Add."""\n', "entry_point": "add"}


@pytest.mark.parametrize(
    ("language", "own", "other", "same"),
    [
        ("python", "def f(a):\n    return a", 'def f(a):\n    """Do it."""\n    return (a)  # a', True),
        ("python", "print('a')", 'print( "a" )', True),
        ("python", "print('a')", "print('# a')", False),
        ("python", "x = 1 +", "x = 1 +  # broken", False),
        ("java", "int a = b; // next", "/* first */ int a=b;", True),
        ("java", 'f("// a");', 'f("// b");', False),
        ("java", "int a = b;", "int ab;", False),
        ("ruby", "x = 1", "x = 1 # one", False),
    ],
)
def test_code_is_the_same_whatever_its_comments_and_formatting(language: str, own: str, other: str, same: bool) -> None:
    response, text = (FENCED.format(tag=language, code=code) for code in (own, other))
    assert sameness(SourceRow("a", "Do it.", response, language=language), text) == (SAME_CODE if same else "")
    assert sameness(SourceRow("a", "Do it.", own, language=language), other) == (SAME_CODE if same else "")


def test_a_body_is_compared_as_part_of_its_function() -> None:
    row = SourceRow("a", output="    return a + b\n", **FUNCTION)
    assert sameness(row, "    # both\n    return (a + b)\n") == SAME_CODE
    assert sameness(row, "    return a - b\n") == ""
    assert sameness(row, "    return a + b") == EQUAL


def test_a_response_without_text_is_always_left_out() -> None:
    assert NONE.reason_against(ROW, Variant(" \n", ""), len) == "no text"


def test_tokens_are_counted_only_where_bytes_do_not_settle_it() -> None:
    filters = PairFilters(False, 0, 30)
    asked: list[str] = []
    assert filters.reason_against(ROW, Variant("x = a - 1\n", ""), lambda text: asked.append(text) or 0) == ""  # type: ignore[func-returns-value]
    assert not asked
    assert filters.reason_against(ROW, Variant("ä" * 12, ""), lambda text: asked.append(text) or 0) == ""  # type: ignore[func-returns-value]
    assert len(asked) == 2


def test_a_served_teachers_tokens_are_estimated() -> None:
    assert tokens_by(None)("x" * 32) == 10
