"""C3 ChangeCharCase: letters with their case flipped.

Source: NL-Augmenter's `change_char_case` as ReCode runs it (Wang et al. 2023), p .35; study.md section 4.
"""

from __future__ import annotations

import random
import string

from raysweep.perturbations.base import PERTURBATIONS, Perturbation, share
from raysweep.perturbations.protection import change_words

RATE = 0.35
"""Probability a cased letter."""


_PLAIN = frozenset(string.ascii_letters)  # looked up faster than asked for their case


@PERTURBATIONS.register("C3")
class ChangeCharCase(Perturbation):
    """Each letter that has a case changes it with probability .35 x strength."""

    title = "ChangeCharCase"
    level = "character"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return the text with flipped case in words that are not protected."""
        rate = RATE * self.strength
        return change_words(text, protected, lambda word: _flip(word, rng, rate))

    def rate_text(self) -> str:
        """Return the share of letters with a case."""
        return share(RATE * self.strength, "letters with a case")

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return ReCode's text: one draw a cased letter from a generator seeded by `seed`."""
        return _flip(text, random.Random(seed), RATE)


def _flip(text: str, rng: random.Random, rate: float) -> str:
    draw, plain = rng.random, _PLAIN
    return "".join(
        [
            char.swapcase() if (char in plain or char.isupper() or char.islower()) and draw() < rate else char
            for char in text
        ]
    )
