"""raysweep's perturbations as textattack transformations.

The candidates for a word are what draws of the method on the whole text made of it, all else taken back, so that the
method saw the word in its context; for a sentence method, what they made of the sentence around the word. Candidates
follow from (seed, method, text) alone. Code and protected words stay, with or without `keep_code`.

Not covered: texts of several columns, as for entailment; they have no candidates.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.word_changes import WordEdit, applied, word_edits
from raysweep.records import Segment
from raysweep.seeding import python_rng
from raysweep.textattack.loading import load_textattack
from raysweep.textattack.words import Span, Split, origin_of, protected_of, split_by_last_function, word_spans

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
_DRAWS = 4
"""Draws of the whole text for each candidate wanted: many leave a word as it is."""
_TEXTS_KEPT = 64
"""Texts whose candidates a transformation remembers."""
Words = tuple[int, int]
"""The first and the last of some words in a row."""
Candidates = Mapping[Words, Sequence[Sequence[Segment]]]
"""The segments of a text after each change of some words."""


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


def changed_text(current: Any, words: tuple[int, int], segments: Sequence[Segment]) -> Any:
    """Return a new ``AttackedText`` that knows which words differ, so that textattack's constraints and counts work.

    Args:
        current: the ``AttackedText`` before the change.
        words: the first and the last word that may differ.
        segments: of the text after the change, which differs nowhere else; the new text remembers them.

    Returns:
        None when words outside have become others (words that textattack can't tell apart without their neighbours).
    """
    (first, last), new = words, type(current)("".join(segment.text for segment in segments))
    new.raysweep_segments = tuple(segments)
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
            self._known: dict[str, Candidates] = {}

        def _get_transformations(self, current_text: Any, indices_to_modify: Collection[int]) -> list[Any]:
            if len(current_text.column_labels) > 1:
                return []
            if current_text.text not in self._known:
                if len(self._known) == _TEXTS_KEPT:
                    self._known.pop(next(iter(self._known)))
                self._known[current_text.text] = self._candidates(current_text)
            wanted = set(indices_to_modify)
            made = (
                changed_text(current_text, (first, last), segments)
                for (first, last), changes in self._known[current_text.text].items()
                if wanted.intersection(range(first, last + 1))
                for segments in changes
            )
            return [text for text in made if text is not None]

        def _candidates(self, text: Any) -> Candidates:
            now = getattr(text, "raysweep_segments", None) or tuple(self.split(text.text))
            protected, spans = protected_of(origin_of(text).text), word_spans(text.text, text.words)
            rngs = (
                python_rng(self.seed, "textattack", self.name, text.text, draw)
                for draw in range(_DRAWS * self.candidates)
            )
            draws = (self.method.perturb(now, rng, protected) for rng in rngs)
            return _gathered(now, draws, spans, self.candidates, sentences=self.method.level == "sentence")

        def extra_repr_keys(self) -> list[str]:
            return ["name", "candidates", "seed"]

    return Perturbing


def _gathered(
    now: tuple[Segment, ...],
    draws: Iterable[Sequence[Segment]],
    spans: Sequence[Span],
    most: int,
    *,
    sentences: bool,
) -> Candidates:
    """Return what draws of a method made of each word of a text, or of each sentence; at most so many for each."""
    found: dict[Words, dict[tuple[Segment, ...], None]] = {}
    for made in draws:
        for place, edits in _edits(now, made, sentences=sentences):
            start = sum(len(segment.text) for segment in now[:place])
            words = _words(spans, start + edits[0].start, start + edits[-1].end)
            changes = found.setdefault(words, {}) if words else {}
            if len(changes) < most:
                new = Segment(applied(now[place].text, edits), True)
                changes[(*now[:place], new, *now[place + 1 :])] = None
    return {words: list(changes) for words, changes in sorted(found.items())}


def _edits(
    before: Sequence[Segment], after: Sequence[Segment], *, sentences: bool
) -> Iterator[tuple[int, list[WordEdit]]]:
    """Yield (segment, edits of one word, or of one sentence) for all that differs between two versions of a text."""
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.text != new.text:
            edits = word_edits(old.text, new.text)
            ends = [end.start() for end in _SENTENCE_END.finditer(old.text)] if sentences else []
            grouped: dict[int, list[WordEdit]] = {}
            for edit in edits:
                grouped.setdefault(bisect(ends, edit.start) if sentences else edit.start, []).append(edit)
            yield from ((place, group) for group in grouped.values())


def _words(spans: Sequence[Span], start: int, end: int) -> Words | None:
    """Return the words in a piece of a text, or where nothing was, the one before; None where there is none."""
    inside = [at for at, span in enumerate(spans) if span[0] < end and start < span[1]]
    inside = inside or [at for at, span in enumerate(spans) if span[1] <= start][-1:]
    return (inside[0], inside[-1]) if inside else None
