"""Perturbs the rows of one set, each with a generator of its own, so that no row depends on the others.

Text is made from (seed, source id, method, row id) and the choice of an aggregate's member from (seed, set id, row id),
so an aggregate's row is byte-equal to the row of the single set of its member (study.md section 2).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation, Text
from raysweep.records import Segment, Spec
from raysweep.seeding import python_rng

log = logging.getLogger("raysweep")


def usable() -> list[str]:
    """Return the names of the perturbations that need no arguments and can be made here; log which can't, and why."""
    found, why = [], ""
    for name in PERTURBATIONS.names():
        if PERTURBATIONS.needed(name):
            continue
        try:
            PERTURBATIONS.create(Spec(name))
            found.append(name)
        except UsageError as error:
            why = why or f"{name} and what draws from it are left out: {error}"
    if why:
        log.warning("%s", why)
    return found


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A text after perturbation."""

    text: str
    method: str  # the method that made it; for an aggregate the member drawn
    changed: bool  # the text differs from the clean one


@dataclass(frozen=True, slots=True)
class RowText:
    """One text of a row.

    Attributes:
        segments: the clean text (`raysweep.perturbations.regions`).
        protected: words that no method may change.
        row_id: unique in the source and stable.
        part: which of the row's texts this is where there are several: they share a method, not the noise.
    """

    segments: Sequence[Segment]
    protected: frozenset[str]
    row_id: str
    part: str = ""


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
        self._set_id = f"{source_id}/{self._perturbation.set_name}"

    def method(self, row_id: str) -> Perturbation:
        """Return the method for a row: the perturbation itself, or the member that an aggregate draws for it."""
        return self._perturbation.pick(python_rng(self._seed, "choice", self._set_id, row_id))

    def perturb(
        self, segments: Sequence[Segment], protected: frozenset[str], *, row_id: str, part: str = ""
    ) -> Perturbed:
        """Return one row's text after perturbation; see `perturb_all`."""
        return self.perturb_all([RowText(segments, protected, row_id, part)])[0]

    def perturb_all(self, rows: Sequence[RowText]) -> list[Perturbed]:
        """Return the texts of rows after perturbation, in their order; a method gets all that it is to make at once."""
        methods = [self.method(row.row_id) for row in rows]
        made: dict[int, Perturbed] = {}
        for method in dict.fromkeys(methods):
            places = [at for at, own in enumerate(methods) if own is method]
            texts = [self._text(rows[at], method) for at in places]
            for at, segments in zip(places, method.perturb_all(texts), strict=True):
                text = "".join(segment.text for segment in segments)
                clean = "".join(segment.text for segment in rows[at].segments)
                made[at] = Perturbed(text, method.name, text != clean)
        return [made[at] for at in range(len(rows))]

    def _text(self, row: RowText, method: Perturbation) -> Text:
        names = (row.row_id, row.part) if row.part else (row.row_id,)
        rng = python_rng(self._seed, "text", self._source_id, method.name, *names)
        return Text(row.segments, rng, row.protected)
