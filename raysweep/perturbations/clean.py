"""The perturbation that changes nothing: the clean test set and training set, without a special case."""

from __future__ import annotations

import random

from raysweep.perturbations.base import PERTURBATIONS, Perturbation


@PERTURBATIONS.register("clean")
class Clean(Perturbation):
    """Return every text as it is, at any strength."""

    title = "Clean"
    level = "none"

    def perturb_text(self, text: str, rng: random.Random, protected: frozenset[str]) -> str:
        """Return `text`."""
        return text

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return `text`."""
        return text
