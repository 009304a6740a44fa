"""Makes one row of the rows that a training has with each of several seeds: means, with the SD between seeds.

What these rows show are no numbers over problems, so their means have no intervals. Other tables have such cells from
`seeds_cell`, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean, stdev

from raysweep.analysis.tables.over_seeds import fewer_seeds
from raysweep.analysis.tables.table import TableCell
from raysweep.units import formatted

COUNT = "{:,.1f}"
"""Format of the mean of a count, such as training rows; a count that is the same with all seeds stands as it is."""
PERCENT = "{:.3g} %"
BY_SEED = (
    "Of several seeds a count is shown once where all have it, and a curve is their mean at the steps that all have."
)
"""A sentence for the captions of tables with such rows."""


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
    fewer, mean = fewer_seeds(len(values), asked) if len(values) < asked else "", fmean(values)
    notes = "; ".join(filter(None, (note, fewer)))
    return with_sd(TableCell(write(mean), value=factor * mean, note=notes, state="value"), values, write, factor=factor)


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
    columns = zip(*seeds.values(), strict=True)
    return tuple(
        _mean_cell(dict(zip(seeds, column, strict=True)), form, asked)
        for column, form in zip(columns, formats, strict=True)
    )


def _mean_cell(by_seed: Mapping[int, TableCell], form: str, asked: int) -> TableCell:
    cells = list(by_seed.values())
    values = [cell.value for cell in cells if cell.state == "value"]
    note, curve = _notes(by_seed), _mean_curve([cell.curve for cell in cells if cell.curve])
    if not values:
        return replace(cells[0], note=note, curve=curve)
    if form == COUNT:
        if len(values) == len(cells) and len(set(values)) == 1:
            return replace(cells[0], note=note, curve=curve)
        differing = ", ".join(cell.text for cell in cells)
        note, asked = "; ".join(filter(None, (note, f"of the seeds: {differing}"))), 0
    return replace(seeds_cell(values, partial(formatted, form=form), asked, note=note), curve=curve)


def _notes(by_seed: Mapping[int, TableCell]) -> str:
    notes = {seed: cell.note for seed, cell in by_seed.items()}
    if len(set(notes.values())) == 1:
        return next(iter(notes.values()))
    return "; ".join(f"seed {seed}: {note}" for seed, note in notes.items() if note)


def _mean_curve(curves: Sequence[tuple[tuple[float, float], ...]]) -> tuple[tuple[float, float], ...]:
    if not curves:
        return ()
    points = [dict(curve) for curve in curves]
    return tuple((step, fmean(of[step] for of in points)) for step in points[0] if all(step in of for of in points))
