"""The perturbation that changes nothing: makes clean test and training sets without a special case."""

from __future__ import annotations

import random
from collections.abc import Sequence

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.characters.recode import RecodePerturbation
from raysweep.records import Segment


@PERTURBATIONS.register("clean")
class Clean(RecodePerturbation):
    """Every text stays as it is, at any strength."""

    title = "Clean"
    words = "clean prompts"
    level = "none"

    @property
    def deterministic(self) -> bool:
        """True."""
        return True

    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Return the segments as they are."""
        return list(segments)

    def perturb_recode(self, text: str, seed: int) -> str:
        """Return `text`."""
        return text
