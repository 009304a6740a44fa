"""W2 SynonymSubstitution: words become a synonym of the same part of speech, each with probability .5.

Source: ReCode's fork of NL-Augmenter, `SynonymSubstitution`; study.md section 4. Synonyms are the first words of the
word's synsets; stop words are treated too. Not as there: capitals are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.language.synonyms.base import SYNONYMS
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.words import WordPerturbation, in_case_of
from raysweep.records import Spec


class SynonymPerturbation(WordPerturbation):
    """A word method that knows synonyms.

    Args:
        strength: multiplies the rate of .5.
        tagger: a registered tagger.
        synonyms: a registered source of synonyms.
    """

    rate = 0.5

    def __init__(self, strength: float = 1.0, tagger: str = "hanta", synonyms: str = "wordnet") -> None:
        super().__init__(strength, tagger)
        self._source = SYNONYMS.create(Spec(synonyms))
        self._fingerprint |= self._source.fingerprint()

    def synonyms_of(self, word: str, pos: str) -> list[str]:
        """Return the other words that stand first in a word's synsets, sorted."""
        return sorted(set(self._source.heads(word.lower(), pos)) - {word.lower()})


@PERTURBATIONS.register("W2")
class SynonymSubstitution(SynonymPerturbation):
    """Words become synonyms: half of the nouns, verbs, adjectives and adverbs that have one."""

    title = "SynonymSubstitution"
    level = "word"

    def choices(self, word: str, pos: str) -> Sequence[str]:
        """Return a word's synonyms, capitalised like it."""
        return [in_case_of(word, synonym) for synonym in self.synonyms_of(word, pos)]
