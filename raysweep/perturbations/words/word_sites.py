"""Base classes of the methods that look at tagged words, and the search for words that they may replace.

A site is a natural word that is tagged as a noun, verb, adjective or adverb and is neither protected nor data. A method
keeps the sites of a text for its next use; tags are kept for all methods together (`raysweep.language.tokens`).
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, NamedTuple

from typing_extensions import override

from raysweep.language.literals import RULES, VALUES, compounds_with_code
from raysweep.language.tagging.base import DEFAULT_TAGGER, TAGGERS
from raysweep.language.tokens import Token, tagged_sentences
from raysweep.perturbations.base import Perturbation, percentage
from raysweep.perturbations.edits import Edit, apply_edits, is_within
from raysweep.prompts.protection import protected_spans
from raysweep.records import Segment, Spec

WORD_RULES = "1"
"""Version of the rules of word methods alone, part of their fingerprints."""
_TEXTS_KEPT = 1024
"""How many texts' sites one method keeps."""


class Site(NamedTuple):
    """The word ``segments[segment].text[start:end]``, and the words that may replace it (at least one)."""

    segment: int
    start: int
    end: int
    choices: Sequence[str]


class TaggedPerturbation(Perturbation):
    """A method that looks at the part-of-speech tags of whole sentences."""

    def __init__(self, strength: float = 1.0, tagger: str = DEFAULT_TAGGER) -> None:
        super().__init__(strength)
        self._fingerprint: dict[str, str] = {
            **TAGGERS.create(Spec(tagger)).fingerprint(),
            **TAGGERS.plugin_spec(tagger),
            "rules": RULES,
        }
        self.tagger = tagger

    @override
    def fingerprint(self) -> Mapping[str, str]:
        """Sub-classes add their other language resources."""
        return self._fingerprint


class WordPerturbation(TaggedPerturbation):
    """A method that replaces single words, each with probability `rate` x strength, by one of its choices."""

    rate: ClassVar[float]

    def __init__(self, strength: float = 1.0, tagger: str = DEFAULT_TAGGER) -> None:
        super().__init__(strength, tagger)
        self._fingerprint["word_rules"] = WORD_RULES
        self._sites = lru_cache(maxsize=_TEXTS_KEPT)(self._find_sites)

    @abstractmethod
    def choices(self, token: Token) -> Sequence[str]:
        """Return the words that may replace a noun, verb, adjective or adverb; empty to leave it as it is."""

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        probability, draw = self.rate * self.strength, rng.random
        edits = [
            Edit(segment, start, end, choices[int(draw() * len(choices))])
            for segment, start, end, choices in self._sites(tuple(segments), protected)
            if draw() < probability
        ]
        return apply_edits(segments, edits)

    @override
    def rate_text(self) -> str:
        return percentage(self.rate * self.strength, "words with a choice")

    def _find_sites(self, segments: tuple[Segment, ...], protected: frozenset[str]) -> tuple[Site, ...]:
        compounds = compounds_with_code(segments)
        tokens = (token for token in free_tokens(segments, self.tagger, protected) if token.pos)
        words = (token for token in tokens if len(token.text) > 1 and token.text.isalpha())
        english = (word for word in words if word.text.lower() not in VALUES)
        free = (word for word in english if not is_within(word.start, compounds[word.segment]))
        sites = (Site(word.segment, word.start, word.end, self.choices(word)) for word in free)
        return tuple(site for site in sites if site.choices)


def free_tokens(segments: tuple[Segment, ...], tagger: str, protected: frozenset[str]) -> Iterator[Token]:
    """Yield the tokens of a text that may be changed, in order: natural ones that are no data and not protected."""
    kept = {index: protected_spans(s.text, protected) for index, s in enumerate(segments) if s.natural}
    for sentence in tagged_sentences(segments, tagger):
        for token in sentence:
            if token.is_word and not is_within(token.start, kept[token.segment]):
                yield token
