"""Perturbs one plain text, for tests of single methods."""

from __future__ import annotations

import random

from raysweep.perturbations.base import Perturbation
from raysweep.records import Segment


def perturb_text(method: Perturbation, text: str, rng: random.Random, protected: frozenset[str] = frozenset()) -> str:
    """Return one natural-language text after a perturbation."""
    return "".join(segment.text for segment in method.perturb([Segment(text, True)], rng, protected))
