"""raysweep's perturbations as textattack transformations.

The candidates for a word are draws of the method in which all else is verbatim, so that the word's context is there;
for a sentence method, the sentence around the word. Candidates follow from (seed, method, text, word) alone. Code and
protected words stay, with or without `keep_code`.

Not covered: texts of several columns, as for entailment; they have no candidates.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.regions import protected_words
from raysweep.records import Segment
from raysweep.seeding import python_rng
from raysweep.textattack.loading import load_textattack
from raysweep.textattack.words import Span, Split, split_by_last_function, word_spans

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_DRAWS = 4
"""Draws for each candidate wanted: many leave a word as it is."""


def as_transformation(
    method: Perturbation, *, candidates: int = 4, seed: int = 42, split: Split = split_by_last_function
) -> Any:
    """Return a textattack ``Transformation`` that changes words as a perturbation does.

    Args:
        method: an aggregate becomes a ``CompositeTransformation`` of its members.
        candidates: at most this many for each word, or sentence.
        seed: of the draws.
        split: tells natural language from code; prompts are split as for raysweep's perturbations.

    Raises:
        UsageError: textattack isn't installed.
    """
    make = _transformation_class()
    if not method.parts:
        return make(method, candidates, seed, split)
    from textattack.transformations import CompositeTransformation

    members = [PERTURBATIONS.create(part) for part in method.parts]
    return CompositeTransformation([make(member, candidates, seed, split) for member in members])


def restricted(segments: Iterable[Segment], span: Span) -> list[Segment]:
    """Return the same text, natural only inside one piece of it."""
    start, end = span
    found = []
    at = 0
    for segment in segments:
        length = len(segment.text)
        low, high = min(max(start - at, 0), length), min(max(end - at, 0), length)
        if segment.natural and low < high:
            pieces = (segment.text[:low], False), (segment.text[low:high], True), (segment.text[high:], False)
            found += [Segment(text, natural) for text, natural in pieces if text]
        else:
            found.append(Segment(segment.text, False))
        at += length
    return found


def changed_text(current: Any, words: tuple[int, int], text: str) -> Any:
    """Return a new ``AttackedText`` that knows which words differ, so that textattack's constraints and counts work.

    Args:
        current: the ``AttackedText`` before the change.
        words: the first and the last word that may differ.
        text: after the change; differs nowhere else.

    Returns:
        None when words outside have become others (words that textattack can't tell apart without their neighbours).
    """
    (first, last), new = words, type(current)(text)
    count: int = new.num_words - current.num_words + last - first + 1  # words in place of the old ones
    if count < 0 or not count < new.num_words - first + 1:
        return None

    def moved(index: int) -> int:
        if index < first:
            return index
        if index > last:
            return index + count - (last - first + 1)
        return min(index, first + count - 1) if count else -1

    attributes, before = new.attack_attrs, current.attack_attrs
    newly = set(range(first, first + count))
    kept = {moved(index) for index in before["modified_indices"] if not first <= index <= last}
    attributes["previous_attacked_text"] = current
    attributes["newly_modified_indices"] = newly
    attributes["modified_indices"] = kept | newly
    index_map = before["original_index_map"].copy()
    index_map[:] = [moved(index) if index >= 0 else -1 for index in index_map.tolist()]
    attributes["original_index_map"] = index_map
    return new


@cache
def _transformation_class() -> Any:
    load_textattack()
    from textattack.transformations import WordSwap

    class Perturbing(WordSwap):  # type: ignore[misc]  # a word swap, so that every search method takes it
        """Changes words, or the sentences around them, as a raysweep perturbation does."""

        def __init__(self, method: Perturbation, candidates: int, seed: int, split: Split) -> None:
            super().__init__()
            self.method, self.name = method, method.name
            self.candidates, self.seed, self.split = candidates, seed, split

        def _get_transformations(self, current_text: Any, indices_to_modify: Collection[int]) -> list[Any]:
            if len(current_text.column_labels) > 1:
                return []
            spans = word_spans(current_text.text, current_text.words)
            units = dict.fromkeys(self._unit(current_text.text, spans, i) for i in sorted(indices_to_modify))
            made = (
                changed_text(current_text, words, text)
                for words in units
                for text in self._texts(current_text.text, (spans[words[0]][0], spans[words[1]][1]))
            )
            return [text for text in made if text is not None]

        def _unit(self, text: str, spans: Sequence[Span], index: int) -> tuple[int, int]:
            """Return the first and the last word that are changed together with a word."""
            if self.method.level != "sentence":
                return index, index
            ends = [0, *(end.start() for end in _SENTENCE_END.finditer(text)), len(text)]
            start = max(end for end in ends if end <= spans[index][0])
            stop = min(end for end in ends if end >= spans[index][1])
            inside = [at for at, span in enumerate(spans) if start <= span[0] and span[1] <= stop]
            return inside[0], inside[-1]

        def _texts(self, text: str, span: Span) -> Iterator[str]:
            """Yield different texts that differ from `text` in one piece of it."""
            segments, protected = restricted(self.split(text), span), protected_words(text)
            if not any(segment.natural for segment in segments):
                return
            known = {text}
            for draw in range(_DRAWS * self.candidates):
                rng = python_rng(self.seed, "textattack", self.method.name, text, *span, draw)
                made = "".join(segment.text for segment in self.method.perturb(segments, rng, protected))
                if made not in known:
                    known.add(made)
                    yield made
                if len(known) > self.candidates:
                    return

        def extra_repr_keys(self) -> list[str]:
            return ["name", "candidates", "seed"]

    return Perturbing
