"""Tables of records: a row for each record, or for those of all seeds together, and a `Field` for each column.

What these rows show are no numbers over problems, so their means over seeds have no intervals. Other tables have such
means from `seeds_cell`, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean, stdev
from typing import Any, Generic, Protocol, TypeVar

from raysweep.analysis.comparisons.estimate import fewer_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import formatted

COUNT = "{:,.1f}"
"""Format of the mean of a count, such as training rows; a count that is the same with all seeds stands as it is."""
PERCENT = "{:.3g} %"
BY_SEED = (
    "Of several seeds a count is shown once where all have it, and a curve is their mean at the steps that all have."
)
"""A sentence for the captions of tables with such rows."""


class Seeded(Protocol):
    """A record of a training with one seed; None: of a base model."""

    @property
    def seed(self) -> int | None: ...


R = TypeVar("R")
S = TypeVar("S", bound=Seeded)
Labels = tuple[str, ...]
BySeed = Mapping[int | None, R]
"""The records of one row by seed; None stands for the only one."""
Rows = Sequence[tuple[Labels, BySeed[R]]]


@dataclass(frozen=True)
class Field(Generic[R]):
    """A column of records.

    Attributes:
        heading: of the column.
        cell: what it shows of a record.
        form: how its mean over seeds is written.
        group: the heading that neighbouring columns share.
    """

    heading: str
    cell: Callable[[R], TableCell]
    form: str = COUNT
    group: str = ""


def rows_of(records: Sequence[S], over_seeds: bool, labels: Callable[[S, str], Labels]) -> Rows[S]:
    """Return the records of each row.

    `over_seeds`: whether those of all seeds have one row. `labels`: of a record's row, given the words that name its
    seed, which are empty where a row has all seeds or there is only one.
    """
    if over_seeds:
        rows: dict[Labels, dict[int | None, S]] = {}
        for record in records:
            rows.setdefault(labels(record, ""), {})[record.seed] = record
        return list(rows.items())
    several = len({record.seed for record in records} - {None}) > 1
    seeds = (f", seed {record.seed}" if several and record.seed is not None else "" for record in records)
    return [(labels(record, seed), {None: record}) for record, seed in zip(records, seeds, strict=True)]


def one_each(records: Iterable[tuple[Labels, R]]) -> Rows[R]:
    """Return rows of one record each, with their labels."""
    return [(labels, {None: record}) for labels, record in records]


def most_seeds(rows: Rows[Any]) -> int:
    return max((len(by_seed) for _, by_seed in rows), default=1)


def record_table(
    title: str,
    caption: str,
    stub: Labels,
    rows: Rows[R],
    fields: Sequence[Field[R]],
    asked: int = 1,
    **more: Any,
) -> Table:
    """`asked`: the number of seeds that a row should have. `more`: other attributes of the table."""
    return Table(
        title,
        caption,
        stub,
        tuple(Column(field.heading, field.group) for field in fields),
        tuple(Row(labels, field_cells(by_seed, fields, asked)) for labels, by_seed in rows),
        **more,
    )


def field_cells(by_seed: BySeed[R], fields: Sequence[Field[R]], asked: int) -> tuple[TableCell, ...]:
    cells = {seed: tuple(field.cell(record) for field in fields) for seed, record in by_seed.items()}
    return cells_over_seeds(cells, [field.form for field in fields], asked)


def seeds_cell(
    values: Sequence[float], write: Callable[[float], str], asked: int = 0, *, note: str = "", factor: float = 1.0
) -> TableCell:
    """Return the cell of the mean of a number over seeds, with the SD between them and without an interval.

    Args:
        values: one for each seed that has the number, at least one.
        write: gives the text of the mean and of the SD, which stands without ``%``.
        asked: the number of seeds that there should be; a note counts the seeds if they are fewer.
        note: what else is said at the number.
        factor: what values are multiplied by, such as 100 for shares in a table in percent.
    """
    mean = fmean(values)
    notes = "; ".join(filter(None, (note, fewer_seeds(len(values), asked))))
    return with_sd(TableCell.number(factor * mean, write(mean), notes), values, write, factor=factor)


def with_sd(
    cell: TableCell, values: Sequence[float], write: Callable[[float], str], *, factor: float = 1.0
) -> TableCell:
    """See `seeds_cell` for the arguments; one seed has no SD."""
    if len(values) < 2:
        return replace(cell, seeds=len(values))
    sd = stdev(values)
    return replace(cell, sd=factor * sd, spread=f"SD {write(sd).removesuffix(' %')}", seeds=len(values))


def cells_over_seeds(
    by_seed: Mapping[int | None, Sequence[TableCell]], formats: Sequence[str], asked: int
) -> tuple[TableCell, ...]:
    """Return the cells of one row for all seeds.

    Args:
        by_seed: the cells of the row of each seed; None stands for the seed of a base model, which has one row only.
        formats: how each cell's mean is written, `COUNT` for counts.
        asked: the number of seeds that there should be; below 2 the only row stays as it is.
    """
    seeds = {seed: cells for seed, cells in by_seed.items() if seed is not None}
    if asked < 2 or not seeds:
        return tuple(next(iter(by_seed.values())))
    columns = zip(zip(*seeds.values(), strict=True), formats, strict=True)
    return tuple(_mean_cell(dict(zip(seeds, column, strict=True)), form, asked) for column, form in columns)


def _mean_cell(by_seed: Mapping[int, TableCell], form: str, asked: int) -> TableCell:
    cells = list(by_seed.values())
    values = [cell.value for cell in cells if cell.state == "value"]
    note = cells[0].note
    if len({cell.note for cell in cells}) > 1:
        note = "; ".join(f"seed {seed}: {cell.note}" for seed, cell in by_seed.items() if cell.note)
    curves = [dict(cell.curve) for cell in cells if cell.curve]
    shared = [step for step in curves[0] if all(step in curve for curve in curves)] if curves else []
    curve = tuple((step, fmean(of[step] for of in curves)) for step in shared)
    if not values or (form == COUNT and len(values) == len(cells) and len(set(values)) == 1):
        return replace(cells[0], note=note, curve=curve)
    if form == COUNT:
        differing = ", ".join(cell.text for cell in cells)
        note, asked = "; ".join(filter(None, (note, f"of the seeds: {differing}"))), 0
    return replace(seeds_cell(values, partial(formatted, form=form), asked, note=note), curve=curve)
