"""Wraps raysweep's perturbations as textattack transformations.

A method perturbs the whole text several times, so that it sees each word in its context. The candidates for a word are
these texts with all other changes reverted; for a sentence method, with the changes of all other sentences reverted.
Candidates depend on (seed, method, text) only. Code and protected words stay, with or without `keep_code`.

Not covered: texts of several columns, such as entailment pairs; they have no candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.mixes import members_of
from raysweep.perturbations.textattack.loading import load_textattack
from raysweep.perturbations.textattack.words import (
    Span,
    Split,
    origin_of,
    protected_of,
    split_by_last_function,
    word_spans,
)
from raysweep.records import Segment
from raysweep.seeding import DEFAULT_SEED, python_rng
from raysweep.tools.attack.word_changes import apply_edits, by_place, word_edits

_DRAWS = 4
"""Draws of the whole text for each candidate: many draws leave a given word as it is."""
_CACHED_TEXTS = 64
"""Number of texts whose candidates a transformation keeps in memory."""
WordRange = tuple[int, int]
"""The indices of the first and the last word of a piece of a text."""
Candidates = Mapping[WordRange, Sequence[Sequence[Segment]]]
"""The segments of a text after each candidate change, by the words that change."""


def as_transformation(
    method: Perturbation, *, candidates: int = 4, seed: int = DEFAULT_SEED, split: Split = split_by_last_function
) -> Any:
    """Return a textattack ``Transformation`` that changes words as a perturbation does; raise UsageError without it.

    A mix becomes a ``CompositeTransformation`` of its members. `candidates`: at most, for each word or sentence.
    `split`: splits a prompt into natural language and code; the default is the split of raysweep's perturbations.
    """
    make = _transformation_class()
    members = members_of(method)
    if members == [method]:
        return make(method, candidates, seed, split)
    from textattack.transformations import CompositeTransformation

    return CompositeTransformation([make(member, candidates, seed, split) for member in members])


def text_of(segments: Sequence[Segment]) -> Any:
    """Return an ``AttackedText`` that keeps its segments."""
    load_textattack()
    from textattack.shared import AttackedText

    text = AttackedText("".join(segment.text for segment in segments))
    text.raysweep_segments = tuple(segments)
    return text


def segments_of(text: Any, split: Split) -> tuple[Segment, ...]:
    """Return the segments of an ``AttackedText``: those that it keeps, or else those into which it is split."""
    return getattr(text, "raysweep_segments", None) or tuple(split(text.text))


def changed_text(current: Any, words: WordRange, segments: Sequence[Segment]) -> Any:
    """Return the ``AttackedText`` after a change, with the indices of changed words that textattack's checks need.

    `current`: the one before; `words`: those that may differ; `segments`: the text after. None if other words differ
    too: textattack sometimes splits words differently next to other neighbours.
    """
    (first, last), new = words, text_of(segments)
    count: int = new.num_words - current.num_words + last - first + 1  # words in place of the old ones
    if count < 0 or not count < new.num_words - first + 1:
        return None

    def new_index(index: int) -> int:
        if index < first:
            return index
        if index > last:
            return index + count - (last - first + 1)
        return min(index, first + count - 1) if count else -1

    attributes, before = new.attack_attrs, current.attack_attrs
    modified = set(range(first, first + count))
    modified_before = {new_index(index) for index in before["modified_indices"] if not first <= index <= last}
    attributes["previous_attacked_text"] = current
    attributes["newly_modified_indices"] = modified
    attributes["modified_indices"] = modified_before | modified
    index_map = before["original_index_map"].copy()
    index_map[:] = [new_index(index) if index >= 0 else -1 for index in index_map.tolist()]
    attributes["original_index_map"] = index_map
    return new


@cache
def _transformation_class() -> Any:
    load_textattack()
    from textattack.transformations import WordSwap

    class PerturbationSwap(WordSwap):  # type: ignore[misc]  # all search methods accept word swaps
        """Changes words, or the sentences around them, as a raysweep perturbation does."""

        def __init__(self, method: Perturbation, candidates: int, seed: int, split: Split) -> None:
            super().__init__()
            self.method, self.name = method, method.name
            self.candidates, self.seed, self.split = candidates, seed, split
            self._cache: dict[str, Candidates] = {}  # by text

        def _get_transformations(self, current_text: Any, indices_to_modify: Collection[int]) -> list[Any]:
            if len(current_text.column_labels) > 1:
                return []
            if current_text.text not in self._cache:
                if len(self._cache) == _CACHED_TEXTS:
                    self._cache.pop(next(iter(self._cache)))
                self._cache[current_text.text] = self._candidates(current_text)
            modifiable = set(indices_to_modify)
            texts = (
                changed_text(current_text, (first, last), segments)
                for (first, last), changes in self._cache[current_text.text].items()
                if modifiable.intersection(range(first, last + 1))
                for segments in changes
            )
            return [text for text in texts if text is not None]

        def _candidates(self, text: Any) -> Candidates:
            segments = segments_of(text, self.split)
            protected, spans = protected_of(origin_of(text).text), word_spans(text.text, text.words)
            rngs = (
                python_rng(self.seed, "textattack", self.name, text.text, draw)
                for draw in range(_DRAWS * self.candidates)
            )
            draws = (self.method.perturb(segments, rng, protected) for rng in rngs)
            return _collect(segments, draws, spans, self.candidates, sentences=self.method.level == "sentence")

        def extra_repr_keys(self) -> list[str]:
            return ["name", "candidates", "seed"]

    return PerturbationSwap


def _collect(
    segments: tuple[Segment, ...],
    draws: Iterable[Sequence[Segment]],
    spans: Sequence[Span],
    max_candidates: int,
    *,
    sentences: bool,
) -> Candidates:
    """Return candidates for each word, or sentence (`sentences`), from several perturbed versions of a text."""
    candidates: dict[WordRange, dict[tuple[Segment, ...], None]] = {}
    for draw in draws:
        for edits in by_place(word_edits(segments, draw), segments, sentences=sentences):
            start = sum(len(segment.text) for segment in segments[: edits[0].segment])
            words = _words(spans, start + edits[0].start, start + edits[-1].end)
            changes = candidates.setdefault(words, {}) if words else {}
            if len(changes) < max_candidates:
                changes[apply_edits(segments, edits)] = None
    return {words: list(changes) for words, changes in sorted(candidates.items())}


def _words(spans: Sequence[Span], start: int, end: int) -> WordRange | None:
    """Return the words between two positions of a text, or the word before if there are none; None without one."""
    inside = [index for index, span in enumerate(spans) if span[0] < end and start < span[1]]
    inside = inside or [index for index, span in enumerate(spans) if span[1] <= start][-1:]
    return (inside[0], inside[-1]) if inside else None
