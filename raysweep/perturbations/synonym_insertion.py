"""W1 SynonymInsertion: after a content word comes a synonym of the same part of speech, with probability .5 each.

Source: ReCode's fork of NL-Augmenter, `SynonymInsertion`; study.md section 4. Stop words get none.
"""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.language.stop_words import STOP_WORDS
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.synonym_substitution import SynonymPerturbation


@PERTURBATIONS.register("W1")
class SynonymInsertion(SynonymPerturbation):
    """Synonyms are inserted after half of the content words that have one."""

    title = "SynonymInsertion"
    level = "word"

    def choices(self, word: str, pos: str) -> Sequence[str]:
        """Return the word followed by one of its synonyms."""
        if word.lower() in STOP_WORDS:
            return ()
        return [f"{word} {synonym}" for synonym in self.synonyms_of(word, pos)]
