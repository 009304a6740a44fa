"""What the tense methods share: each sentence's finite verbs are put into another tense.

Source: study.md section 4, after ReCode's `TenseTransformation`. Not as there: participles stay ("in a given list"),
unless `participles` asks for them; imperatives are conjugated like other verbs ("Returned a list"); line breaks stay.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache

from raysweep.language.finite_verbs import FiniteVerb, finite_verbs
from raysweep.language.inflections import fingerprint
from raysweep.language.tokens import Sentence, tagged_sentences
from raysweep.perturbations.base import share
from raysweep.perturbations.words import Edit, TaggedPerturbation, free_tokens, in_case_of, replaced
from raysweep.records import Segment

_TEXTS_KEPT = 1024


class TensePerturbation(TaggedPerturbation):
    """A method that puts sentences into another tense, each with probability min(1, strength).

    Args:
        strength: 1 and more treats every sentence.
        tagger: a registered tagger.
        participles: put lone participles into the tense too, as ReCode does ("in gave list").
    """

    def __init__(self, strength: float = 1.0, tagger: str = "hanta", participles: bool = False) -> None:
        super().__init__(strength, tagger)
        self._fingerprint |= fingerprint()
        self._participles = participles
        self._edits = lru_cache(maxsize=_TEXTS_KEPT)(self._find_edits)

    @abstractmethod
    def conjugate(self, sentence: Sentence, verb: FiniteVerb) -> dict[int, str]:
        """Return what replaces tokens, by their positions; nothing replaces a token that goes, with the blank after it.

        Capitals need not be minded.
        """

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return all segments, the natural ones in the other tense."""
        sentences = self._edits(tuple(segments), protected)
        return replaced(segments, [edit for edits in sentences if rng.random() < self.strength for edit in edits])

    def rate_text(self) -> str:
        """Return the share of sentences that are treated."""
        return share(self.strength, "sentences")

    def _find_edits(self, segments: tuple[Segment, ...], protected: frozenset[str]) -> tuple[tuple[Edit, ...], ...]:
        """Return the edits of each sentence that has any."""
        free = {(token.segment, token.start) for token in free_tokens(segments, self.tagger, protected)}
        found = (tuple(self._edits_of(s, segments, free)) for s in tagged_sentences(segments, self.tagger))
        return tuple(edits for edits in found if edits)

    def _edits_of(self, sentence: Sentence, segments: Sequence[Segment], free: set[tuple[int, int]]) -> Iterator[Edit]:
        """Yield a sentence's edits in order; a verb stays when one of the words to change may not be changed."""
        changed: dict[int, str] = {}
        for verb in finite_verbs(sentence, self._participles):
            new = self.conjugate(sentence, verb)
            tokens = [sentence[at] for at in new]
            if all((token.segment, token.start) in free for token in tokens) and not changed.keys() & new.keys():
                changed |= new
        for at in sorted(changed):
            token = sentence[at]
            text = segments[token.segment].text
            end = token.end
            if not changed[at] and text[: token.start].endswith((" ", "\n")):
                end += len(text) - end - len(text[end:].lstrip(" "))  # the blank after a word that goes
            yield Edit(token.segment, token.start, end, in_case_of(token.text, changed[at]))
