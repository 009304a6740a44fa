"""Edits of a text's segments: replaces pieces of natural segments and leaves every other character as it is."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from raysweep.records import Segment

Spans = Sequence[tuple[int, int]]
"""The (start, end) of pieces of a text, in order."""


class Edit(NamedTuple):
    """Text that replaces ``segments[segment].text[start:end]``."""

    segment: int
    start: int
    end: int
    text: str


def apply_edits(segments: Sequence[Segment], edits: Iterable[Edit]) -> list[Segment]:
    """Return segments with edits applied; edits come in the order of the text and don't overlap."""
    pieces: dict[int, list[str]] = {}
    ends: dict[int, int] = {}
    for segment, start, end, text in edits:
        done = pieces.setdefault(segment, [])
        done.append(segments[segment].text[ends.get(segment, 0) : start])
        done.append(text)
        ends[segment] = end
    return [
        Segment("".join(pieces[index]) + old.text[ends[index] :], True) if index in pieces else old
        for index, old in enumerate(segments)
    ]


def is_within(position: int, spans: Spans) -> bool:
    before = bisect_right(spans, (position, sys.maxsize)) - 1
    return before >= 0 and position < spans[before][1]


def copy_case(word: str, replacement: str) -> str:
    """Return a replacement with the capitals of the word: none, the first letter, or all."""
    if word[:1].isupper():
        return replacement.upper() if len(word) > 1 and word.isupper() else replacement[:1].upper() + replacement[1:]
    return replacement
