"""W2 SynonymSubstitution: replaces words by a synonym of the same part of speech, each with probability .5.

Source: ReCode's fork of NL-Augmenter, `SynonymSubstitution`. Synonyms are the first words of the
word's synsets, all of them or with `senses: frequent` only the most frequent one's; stop words are replaced too. Unlike
ReCode's, the replacement keeps the word's capitals, and data stays (`raysweep.language.literals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from typing_extensions import override

from raysweep.language.inflections import fingerprint as inflections_fingerprint
from raysweep.language.inflections import inflection, lemma
from raysweep.language.stop_words import STOP_WORDS
from raysweep.language.synonyms.base import DEFAULT_SYNONYMS, SYNONYMS
from raysweep.language.tagging.base import DEFAULT_TAGGER
from raysweep.language.terms import ORDINALS, TERMS
from raysweep.language.terms import VERSION as TERMS_VERSION
from raysweep.language.tokens import Token, task_imperative
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.edits import copy_case
from raysweep.perturbations.words.word_sites import Site, WordPerturbation
from raysweep.records import Segment, Spec

ALL_SENSES: Literal["all"] = "all"
_INFLECTED = ("NNS", "VBZ", "VBD", "VBG", "VBN", "JJR", "JJS")
"""Penn tags of words that are not in base form."""
_KEPT = TERMS | ORDINALS
"""Words that get no synonym in their most frequent sense."""


class SynonymPerturbation(WordPerturbation):
    """A word method that uses synonyms: W1 and W2.

    Args:
        strength: multiplies the rate of .5.
        tagger: a registered tagger.
        synonyms: a registered source of synonyms.
        senses: ``all``: a synonym in any sense of the word, in base form, as ReCode has it; ``frequent``: a synonym in
            the word's most frequent sense, in the word's own form (`Synonyms.frequent`); stop words have none.
    """

    rate = 0.5

    def __init__(
        self,
        strength: float = 1.0,
        tagger: str = DEFAULT_TAGGER,
        synonyms: str = DEFAULT_SYNONYMS,
        senses: Literal["all", "frequent"] = ALL_SENSES,
    ) -> None:
        super().__init__(strength, tagger)
        self._frequent = senses == "frequent"
        if self._frequent:
            self._fingerprint |= {**inflections_fingerprint(), "terms": TERMS_VERSION}
        self._source = SYNONYMS.create(Spec(synonyms))
        self._fingerprint |= {**self._source.fingerprint(), **SYNONYMS.plugin_spec(synonyms)}

    def synonyms_of(self, token: Token) -> list[str]:
        """Return a word's synonyms, sorted, in lower case and without the word itself."""
        word = token.text.lower()
        if not self._frequent:
            return sorted(set(self._source.heads(word, token.pos)) - {word})
        base = lemma(word, token.pos) if token.tag in _INFLECTED else word
        if word in STOP_WORDS or word in _KEPT or base in _KEPT:  # "has" is seldom "got"
            return []
        synonyms = [synonym for synonym in self._source.frequent(base, token.pos) if _is_plain(synonym)]
        return sorted({_inflected(synonym, token.tag) for synonym in synonyms} - {word})

    def _find_sites(self, segments: tuple[Segment, ...], protected: frozenset[str]) -> tuple[Site, ...]:
        sites = super()._find_sites(segments, protected)
        kept = task_imperative(segments, self.tagger) if self._frequent else None
        if kept is None:
            return sites
        return tuple(site for site in sites if (site.segment, site.start) != (kept.segment, kept.start))


def _is_plain(synonym: str) -> bool:
    """Return True for words of letters: "2d" is none, and compounds have no inflected form ("twenty-four hours")."""
    return all(word.isalpha() for word in synonym.split())


def _inflected(synonym: str, tag: str) -> str:
    """Return a synonym in the form of a Penn tag: of a phrase, a verb's first word and a noun's last one change."""
    if tag not in _INFLECTED:
        return synonym
    if tag.startswith("VB"):
        first, blank, rest = synonym.partition(" ")
        return f"{inflection(first, tag)}{blank}{rest}"
    rest, blank, last = synonym.rpartition(" ")
    return f"{rest}{blank}{inflection(last, tag)}"


@PERTURBATIONS.register("W2")
class SynonymSubstitution(SynonymPerturbation):
    """Half of the nouns, verbs, adjectives and adverbs that have a synonym are replaced by one."""

    title = "SynonymSubstitution"
    words = "replaced by synonyms"
    level = "word"

    @override
    def choices(self, token: Token) -> Sequence[str]:
        return [copy_case(token.text, synonym) for synonym in self.synonyms_of(token)]
