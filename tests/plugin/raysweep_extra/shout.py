"""Shout: words in capitals."""

from __future__ import annotations

import random
from collections.abc import Sequence

from raysweep_extra.notes import found_here

from raysweep.perturbations.base import Perturbation
from raysweep.prompts.protection import change_words
from raysweep.records import Segment


class Shout(Perturbation):
    """Each word in capitals, with a probability of .5 x strength."""

    title = "Shout"
    level = "word"

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return the text, louder."""
        found_here("perturbation")
        return change_words(
            segments, protected, lambda word: word.upper() if rng.random() < self.strength / 2 else word
        )
