"""Shout: words in capitals."""

from __future__ import annotations

import random

from raysweep_extra.notes import found_here

from raysweep.perturbations.base import Perturbation
from raysweep.perturbations.protection import change_words


class Shout(Perturbation):
    """Each word in capitals, with a probability of .5 x strength."""

    title = "Shout"
    level = "word"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return the text, louder."""
        found_here("perturbation")
        return change_words(text, protected, lambda word: word.upper() if rng.random() < self.strength / 2 else word)
