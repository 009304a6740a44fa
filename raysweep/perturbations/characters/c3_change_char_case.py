"""C3 ChangeCharCase: flips the case of letters.

Source: NL-Augmenter's `change_char_case` as ReCode runs it (Wang et al. 2023) with p = .35.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from typing_extensions import override

from raysweep.perturbations.base import PERTURBATIONS, percentage
from raysweep.perturbations.characters.recode import RecodePerturbation
from raysweep.prompts.protection import change_words
from raysweep.records import Segment

RATE = 0.35
"""Probability for each letter that has a case."""

_ASCII = frozenset(string.ascii_letters)  # a look-up is faster than isupper() and islower()


@PERTURBATIONS.register("C3")
class ChangeCharCase(RecodePerturbation):
    """Each letter that has a case changes it with probability .35 x strength."""

    title = "ChangeCharCase"
    words = "changed case"
    level = "character"

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        rate = RATE * self.strength
        return change_words(segments, protected, lambda word: _flip(word, rng, rate))

    @override
    def rate_text(self) -> str:
        return percentage(RATE * self.strength, "letters with a case")

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return ReCode's text: one draw for each letter that has a case, from a generator seeded by `seed`."""
        return _flip(text, random.Random(seed), RATE)


def _flip(text: str, rng: random.Random, rate: float) -> str:
    draw, ascii_letters = rng.random, _ASCII
    return "".join(
        [
            char.swapcase() if (char in ascii_letters or char.isupper() or char.islower()) and draw() < rate else char
            for char in text
        ]
    )
