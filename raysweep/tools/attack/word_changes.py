"""Word edits between two texts: finds, counts and applies them, and takes some of them.

Words are compared with those at their own place: a method that changes words one by one keeps their number and the
blanks between them, so that the third word of a segment became its third word. Only where it changed the number
(a longer synonym, another tense) are the words of the segment aligned by what they have in common, by difflib.
"""

from __future__ import annotations

import difflib
import random
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from raysweep.records import Segment

_TOKEN = re.compile(r"\s+|\S+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")


class Size(NamedTuple):
    """The size of a change; sizes are compared by words first."""

    words: int  # changed, inserted and deleted words
    characters: int  # changed, inserted and deleted characters


class WordEdit(NamedTuple):
    """The replacement of ``segments[segment].text[start:end]``, some words with their punctuation, by `new`."""

    segment: int
    start: int
    end: int
    new: str
    words: int  # changed, inserted and deleted words
    characters: int  # changed, inserted and deleted characters


Change = tuple[WordEdit, ...]
"""Edits of one text, in the order of the text, which don't overlap."""


def word_edits(before: Sequence[Segment], after: Sequence[Segment]) -> Change:
    """Return the edits that turn one text into another, which is cut into as many segments."""
    pairs = enumerate(zip(before, after, strict=True))
    return tuple(edit for index, (old, new) in pairs if old.text != new.text for edit in _edits(index, old, new))


def apply_edits(before: Sequence[Segment], edits: Change) -> tuple[Segment, ...]:
    changed = list(before)
    for index, of_segment in groupby(edits, key=lambda edit: edit.segment):
        text, pieces, end = before[index].text, list[str](), 0
        for edit in of_segment:
            pieces += [text[end : edit.start], edit.new]
            end = edit.end
        changed[index] = Segment("".join([*pieces, text[end:]]), before[index].natural)
    return tuple(changed)


def size_of(edits: Change) -> Size:
    return Size(sum(edit.words for edit in edits), sum(edit.characters for edit in edits))


def keep_some(edits: Change, words: int, rng: random.Random) -> Change:
    """Return randomly chosen edits, as many as change at most `words` words."""
    if size_of(edits).words <= words:
        return edits
    kept: list[WordEdit] = []
    for edit in rng.sample(edits, len(edits)):
        if 0 < edit.words <= words - sum(other.words for other in kept):
            kept.append(edit)
    return tuple(sorted(kept))


def without_each(edits: Change) -> Iterator[Change]:
    for index in range(len(edits)):
        yield (*edits[:index], *edits[index + 1 :])


def by_place(edits: Change, segments: Sequence[Segment], *, sentences: bool) -> Iterator[Change]:
    """Yield the edits of a text one by one, or together those of each sentence; `segments`: the text before."""
    ends = [[end.start() for end in _SENTENCE_END.finditer(segment.text)] for segment in segments if sentences]
    grouped: dict[tuple[int, int], Change] = {}
    for edit in edits:
        place = edit.segment, bisect(ends[edit.segment], edit.start) if sentences else edit.start
        grouped[place] = (*grouped.get(place, ()), edit)
    yield from grouped.values()


def overlap(edits: Change) -> bool:
    """Return True if two of the edits, which come in the order of the text, change the same piece of it."""
    return any(left.segment == right.segment and left.end > right.start for left, right in pairwise(edits))


def _edits(index: int, before: Segment, after: Segment) -> Iterator[WordEdit]:
    old, new = _TOKEN.findall(before.text), _TOKEN.findall(after.text)
    starts = [0, *accumulate(map(len, old))]
    if _blanks(old) == _blanks(new):
        pairs = enumerate(zip(old, new, strict=True))
        ranges = [(at, at + 1, at, at + 1) for at, (before_word, after_word) in pairs if before_word != after_word]
    else:
        codes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        ranges = [(i, j, k, m) for tag, i, j, k, m in codes if tag != "equal"]
    for i, j, k, m in ranges:
        words = max(_words(old[i:j]), _words(new[k:m]))
        text = "".join(new[k:m])
        yield WordEdit(index, starts[i], starts[j], text, words, _characters("".join(old[i:j]), text))


def _blanks(tokens: Sequence[str]) -> list[str]:
    return [token if token.isspace() else "" for token in tokens]


def _words(tokens: Sequence[str]) -> int:
    return sum(not token.isspace() for token in tokens)


def _characters(old: str, new: str) -> int:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return sum(max(j - i, m - k) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal")
