"""Maps textattack's words to raysweep's segments: the position of each word, and which words may be changed.

textattack numbers the words of a text; raysweep splits it into segments. Which words may be changed is decided in the
original text: textattack links each changed text to the one it was made from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from raysweep.prompts.protection import protected_spans
from raysweep.prompts.regions import protected_words, split_prompt
from raysweep.records import Segment

Split = Callable[[str], Sequence[Segment]]
"""Splits a text, losslessly, into natural segments, which may be changed, and verbatim ones."""
Span = tuple[int, int]
"""The start and the end of a piece of a text, in characters."""

_DEFINITION = re.compile(r"\bdef\s+(\w+)")


@lru_cache(maxsize=4096)
def split_by_last_function(prompt: str) -> tuple[Segment, ...]:
    """Split a prompt by the docstring of its last function; a text without a function is split as an instruction."""
    names = _DEFINITION.findall(prompt)
    return tuple(split_prompt(prompt, names[-1] if names else ""))


@lru_cache(maxsize=4096)
def protected_of(prompt: str) -> frozenset[str]:
    return protected_words(prompt)


def origin_of(text: Any) -> Any:
    """Return the original ``AttackedText`` of a text that was changed any number of times."""
    while "previous_attacked_text" in text.attack_attrs:
        text = text.attack_attrs["previous_attacked_text"]
    return text


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


def free_words(text: Any, split: Split) -> set[int]:
    """Return the indices of an ``AttackedText``'s words that may be changed, without inserted ones."""
    origin = origin_of(text)
    free = free_spans(split(origin.text), protected_of(origin.text))
    current = text.attack_attrs["original_index_map"]  # index of each original word in `text`; -1: deleted
    spans = word_spans(origin.text, origin.words)
    return {
        int(current[i])
        for i, (start, end) in enumerate(spans)
        if current[i] >= 0 and any(begin <= start and end <= behind for begin, behind in free)
    }
