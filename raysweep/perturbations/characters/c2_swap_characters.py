"""C2 SwapCharacters: swaps adjacent letters or digits.

Source: NL-Augmenter's `swap_characters` as ReCode runs it (Wang et al. 2023).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from typing_extensions import override

from raysweep.perturbations.base import PERTURBATIONS, percentage
from raysweep.perturbations.characters.recode import RecodePerturbation
from raysweep.prompts.protection import change_words
from raysweep.records import Segment

RATE = 0.05
"""Probability for each pair of adjacent characters."""


@PERTURBATIONS.register("C2")
class SwapCharacters(RecodePerturbation):
    """Each pair of adjacent alphanumeric characters swaps with probability .05 x strength, in random order."""

    title = "SwapCharacters"
    words = "swapped characters"
    level = "character"

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        rate, draw = RATE * self.strength, rng.random

        def change(word: str) -> str:
            pairs = [index for index in range(len(word) - 1) if draw() < rate]
            if not pairs:
                return word
            rng.shuffle(pairs)
            return _swap(word, pairs)

        return change_words(segments, protected, change)

    @override
    def rate_text(self) -> str:
        return percentage(RATE * self.strength, "adjacent pairs")

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return ReCode's text, from NumPy's legacy generator seeded with the seed plus the text's code points."""
        import numpy

        rng = numpy.random.RandomState((seed + sum(map(ord, text))) % 2**32)
        pairs = numpy.where(rng.rand(max(0, len(text) - 1)) < RATE)[0]
        rng.shuffle(pairs)
        return _swap(text, pairs.tolist())


def _swap(text: str, pairs: Iterable[int]) -> str:
    """Swap each pair of characters, given by the index of its first, unless one is no letter or digit."""
    chars = list(text)
    for index in pairs:
        if chars[index].isalnum() and chars[index + 1].isalnum():
            chars[index], chars[index + 1] = chars[index + 1], chars[index]
    return "".join(chars)
