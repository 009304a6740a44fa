"""Applies a perturbation to the rows of one set, each with its own generator, so that no row depends on the others.

The generator of a text comes from (seed, source id, method, row id), and the draw of an aggregate's member from (seed,
set id, row id). So an aggregate's row is byte-equal to the same row in the set of its member.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.errors import HopelessError, UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.batches import Text, perturb_texts
from raysweep.perturbations.mixes import Mix
from raysweep.records import Segment, Spec
from raysweep.seeding import python_rng

log = logging.getLogger("raysweep")


def available_perturbations() -> list[str]:
    """Return the names of the perturbations that need no arguments and work on this machine; log why others don't."""
    names, why = [], ""
    for name in PERTURBATIONS.names():
        if PERTURBATIONS.required_arguments(name):
            continue
        try:
            PERTURBATIONS.create(Spec(name))
            names.append(name)
        except UsageError as error:
            why = why or f"{name} and what uses it are left out: {error}"
    if why:
        log.warning("%s", why)
    return names


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A text after perturbation."""

    text: str
    method: str  # the method that changed it; for an aggregate the drawn member
    changed: bool  # the text differs from the clean one


@dataclass(frozen=True, slots=True)
class RowText:
    """One text of a row.

    Attributes:
        segments: the clean text (`raysweep.prompts.regions`).
        protected: words that no method may change.
        row_id: unique in the source, and the same in every run.
        part: name of this text in a row of several texts, which share the method and differ in noise.
    """

    segments: Sequence[Segment]
    protected: frozenset[str]
    row_id: str
    part: str = ""


class Perturber:
    """Applies one perturbation to the rows of one set.

    Args:
        spec: a registered perturbation, ``clean`` included, with its arguments.
        seed: of the study.
        source_id: names the rows' source; training and test rows have different ones, so that they share no noise.

    Raises:
        UsageError: the perturbation is unknown, or doesn't take the arguments.
    """

    def __init__(self, spec: Spec, *, seed: int, source_id: str) -> None:
        self._perturbation: Perturbation = PERTURBATIONS.create(spec)
        self._seed = seed
        self._source_id = source_id

    def method(self, row_id: str) -> Perturbation:
        if not isinstance(self._perturbation, Mix):
            return self._perturbation
        set_id = f"{self._source_id}/{self._perturbation.set_name}"
        return self._perturbation.draw(python_rng(self._seed, "choice", set_id, row_id))

    def perturb_all(self, rows: Sequence[RowText]) -> list[Perturbed]:
        """Return the rows' texts after perturbation, in the rows' order; each method gets all its texts at once."""
        methods = [self.method(row.row_id) for row in rows]
        perturbed: dict[int, Perturbed] = {}
        for method in dict.fromkeys(methods):
            indices = [index for index, of_row in enumerate(methods) if of_row is method]
            texts = [self._text(rows[index], method) for index in indices]
            for index, segments in zip(indices, perturb_texts(method, texts), strict=True):
                if method.keeps_segments and _verbatim(segments) != _verbatim(rows[index].segments):
                    raise HopelessError(f"perturbation {method.name!r} changed code of row {rows[index].row_id}")
                text = "".join(segment.text for segment in segments)
                clean = "".join(segment.text for segment in rows[index].segments)
                perturbed[index] = Perturbed(text, method.name, text != clean)
        return [perturbed[index] for index in range(len(rows))]

    def _text(self, row: RowText, method: Perturbation) -> Text:
        names = (row.row_id, row.part) if row.part else (row.row_id,)
        rng = python_rng(self._seed, "text", self._source_id, method.name, *names)
        return Text(row.segments, rng, row.protected)


def _verbatim(segments: Sequence[Segment]) -> list[str]:
    return [segment.text for segment in segments if not segment.natural]
