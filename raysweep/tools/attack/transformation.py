"""Wraps raysweep's perturbations as a textattack transformation of single words, and keeps code from it.

A method sees a word in its text, whose other words are verbatim, so that it can change this word only. Candidates
depend on the seed, the text and the word's index.

Not covered: methods that change sentences; textattack's greedy search swaps words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.perturbations.textattack.words import Span, free_spans, word_spans
from raysweep.records import Segment
from raysweep.seeding import python_rng

CANDIDATES = 8
"""Most candidates of a word, over all methods."""
_DRAWS = 64
"""Draws for a word, over all methods: many leave it as it is."""
_PIECE = re.compile(r"\w+|\W+")


def word_swaps(methods: Sequence[Perturbation], protected: frozenset[str], seed: int) -> Any:
    """Return a textattack ``WordSwap`` to words as the methods write them; raise UsageError without textattack."""
    load_textattack()
    from textattack.transformations import WordSwap

    class PerturbedWords(WordSwap):  # type: ignore[misc]
        """Changes one word as a perturbation does."""

        def _get_transformations(self, current_text: Any, indices_to_modify: Collection[int]) -> list[Any]:
            text, spans = current_text.text, word_spans(current_text.text, current_text.words)
            return [
                current_text.replace_word_at_index(index, word)
                for index in sorted(map(int, indices_to_modify))
                for word in _changed(text, spans[index], methods, protected, python_rng(seed, "attack", text, index))
            ]

    return PerturbedWords()


def keep_code(segments: Sequence[Segment], protected: frozenset[str]) -> Any:
    """Return the ``PreTransformationConstraint`` that only natural words change that are not protected.

    `segments`: of the original text. Raises UsageError without textattack.
    """
    load_textattack()
    from textattack.constraints import PreTransformationConstraint
    from textattack.shared import AttackedText

    text = "".join(segment.text for segment in segments)
    free, spans = free_spans(segments, protected), word_spans(text, AttackedText(text).words)
    words = [i for i, (start, end) in enumerate(spans) if any(first <= start and end <= last for first, last in free)]

    class KeepCode(PreTransformationConstraint):  # type: ignore[misc]
        """Keeps code and protected words, and words that were inserted."""

        def _get_modifiable_indices(self, current_text: Any) -> set[int]:
            return {int(index) for index in current_text.convert_from_original_idxs(words) if index >= 0}

    return KeepCode()


def _changed(
    text: str, span: Span, methods: Sequence[Perturbation], protected: frozenset[str], rng: Any
) -> Sequence[str]:
    """Return what the methods make of one word, without duplicates and in the order of the draws."""
    before, after = (
        [Segment(piece, False) for piece in _PIECE.findall(part)] for part in (text[: span[0]], text[span[1] :])
    )
    word = text[span[0] : span[1]]
    segments, drawn = [*before, Segment(word, True), *after], dict[str, None]()
    for draw in range(_DRAWS):
        changed = methods[draw % len(methods)].perturb(segments, rng, protected)[len(before)].text
        if changed != word:
            drawn[changed] = None
        if len(drawn) == CANDIDATES:
            break
    return list(drawn)
