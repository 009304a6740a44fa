"""The contract of perturbations that are faster with many texts at once, such as those that run a model."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from raysweep.perturbations.base import Perturbation
from raysweep.records import Segment


@dataclass(frozen=True, slots=True)
class Text:
    """A text to perturb: its segments, the generator of its noise, and the words that may not be changed."""

    segments: Sequence[Segment]
    rng: random.Random
    protected: frozenset[str]


class BatchPerturbation(Perturbation):
    """A perturbation that writes `perturb_all` in place of `perturb`; the duties are the same for each text."""

    @abstractmethod
    def perturb_all(self, texts: Sequence[Text]) -> list[list[Segment]]:
        """Return each text's segments as `perturb` would, in the texts' order."""

    @override
    def perturb(self, segments: Sequence[Segment], rng: random.Random, protected: frozenset[str]) -> list[Segment]:
        """Many texts are faster through `perturb_all`."""
        return self.perturb_all([Text(segments, rng, protected)])[0]


def perturb_texts(method: Perturbation, texts: Sequence[Text]) -> list[list[Segment]]:
    """Return the segments of many texts after any method: all at once where it can, else one by one."""
    if isinstance(method, BatchPerturbation):
        return method.perturb_all(texts)
    return [method.perturb(text.segments, text.rng, text.protected) for text in texts]
