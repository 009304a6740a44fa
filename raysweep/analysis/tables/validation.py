"""Builds the table of validation rows: measures by which trainings with any objective are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from raysweep.analysis.tables.seed_rows import BY_SEED, COUNT, cells_over_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import formatted

Points = tuple[tuple[int, float], ...]
MEASURE = "{:.4g}"
"""Format of a measure."""
CAPTION = (
    "The same measures of the same validation rows for every recipe, before training and of the trained model. "
    "Cross-entropy: "
    "the mean over response tokens, in nats. Reference preferred: the share of rows whose response is more probable "
    "than the rejected one. Margin: the mean over these rows of log p(response) minus log p(rejected response), in "
    "nats. Left out: rows, or rejected responses alone, that can't be measured. The bottom of a curve is 0, or the "
    "smallest value where that is negative."
)


@dataclass(frozen=True)
class ReportedValidation:
    """What a training measured on its validation rows; curves are (step, value), step 0 is the model before training.

    Attributes:
        rows: number of rows that were measured.
        dropped: number of rows, or of rejected responses alone, that were left out, by reason.
        cross_entropy: nats a response token.
        preferred: share of pairs whose response is more probable than the rejected one; empty without pairs.
        margin: mean of log p(response) - log p(rejected response), nats; empty without pairs.
        pairs: names the pairs; trainings with the same name have the same pairs in the same order.
        margins_before: of each pair before training, nats.
        margins: of each pair after training, nats.
        kept: the step whose weights are the model; None: the last.
    """

    rows: int
    cross_entropy: Points = ()
    preferred: Points = ()
    margin: Points = ()
    pairs: str = ""
    margins_before: tuple[float, ...] = ()
    margins: tuple[float, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    kept: int | None = None


def validation_table(
    trainings: Sequence[tuple[tuple[str, ...], Mapping[int | None, ReportedValidation]]],
    row_words: Mapping[str, str],
    asked: int = 1,
) -> Table | None:
    """`trainings`: model, training set and recipe of each row, with measures by seed. `asked`: see `numbers_table`."""
    if not trainings:
        return None
    has_pairs = any(measured.preferred for _, seeds in trainings for measured in seeds.values())
    has_dropped = any(measured.dropped for _, seeds in trainings for measured in seeds.values())
    columns = [Column("rows"), *([Column("left out")] if has_dropped else []), *_columns("cross-entropy (nats)")]
    if has_pairs:
        columns += [Column("pairs"), *_columns("reference preferred (%)"), *_columns("margin (nats)")]
    formats = [MEASURE if column.group else COUNT for column in columns]
    rows = []
    for labels, seeds in trainings:
        by_seed = {seed: _cells(measured, has_pairs, has_dropped) for seed, measured in seeds.items()}
        rows.append(Row(labels, cells_over_seeds(by_seed, formats, asked)))
    stub, caption = ("model", "training set", "recipe"), f"{CAPTION} {BY_SEED}" if asked > 1 else CAPTION
    return Table("Validation rows", caption, stub, tuple(columns), tuple(rows), row_words=row_words)


def _columns(group: str) -> list[Column]:
    return [Column("before", group), Column("after", group)]


def _cells(measured: ReportedValidation, has_pairs: bool, has_dropped: bool) -> tuple[TableCell, ...]:
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in measured.dropped.items())
    left_out = [replace(_count(sum(measured.dropped.values())), note=reasons)] if has_dropped else []
    cells = [_count(measured.rows), *left_out, *_ends(measured.cross_entropy, measured.kept)]
    if has_pairs:
        cells += [_count(len(measured.margins)), *_ends(measured.preferred, measured.kept, 100)]
        cells += _ends(measured.margin, measured.kept)
    return tuple(cells)


def _count(number: int) -> TableCell:
    return TableCell(f"{number:,}", value=float(number), state="value")


def _ends(points: Points, kept: int | None, factor: float = 1) -> tuple[TableCell, TableCell]:
    before = _number(points[0][1] * factor) if points and points[0][0] == 0 else _missing()
    models = [value for step, value in points if step > 0 and kept in (None, step)]
    after = _number(models[-1] * factor) if models else _missing()
    return before, replace(after, curve=tuple((float(step), value) for step, value in points))


def _number(value: float) -> TableCell:
    if not math.isfinite(value):
        return TableCell("–", note="the model's probabilities are no finite numbers", state="undefined")
    return TableCell(formatted(value, MEASURE), value=value, state="value")


def _missing() -> TableCell:
    return TableCell("–", note="this training did not measure it", state="undefined")
