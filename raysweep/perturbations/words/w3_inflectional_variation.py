"""W3 InflectionalVariation: gives nouns, verbs and adjectives another of their forms, or by chance the same one.

Source: ReCode's fork of NL-Augmenter, `EnglishInflectionalVariation` (Tan et al., It's Morphin' Time!, ACL 2020).
Forms are drawn uniformly over the Penn tags of the word's part of speech.
Unlike ReCode's, adjectives get no comparative that nobody uses ("distincter"), and data stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from raysweep.language.inflections import fingerprint, has_comparative, inflections, lemma
from raysweep.language.tagging.base import DEFAULT_TAGGER
from raysweep.language.tokens import Token
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.edits import copy_case
from raysweep.perturbations.words.word_sites import WordPerturbation


@PERTURBATIONS.register("W3")
class InflectionalVariation(WordPerturbation):
    """Each noun, verb and adjective gets a random inflection, with probability min(1, strength)."""

    title = "InflectionalVariation"
    words = "changed inflections"
    level = "word"
    rate = 1.0

    def __init__(self, strength: float = 1.0, tagger: str = DEFAULT_TAGGER) -> None:
        super().__init__(strength, tagger)
        self._fingerprint |= fingerprint()

    @override
    def choices(self, token: Token) -> Sequence[str]:
        """Adverbs have no other form, and neither have words with one form."""
        base = lemma(token.text.lower(), token.pos)
        if token.pos == "ADV" or (token.pos == "ADJ" and not has_comparative(base)):
            return ()
        return [copy_case(token.text, form) for form in inflections(base, token.pos)]
