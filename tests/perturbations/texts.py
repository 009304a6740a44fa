"""Perturbs a single text of natural language."""

from __future__ import annotations

import random

from raysweep.perturbations.base import Perturbation
from raysweep.records import Segment


def perturb_text(part: Perturbation, text: str, rng: random.Random, protected: frozenset[str] = frozenset()) -> str:
    return "".join(segment.text for segment in part.perturb([Segment(text, True)], rng, protected))
