"""W1 SynonymInsertion: inserts a synonym of the same part of speech after a content word, with probability .5.

Source: ReCode's fork of NL-Augmenter, `SynonymInsertion`. Stop words get no synonym.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from raysweep.language.stop_words import STOP_WORDS
from raysweep.language.tokens import Token
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.words.w2_synonym_substitution import SynonymPerturbation


@PERTURBATIONS.register("W1")
class SynonymInsertion(SynonymPerturbation):
    """Synonyms are inserted after half of the content words that have one."""

    title = "SynonymInsertion"
    words = "added synonyms"
    level = "word"

    @override
    def choices(self, token: Token) -> Sequence[str]:
        if token.text.lower() in STOP_WORDS:
            return ()
        return [f"{token.text} {synonym}" for synonym in self.synonyms_of(token)]
