"""W3 InflectionalVariation: nouns, verbs and adjectives take another form of theirs, maybe the same one.

Source: ReCode's fork of NL-Augmenter, `EnglishInflectionalVariation` (Tan et al., It's Morphin' Time!, ACL 2020);
study.md section 4. Forms are drawn uniformly over the Penn tags of the word's part of speech.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.language.inflections import fingerprint, inflections, lemma
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.words import WordPerturbation, in_case_of


@PERTURBATIONS.register("W3")
class InflectionalVariation(WordPerturbation):
    """Nouns, verbs and adjectives are inflected anew, all of them at strength 1."""

    title = "InflectionalVariation"
    level = "word"
    rate = 1.0

    def __init__(self, strength: float = 1.0, tagger: str = "hanta") -> None:
        super().__init__(strength, tagger)
        self._fingerprint |= fingerprint()

    def choices(self, word: str, pos: str) -> Sequence[str]:
        """Return the forms of a word, capitalised like it."""
        if pos == "ADV":
            return ()
        return [in_case_of(word, form) for form in inflections(lemma(word.lower(), pos), pos)]
