"""Perturbs the rows of a source, a block at a time, by several methods in one go: they share the tags of its texts.

The perturbation changes the instruction and an input that is prose, never the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raysweep.perturbations.apply import Perturber
from raysweep.perturbations.regions import ALWAYS_PROTECTED, is_prose, protected_words
from raysweep.records import PerturbedRow, SourceRow, Spec
from raysweep.training_sets.base import TrainingSource


def perturber_of(source: TrainingSource, method: Spec, seed: int) -> Perturber:
    """Return what perturbs the rows of a source by a method, or says which member an aggregate draws for a row."""
    return Perturber(method, seed=seed, source_id=f"training/{source.name}")


def perturb_rows(
    rows: Sequence[SourceRow], source: TrainingSource, methods: Mapping[str, Perturber]
) -> dict[str, list[PerturbedRow]]:
    """Return the rows' texts after each method, in the rows' order, by the names of the methods."""
    made: dict[str, list[PerturbedRow]] = {name: [] for name in methods}
    for row in rows:
        protected = protected_words(row.instruction) if row.entry_point else ALWAYS_PROTECTED
        instruction = source.segments(row, row.instruction)
        given = source.segments(row, row.input) if row.input else []
        is_text = is_prose(given)
        for name, perturber in methods.items():
            text = perturber.perturb(instruction, protected, row_id=row.row_id).text
            also = perturber.perturb(given, protected, row_id=row.row_id, part="input").text if is_text else row.input
            made[name].append(PerturbedRow(row.row_id, text, also))
    return made
