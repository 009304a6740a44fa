"""Perturbs a block of a source's rows by several methods at once, which then share the part-of-speech tags.

A perturbation changes the instruction, and the input if it is prose; it never changes the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raysweep.perturbations.apply import Perturber, RowText
from raysweep.prompts.regions import is_prose
from raysweep.records import PerturbedRow, SourceRow, Spec
from raysweep.training_sets.base import TrainingSource

_INPUT = "input"


def perturber_of(source: TrainingSource, method: Spec, seed: int) -> Perturber:
    """Return the perturber of a source's rows, which also draws the members of an aggregate."""
    return Perturber(method, seed=seed, source_id=f"training/{source.name}")


def perturb_rows(
    rows: Sequence[SourceRow], source: TrainingSource, methods: Sequence[Perturber]
) -> list[Sequence[PerturbedRow]]:
    """Return the rows' texts after each method, in the rows' order."""
    texts = [text for row in rows for text in _texts(row, source)]
    by_method: list[Sequence[PerturbedRow]] = []
    for perturber in methods:
        changed = {
            (text.row_id, text.part): after.text
            for text, after in zip(texts, perturber.perturb_all(texts), strict=True)
        }
        by_method.append(
            [
                PerturbedRow(row.row_id, changed[row.row_id, ""], changed.get((row.row_id, _INPUT), row.input))
                for row in rows
            ]
        )
    return by_method


def _texts(row: SourceRow, source: TrainingSource) -> Iterator[RowText]:
    """Yield the texts of a row that may be changed: the instruction, and the input if it is prose."""
    protected = source.protected(row)
    yield RowText(source.segments(row, row.instruction), protected, row.row_id)
    if row.input and is_prose(segments := source.segments(row, row.input)):
        yield RowText(segments, protected, row.row_id, _INPUT)
