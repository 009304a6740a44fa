"""W2 SynonymSubstitution: replaces words by a synonym of the same part of speech, each with probability .5.

Source: ReCode's fork of NL-Augmenter, `SynonymSubstitution`; study.md section 4. Synonyms are the first words of the
word's synsets; stop words are replaced too. Unlike ReCode's, the replacement keeps the word's capitals.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.language.synonyms.base import DEFAULT_SYNONYMS, SYNONYMS
from raysweep.language.tagging.base import DEFAULT_TAGGER
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.edits import copy_case
from raysweep.perturbations.word_sites import WordPerturbation
from raysweep.records import Spec


class SynonymPerturbation(WordPerturbation):
    """A word method that uses synonyms: W1 and W2.

    Args:
        strength: multiplies the rate of .5.
        tagger: a registered tagger.
        synonyms: a registered source of synonyms.
    """

    rate = 0.5

    def __init__(self, strength: float = 1.0, tagger: str = DEFAULT_TAGGER, synonyms: str = DEFAULT_SYNONYMS) -> None:
        super().__init__(strength, tagger)
        self._source = SYNONYMS.create(Spec(synonyms))
        self._fingerprint |= {**self._source.fingerprint(), **SYNONYMS.plugin_spec(synonyms)}

    def synonyms_of(self, word: str, pos: str) -> list[str]:
        """Return the first words of the word's synsets, sorted and without the word itself."""
        return sorted(set(self._source.heads(word.lower(), pos)) - {word.lower()})


@PERTURBATIONS.register("W2")
class SynonymSubstitution(SynonymPerturbation):
    """Half of the nouns, verbs, adjectives and adverbs that have a synonym are replaced by one."""

    title = "SynonymSubstitution"
    words = "replaced by synonyms"
    level = "word"

    def choices(self, word: str, pos: str) -> Sequence[str]:
        """Return a word's synonyms, capitalised like it."""
        return [copy_case(word, synonym) for synonym in self.synonyms_of(word, pos)]
