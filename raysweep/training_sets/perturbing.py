"""Perturbs the rows of a source, a block at a time, by several methods in one go: they share the tags of its texts.

The perturbation changes the instruction and an input that is prose, never the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raysweep.perturbations.apply import Perturber, RowText
from raysweep.perturbations.regions import is_prose, protected_words
from raysweep.records import PerturbedRow, SourceRow, Spec
from raysweep.training_sets.base import TrainingSource

_INPUT = "input"


def perturber_of(source: TrainingSource, method: Spec, seed: int) -> Perturber:
    """Return what perturbs the rows of a source by a method, or says which member an aggregate draws for a row."""
    return Perturber(method, seed=seed, source_id=f"training/{source.name}")


def perturb_rows(
    rows: Sequence[SourceRow], source: TrainingSource, methods: Sequence[Perturber]
) -> list[Sequence[PerturbedRow]]:
    """Return the rows' texts after each method, in the rows' order."""
    texts = [text for row in rows for text in _texts(row, source)]
    made: list[Sequence[PerturbedRow]] = []
    for perturber in methods:
        changed = {
            (text.row_id, text.part): done.text for text, done in zip(texts, perturber.perturb_all(texts), strict=True)
        }
        made.append(
            [
                PerturbedRow(row.row_id, changed[row.row_id, ""], changed.get((row.row_id, _INPUT), row.input))
                for row in rows
            ]
        )
    return made


def _texts(row: SourceRow, source: TrainingSource) -> Iterator[RowText]:
    protected = protected_words(row.instruction if row.entry_point else row.input)
    yield RowText(source.segments(row, row.instruction), protected, row.row_id)
    if row.input and is_prose(segments := source.segments(row, row.input)):
        yield RowText(segments, protected, row.row_id, _INPUT)
