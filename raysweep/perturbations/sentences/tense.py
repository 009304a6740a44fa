"""Base class of the tense methods: puts the finite verbs of sentences into another tense.

Source: ReCode's `TenseTransformation`. Differences from ReCode: participles stay as they are
("in a given list") unless `participles` is set; imperatives are conjugated like other verbs ("Returned a list"); line
breaks stay.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from typing_extensions import override

from raysweep.language.finite_verbs import FiniteVerb, finite_verbs
from raysweep.language.inflections import fingerprint
from raysweep.language.tagging.base import DEFAULT_TAGGER
from raysweep.language.tokens import Sentence, tagged_sentences
from raysweep.perturbations.base import percentage
from raysweep.perturbations.edits import Edit, apply_edits, copy_case
from raysweep.perturbations.words.word_sites import TaggedPerturbation, free_tokens
from raysweep.records import Segment

_TEXTS_KEPT = 1024
"""How many texts' edits one method keeps."""


class TensePerturbation(TaggedPerturbation):
    """A method that puts sentences into another tense, each with probability min(1, strength).

    Args:
        strength: 1 and more changes every sentence.
        tagger: a registered tagger.
        participles: put lone participles into the tense too, as ReCode does ("in gave list").
    """

    def __init__(self, strength: float = 1.0, tagger: str = DEFAULT_TAGGER, participles: bool = False) -> None:
        super().__init__(strength, tagger)
        self._fingerprint |= fingerprint()
        self._participles = participles
        self._edits = lru_cache(maxsize=_TEXTS_KEPT)(self._find_edits)

    @abstractmethod
    def conjugate(self, sentence: Sentence, verb: FiniteVerb) -> dict[int, str]:
        """Return the new texts of tokens by their index in the sentence; empty to leave the verb as it is.

        An empty text removes the token and the blank after it. Capitals are restored afterwards.
        """

    @property
    @override
    def deterministic(self) -> bool:
        return self.strength == 0 or self.strength >= 1

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        sentences = self._edits(tuple(segments), protected)
        return apply_edits(segments, [edit for edits in sentences if rng.random() < self.strength for edit in edits])

    @override
    def rate_text(self) -> str:
        return percentage(self.strength, "sentences")

    def _find_edits(self, segments: tuple[Segment, ...], protected: frozenset[str]) -> tuple[tuple[Edit, ...], ...]:
        free = {(token.segment, token.start) for token in free_tokens(segments, self.tagger, protected)}
        by_sentence = (tuple(self._edits_of(s, segments, free)) for s in tagged_sentences(segments, self.tagger))
        return tuple(edits for edits in by_sentence if edits)

    def _edits_of(self, sentence: Sentence, segments: Sequence[Segment], free: set[tuple[int, int]]) -> Iterator[Edit]:
        """Yield edits; a verb stays if a word to change with it isn't free, and so do all verbs joined to it."""
        verbs = finite_verbs(sentence, self._participles)
        new = {verb.index: self.conjugate(sentence, verb) for verb in verbs}
        stays = {
            verb.chain
            for verb in verbs
            if verb.chain >= 0 and not _are_free(sentence, (verb.index, *new[verb.index]), free)
        }
        changed: dict[int, str] = {}
        for verb in verbs:
            edits = new[verb.index]
            if verb.chain not in stays and _are_free(sentence, edits, free) and not changed.keys() & edits.keys():
                changed |= edits
        for index in sorted(changed):
            token = sentence[index]
            text = segments[token.segment].text
            end = token.end
            if not changed[index] and text.endswith((" ", "\n"), 0, token.start):
                while text.startswith(" ", end):  # the blank after a removed word
                    end += 1
            yield Edit(token.segment, token.start, end, copy_case(token.text, changed[index]))


def _are_free(sentence: Sentence, indices: Iterable[int], free: set[tuple[int, int]]) -> bool:
    return all((sentence[index].segment, sentence[index].start) in free for index in indices)
