"""The perturbation that changes nothing: makes clean test and training sets without a special case."""

from __future__ import annotations

import random
from collections.abc import Sequence

from typing_extensions import override

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
    @override
    def deterministic(self) -> bool:
        return True

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        return list(segments)

    @override
    def perturb_recode(self, text: str, seed: int) -> str:
        return text
