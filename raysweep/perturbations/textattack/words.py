"""Maps textattack's words to raysweep's segments: the position of each word, and which pieces may be changed."""

from __future__ import annotations

from collections.abc import Iterable

from raysweep.prompts.protection import protected_spans
from raysweep.records import Segment

Span = tuple[int, int]
"""The start and the end of a piece of a text, in characters."""


def word_spans(text: str, words: Iterable[str]) -> list[Span]:
    spans = []
    end = 0
    for word in words:
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return spans


def free_spans(segments: Iterable[Segment], protected: frozenset[str]) -> list[Span]:
    """Return the natural pieces of a text, without protected words and the blanks around them."""
    free = []
    segment_start = 0
    for segment in segments:
        segment_end = segment_start + len(segment.text)
        if segment.natural:
            start = segment_start
            for kept_start, kept_end in protected_spans(segment.text, protected):
                free.append((start, segment_start + kept_start - 1))
                start = segment_start + kept_end + 1
            free.append((start, segment_end))
        segment_start = segment_end
    return [(start, end) for start, end in free if start < end]
