"""X1 DroppedVowels: vowels inside words are left out."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from raysweep.perturbations.base import Perturbation
from raysweep.prompts.protection import is_protected
from raysweep.records import Segment

RATE = 0.2
"""Probability that a vowel is dropped, at strength 1."""


class DroppedVowels(Perturbation):
    """Each vowel after the first letter of a word is left out with probability .2 x strength."""

    title = "DroppedVowels"
    words = "dropped vowels"
    level = "character"

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return the segments with fewer vowels in the natural-language ones; code comes back as it was."""
        return [Segment(self.perturb_text(s.text, rng, protected), True) if s.natural else s for s in segments]

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return a text with fewer vowels in the words that are not protected."""

        def shortened(word: str) -> str:
            rest = [c for c in word[1:] if c.lower() not in "aeiou" or rng.random() >= RATE * self.strength]
            return word[:1] + "".join(rest)

        return re.sub(r"\S+", lambda word: word[0] if is_protected(word[0], protected) else shortened(word[0]), text)

    def fingerprint(self) -> Mapping[str, str]:
        """Return the version of the method. Raise it when the same text should come out differently."""
        return {"raysweep-example": "1"}

    def rate_text(self) -> str:
        """Return the share of vowels that go, for reports."""
        return f"{100 * min(1, RATE * self.strength):.3g} % of vowels"
