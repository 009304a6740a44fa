"""Builds training rows from source rows and their perturbed texts, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from raysweep.prompts.repair.hunks import hunk_in, is_marked
from raysweep.records import CLEAN, PerturbedRow, SourceRow, TrainingRow

Choices = Sequence[Sequence[str]]
"""For each row of a block, the methods in whose versions the row is taken (`clean` for the clean row)."""


def build_rows(
    rows: Sequence[SourceRow],
    choices: Choices,
    texts: Mapping[str, Sequence[PerturbedRow]],
) -> list[TrainingRow]:
    """Return the training rows of a block, in the source's order.

    Args:
        rows: of the source.
        choices: the methods for each row, from `Chooser.methods_of`.
        texts: for each method, the rows' texts after it, in the rows' order.

    A source row that is taken once keeps its id. If it is taken several times, the id gets the method as a suffix, and
    a number if a method is repeated.
    """
    training_rows = []
    for index, (row, methods) in enumerate(zip(rows, choices, strict=True)):
        counts: Counter[str] = Counter()
        for method in methods:
            counts[method] += 1
            repeat = f".{counts[method]}" if counts[method] > 1 else ""
            row_id = row.row_id if len(methods) == 1 else f"{row.row_id}.{method}{repeat}"
            text = PerturbedRow(row.row_id, row.instruction, row.input) if method == CLEAN else texts[method][index]
            training_rows.append(_training_row(row, row_id, method, text))
    return training_rows


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
        rejected=row.rejected,
        context=hunk_in(text.instruction)[0].as_json() if is_marked(text.instruction) else None,
        system=row.system,
        history=row.history,
        masked=row.masked,
    )
