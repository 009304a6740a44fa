"""C2 SwapCharacters: adjacent letters or digits swapped.

Source: NL-Augmenter's `swap_characters` as ReCode runs it (Wang et al. 2023); study.md section 4.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from raysweep.perturbations.base import PERTURBATIONS, Perturbation, share
from raysweep.perturbations.protection import change_words

RATE = 0.05
"""Probability a pair of adjacent characters."""


@PERTURBATIONS.register("C2")
class SwapCharacters(Perturbation):
    """Each pair of adjacent alphanumeric characters swaps with probability .05 x strength, in random order."""

    title = "SwapCharacters"
    level = "character"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return the text with swapped pairs in words that are not protected."""
        rate, draw = RATE * self.strength, rng.random

        def change(word: str) -> str:
            pairs = [at for at in range(len(word) - 1) if draw() < rate]
            if not pairs:
                return word
            rng.shuffle(pairs)
            return _swap(word, pairs)

        return change_words(text, protected, change)

    def rate_text(self) -> str:
        """Return the share of adjacent pairs."""
        return share(RATE * self.strength, "adjacent pairs")

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return ReCode's text: NumPy's legacy generator, seeded by the seed and the sum of the code points."""
        import numpy

        rng = numpy.random.RandomState((seed + sum(map(ord, text))) % 2**32)
        pairs = numpy.where(rng.rand(max(0, len(text) - 1)) < RATE)[0]
        rng.shuffle(pairs)
        return _swap(text, pairs.tolist())


def _swap(text: str, pairs: Iterable[int]) -> str:
    chars = list(text)
    for at in pairs:
        if chars[at].isalnum() and chars[at + 1].isalnum():
            chars[at], chars[at + 1] = chars[at + 1], chars[at]
    return "".join(chars)
