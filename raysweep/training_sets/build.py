"""Builds training sets: a share of a source's rows perturbed, the rest clean, the order kept (study.md section 2)."""

from __future__ import annotations

from itertools import islice

from raysweep.errors import UsageError
from raysweep.perturbations.apply import Perturber
from raysweep.perturbations.regions import ALWAYS_PROTECTED, is_prose, protected_words
from raysweep.records import SourceRow, Spec, TrainingRow
from raysweep.seeding import python_rng
from raysweep.training_sets.base import TrainingSource

_CLEAN = "clean"


def build_training_set(
    source: TrainingSource, perturbation: Spec, *, ratio: float, draw: int, seed: int, limit: int | None = None
) -> list[TrainingRow]:
    """Return the source's first `limit` rows (all without it), exactly round(ratio x n) of them perturbed.

    The perturbation changes the instruction and an input that is prose, never the output. Which rows it changes
    depends on (seed, ratio, draw); what a row becomes doesn't, so ratio 0 is the clean set and 1 the full one.

    Args:
        source: where the clean rows come from.
        perturbation: a registered name with its arguments.
        ratio: share of perturbed rows, 0 to 1.
        draw: number of the draw at this ratio.
        seed: of the study.
        limit: keep only so many source rows.

    Raises:
        UsageError: for a ratio outside 0 to 1, an unknown perturbation, or a source that can't be read.
    """
    if not 0 <= ratio <= 1:
        raise UsageError(f"ratio {ratio} is not between 0 and 1; it is the share of rows to perturb")
    perturber = Perturber(perturbation, seed=seed, source_id=f"training/{source.name}")
    rows = list(islice(source.rows(), limit))
    rng = python_rng(seed, "ratio", repr(float(ratio)), draw)
    chosen = set(rng.sample(range(len(rows)), round(ratio * len(rows))))
    return [_perturbed(row, source, perturber) if index in chosen else _clean(row) for index, row in enumerate(rows)]


def _perturbed(row: SourceRow, source: TrainingSource, perturber: Perturber) -> TrainingRow:
    protected = protected_words(row.instruction) if row.entry_point else ALWAYS_PROTECTED
    instruction = perturber.perturb(source.segments(row, row.instruction), protected, row_id=row.row_id)
    text = row.input
    if text and is_prose(segments := source.segments(row, text)):
        text = perturber.perturb(segments, protected, row_id=row.row_id, part="input").text
    return _training_row(row, instruction.text, text, instruction.method)


def _clean(row: SourceRow) -> TrainingRow:
    return _training_row(row, row.instruction, row.input, _CLEAN)


def _training_row(row: SourceRow, instruction: str, text: str, method: str) -> TrainingRow:
    return TrainingRow(
        row_id=row.row_id,
        source_id=row.row_id,
        instruction=instruction,
        input=text,
        output=row.output,
        language=row.language,
        method=method,
        perturbed=(instruction, text) != (row.instruction, row.input),
        clean_instruction=row.instruction,
        clean_input=row.input,
    )
