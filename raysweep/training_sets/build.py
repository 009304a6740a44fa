"""Builds training sets: rows of a source, clean or after a method, block by block (study.md section 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from raysweep.records import PerturbedRow, SourceRow, TrainingRow
from raysweep.training_sets.choice import CLEAN

Choices = Sequence[Sequence[str]]
"""For each row of a block, the methods after which it is taken."""


def build_rows(
    rows: Sequence[SourceRow], choices: Choices, texts: Mapping[str, Sequence[PerturbedRow]]
) -> list[TrainingRow]:
    """Return the training rows of a block, in the source's order.

    Args:
        rows: of the source.
        choices: what becomes of each.
        texts: by method, the rows' texts after it, in the rows' order.

    A source row that is taken once keeps its id; else the method and, for the same one again, a number go with it.
    """
    made = []
    for at, (row, methods) in enumerate(zip(rows, choices, strict=True)):
        seen: Counter[str] = Counter()
        for method in methods:
            seen[method] += 1
            again = f".{seen[method]}" if seen[method] > 1 else ""
            row_id = row.row_id if len(methods) == 1 else f"{row.row_id}.{method}{again}"
            text = PerturbedRow(row.row_id, row.instruction, row.input) if method == CLEAN else texts[method][at]
            made.append(_training_row(row, row_id, method, text))
    return made


def _training_row(row: SourceRow, row_id: str, method: str, text: PerturbedRow) -> TrainingRow:
    return TrainingRow(
        row_id=row_id,
        source_id=row.row_id,
        instruction=text.instruction,
        input=text.input,
        output=row.output,
        language=row.language,
        method=method,
        perturbed=(text.instruction, text.input) != (row.instruction, row.input),
        clean_instruction=row.instruction,
        clean_input=row.input,
    )
