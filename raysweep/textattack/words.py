"""Where textattack's words stand in a text, and which of them may be changed.

textattack numbers the words of a text, raysweep knows segments; both are brought together here. A text that was
perturbed remembers the one it came from, so what may change is found once, in the original.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from raysweep.perturbations.protection import protected_spans
from raysweep.perturbations.regions import protected_words, split_prompt
from raysweep.records import Segment

Split = Callable[[str], Sequence[Segment]]
"""Splits a text, losslessly, into what may be changed and what may not."""
Span = tuple[int, int]
"""The start and the end of a piece of a text, in characters."""

_DEFINITION = re.compile(r"\bdef\s+(\w+)")


@lru_cache(maxsize=4096)
def split_by_last_function(prompt: str) -> tuple[Segment, ...]:
    """Split a prompt by the docstring of its last function; text without one is split as an instruction."""
    names = _DEFINITION.findall(prompt)
    return tuple(split_prompt(prompt, names[-1] if names else ""))


@lru_cache(maxsize=4096)
def protected_of(prompt: str) -> frozenset[str]:
    """Return the words of a prompt that no method may change (`raysweep.perturbations.regions`)."""
    return protected_words(prompt)


def origin_of(text: Any) -> Any:
    """Return the ``AttackedText`` from which a text was made in however many changes."""
    while "previous_attacked_text" in text.attack_attrs:
        text = text.attack_attrs["previous_attacked_text"]
    return text


def word_spans(text: str, words: Iterable[str]) -> list[Span]:
    """Return where textattack's words stand in their text."""
    spans = []
    at = 0
    for word in words:
        start = text.index(word, at)
        at = start + len(word)
        spans.append((start, at))
    return spans


def free_spans(segments: Iterable[Segment], protected: frozenset[str]) -> list[Span]:
    """Return the pieces of a text that may be changed: natural ones, between protected words and their blanks."""
    free = []
    at = 0
    for segment in segments:
        end = at + len(segment.text)
        if segment.natural:
            start = at
            for kept_start, kept_end in protected_spans(segment.text, protected):
                free.append((start, at + kept_start - 1))
                start = at + kept_end + 1
            free.append((start, end))
        at = end
    return [(start, end) for start, end in free if start < end]


def free_words(text: Any, split: Split) -> set[int]:
    """Return the indices of a textattack text's words that may be changed.

    Args:
        text: an ``AttackedText``; words that were put into it are not free.
        split: tells natural language from code in the text that it was made from.
    """
    origin = origin_of(text)
    free = free_spans(split(origin.text), protected_of(origin.text))
    now = text.attack_attrs["original_index_map"]
    spans = word_spans(origin.text, origin.words)
    return {int(now[at]) for at, span in enumerate(spans) if now[at] >= 0 and _lies_in(span, free)}


def _lies_in(span: Span, pieces: Iterable[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in pieces)
