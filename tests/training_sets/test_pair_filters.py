"""Rejected responses that are no near misses are left out, each for one reason."""

from __future__ import annotations

import pytest

from raysweep.records import SourceRow
from raysweep.training_sets.pair_filters import PairFilters, Variant, tokens_by

ROW = SourceRow("a", "Add one.", "x = a + 1\n")
ALL = PairFilters(True, 0.5, 20, True)
NONE = PairFilters(False, 0, 0, False)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        (Variant("x = a - 1\n", ""), ""),
        (Variant("x  =\ta + 1", ""), "equal to the response"),
        (Variant("Hello", ""), "less similar than 0.5"),
        (Variant("x = a - 1\n", "", lacks_fence=True), "no code fence"),
        (Variant("x = a - 1\n", "", is_cut=True), "cut at the answer's most tokens"),
        (Variant("x = a + 1  # " + "long " * 20, ""), "longer than 20 tokens with its prompt"),
    ],
)
def test_a_variant_is_left_out_for_the_first_reason(variant: Variant, reason: str) -> None:
    assert ALL.reason_against(ROW, variant, lambda text: len(text.split())) == reason
    assert NONE.reason_against(ROW, variant, len) == ""


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
