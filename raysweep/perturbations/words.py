"""What the word methods share: sites in a text, each with the words that may replace it.

A site is a natural word that is tagged as a noun, verb, adjective or adverb and not protected. Sites are found once a
text, tags once for all methods (`raysweep.language.tokens`).
"""

from __future__ import annotations

import random
import sys
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, NamedTuple

from raysweep.language.tagging.base import TAGGERS
from raysweep.language.tokens import Token, tagged_sentences
from raysweep.perturbations.base import Perturbation, share
from raysweep.perturbations.protection import protected_spans
from raysweep.records import Segment, Spec

_SITES_KEPT = 1024
"""Texts whose sites a method remembers."""


Spans = Sequence[tuple[int, int]]
"""(start, end) of words in a text, in order."""


class Edit(NamedTuple):
    """Text that replaces ``segments[segment].text[start:end]``."""

    segment: int
    start: int
    end: int
    text: str


class Site(NamedTuple):
    """A word that may be replaced, and by what; at least one choice."""

    segment: int
    start: int
    end: int
    choices: Sequence[str]


class TaggedPerturbation(Perturbation):
    """A method that looks at whole sentences with their tags.

    Args:
        strength: see `Perturbation`.
        tagger: a registered tagger.
    """

    def __init__(self, strength: float = 1.0, tagger: str = "hanta") -> None:
        super().__init__(strength)
        self._fingerprint: dict[str, str] = dict(TAGGERS.create(Spec(tagger)).fingerprint())
        self.tagger = tagger

    @abstractmethod
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return all segments, the natural ones changed."""

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return one natural-language text, changed."""
        return "".join(segment.text for segment in self.perturb([Segment(text, True)], rng, protected))

    def fingerprint(self) -> Mapping[str, str]:
        """Return the language resources, with versions, that texts depend on."""
        return self._fingerprint


class WordPerturbation(TaggedPerturbation):
    """A method that replaces single words, each with probability `rate` x strength, by one of its choices."""

    rate: ClassVar[float]

    def __init__(self, strength: float = 1.0, tagger: str = "hanta") -> None:
        super().__init__(strength, tagger)
        self._sites = lru_cache(maxsize=_SITES_KEPT)(self._find_sites)

    @abstractmethod
    def choices(self, word: str, pos: str) -> Sequence[str]:
        """Return what may replace a word, given its universal part of speech; none where it stays."""

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return all segments, words of the natural ones replaced."""
        probability, draw = self.rate * self.strength, rng.random
        edits = [
            Edit(segment, start, end, choices[int(draw() * len(choices))])
            for segment, start, end, choices in self._sites(tuple(segments), protected)
            if draw() < probability
        ]
        return replaced(segments, edits)

    def rate_text(self) -> str:
        """Return the share of words that are treated."""
        return share(self.rate * self.strength, "words with a choice")

    def _find_sites(self, segments: tuple[Segment, ...], protected: frozenset[str]) -> tuple[Site, ...]:
        return tuple(self._sites_of(free_tokens(segments, self.tagger, protected)))

    def _sites_of(self, tokens: Iterable[Token]) -> Iterator[Site]:
        for token in tokens:
            if token.pos and token.text.isalpha() and (choices := self.choices(token.text, token.pos)):
                yield Site(token.segment, token.start, token.end, choices)


def free_tokens(segments: tuple[Segment, ...], tagger: str, protected: frozenset[str]) -> Iterator[Token]:
    """Yield the tokens of a text that may be changed, in order: natural ones outside protected words."""
    kept = {index: protected_spans(s.text, protected) for index, s in enumerate(segments) if s.natural}
    for sentence in tagged_sentences(segments, tagger):
        for token in sentence:
            if token.natural and not is_within(token.start, kept[token.segment]):
                yield token


def is_within(at: int, spans: Spans) -> bool:
    """Tell whether a position is in one of some spans, which come in order."""
    before = bisect_right(spans, (at, sys.maxsize)) - 1
    return before >= 0 and at < spans[before][1]


def replaced(segments: Sequence[Segment], edits: Iterable[Edit]) -> list[Segment]:
    """Return segments with edits made; edits come in the order of the text and don't overlap."""
    pieces: dict[int, list[str]] = {}
    ends: dict[int, int] = {}
    for segment, start, end, text in edits:
        done = pieces.setdefault(segment, [])
        done.append(segments[segment].text[ends.get(segment, 0) : start])
        done.append(text)
        ends[segment] = end
    return [
        Segment("".join(pieces[index]) + old.text[ends[index] :], True) if index in pieces else old
        for index, old in enumerate(segments)
    ]


def in_case_of(word: str, text: str) -> str:
    """Return a text with the capitals of the word it replaces: none, the first letter, or all."""
    if word[:1].isupper():
        return text.upper() if len(word) > 1 and word.isupper() else text[:1].upper() + text[1:]
    return text
