"""Perturbs the rows of one set, each with a generator of its own, so that no row depends on the others.

Text is made from (seed, source id, method, row id) and the choice of an aggregate's member from (seed, set id, row id),
so an aggregate's row is byte-equal to the row of the single set of its member (study.md section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.records import Segment, Spec
from raysweep.seeding import python_rng


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A text after perturbation."""

    text: str
    method: str  # the method that made it; for an aggregate the member drawn
    changed: bool  # the text differs from the clean one


class Perturber:
    """Applies one perturbation to the rows of one set.

    Args:
        spec: a registered perturbation with its arguments; ``clean`` is one like any other.
        seed: of the study.
        source_id: names what the rows come from. It tells training from test, so that they share no noise.

    Raises:
        UsageError: for an unknown perturbation or arguments it doesn't take.
    """

    def __init__(self, spec: Spec, *, seed: int, source_id: str) -> None:
        self._perturbation: Perturbation = PERTURBATIONS.create(spec)
        self._seed = seed
        self._source_id = source_id
        self._set_id = f"{source_id}/{spec.name}"

    def method(self, row_id: str) -> Perturbation:
        """Return the method for a row: the perturbation itself, or the member that an aggregate draws for it."""
        return self._perturbation.pick(python_rng(self._seed, "choice", self._set_id, row_id))

    def perturb(
        self, segments: Sequence[Segment], protected: frozenset[str], *, row_id: str, part: str = ""
    ) -> Perturbed:
        """Return a row's text after perturbation.

        Args:
            segments: the clean text (`raysweep.perturbations.regions`).
            protected: words that no method may change.
            row_id: unique in the source and stable.
            part: which of the row's texts this is where there are several: they share a method, not the noise.
        """
        method = self.method(row_id)
        names = (row_id, part) if part else (row_id,)
        rng = python_rng(self._seed, "text", self._source_id, method.name, *names)
        text = "".join(segment.text for segment in method.perturb(segments, rng, protected))
        return Perturbed(text, method.name, text != "".join(segment.text for segment in segments))
