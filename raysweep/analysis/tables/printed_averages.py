"""Builds the table of a study's averages: as printed, recomputed from its tables, and of a sweep.

An average is the relative change of the sum of a table's columns from a baseline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.comparisons.estimate import Estimate
from raysweep.analysis.comparisons.sums import Cells, SumChange, change_over_models, changes_between, changes_by_seed
from raysweep.analysis.published.reference import PublishedAverage, PublishedScore
from raysweep.analysis.published.sums import columns_of, recomputed
from raysweep.analysis.tables.quantities import PASS, Quantity, number_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.base import Measurement
from raysweep.units import count

CHANGE = Quantity("relative change", "relative change", signed=True)
NAMED = 3
"""Models whose mean is named by their names; more are counted."""
STUB = ("models", "recipe", "compared with", "columns")
ALL = "all"


@dataclass(frozen=True)
class SweptSums:
    """What a sweep has beside a study's averages.

    Attributes:
        cells: the rates of its cells by problem set.
        training_sets: those that are like the study's: clean, and of the source's size.
    """

    cells: Cells
    training_sets: Collection[str]

    def columns(self) -> set[tuple[str, str]]:
        """Return the columns of its cells: (problem set, metric)."""
        return {
            (name, f"{PASS.metric} {part}".strip())
            for rates in self.cells.values()
            for name, parts in rates.items()
            for part in parts
        }

    def only(self, problem_sets: Collection[str]) -> SweptSums:
        kept = {
            cell: {name: rates[name] for name in rates if name in problem_sets} for cell, rates in self.cells.items()
        }
        return SweptSums({cell: rates for cell, rates in kept.items() if rates}, self.training_sets)

    def change(self, models: Sequence[str], recipe: str, baseline: str) -> SumChange | None:
        """None if a model has none. Of several seeds its interval is over problems and seeds."""
        of_models = [changes_between(self.cells, model, recipe, baseline, self.training_sets) for model in models]
        if not all(of_models):
            return None
        found = change_over_models([changes_by_seed(changes) for changes in of_models])
        several = len({cell.seed for changes in of_models for cell in changes}) > 1
        return found if several else replace(found, seeds=0)


def averages_table(
    averages: Sequence[PublishedAverage],
    scores: Sequence[PublishedScore],
    sweep: SweptSums,
    source: str,
    limit: str = "",
) -> Table:
    """`scores`: the printed ones, one for each place. `limit`: what a limited run left out, in words; may be empty."""
    columns = columns_of(scores)
    shared = [column for column in columns if column in sweep.columns()]
    own = list(_own_rows(averages, sweep))
    rows = [*_printed_rows(averages, scores, shared, sweep), *own]
    part = f"{len(shared)} of the study's {count(len(columns), 'column')}"
    caption = (
        "The relative change of the sum of a table's columns; of several models the mean of their changes. "
        f"Printed: {source}. Recomputed: from the pass@1 in its tables. The sweep's 95 % intervals are over problems, "
        "of several seeds over these too, and both sums share the resampled problems."
    )
    caption += (
        f" The sweep has {part}, and its sums are over these." if shared else " The sweep has none of its columns."
    )
    caption += " Rows of models that the study lacks are over all of the sweep's columns." if own else ""
    caption += f" The sweep is limited: {limit}" if limit else ""
    names = (
        "printed (%)",
        "recomputed (%)",
        f"recomputed from {part} (%)",
        "sweep (%)",
        "inside the interval",
        "tables",
    )
    kept = [number for number in range(len(names)) if number != 2 or 0 < len(shared) < len(columns)]
    return Table(
        "Averages: relative change of the sum of the columns",
        caption,
        STUB,
        tuple(Column(names[number]) for number in kept),
        tuple(Row(row.labels, tuple(row.cells[number] for number in kept)) for row in rows),
    )


def _printed_rows(
    averages: Sequence[PublishedAverage],
    scores: Sequence[PublishedScore],
    shared: Sequence[tuple[str, str]],
    sweep: SweptSums,
) -> Iterator[Row]:
    for average in averages:
        of_average = [name for name, _ in shared if average.problem_set in ("", name)]
        alike = recomputed(average, scores, shared) if of_average else float("nan")
        measured = sweep.only(of_average).change(average.models, average.recipe, average.baseline)
        cells = (
            TableCell.number(100 * average.value, average.percent.replace("-", "−"), average.note),
            _number(recomputed(average, scores)),
            _number(alike) if of_average else TableCell(),
            *_swept(measured, alike),
            TableCell.said(average.tables),
        )
        models = ", ".join(average.models) if len(average.models) <= NAMED else count(len(average.models), "model")
        label = models if len(average.models) == 1 else f"mean of {models}"
        yield Row((label, average.recipe, average.baseline, average.problem_set or ALL), cells)


def _own_rows(averages: Sequence[PublishedAverage], sweep: SweptSums) -> Iterator[Row]:
    printed = {model for average in averages for model in average.models}
    for model in dict.fromkeys(cell.model for cell in sweep.cells if cell.model not in printed):
        for recipe, baseline in dict.fromkeys((average.recipe, average.baseline) for average in averages):
            if (measured := sweep.change([model], recipe, baseline)) is not None:
                cells = (TableCell(), TableCell(), TableCell(), *_swept(measured), TableCell())
                yield Row((model, recipe, baseline, ALL), cells)


def _swept(change: SumChange | None, printed: float = float("nan")) -> tuple[TableCell, TableCell]:
    if change is None:
        return TableCell(), TableCell()
    bounded = change.low == change.low and printed == printed
    inside = "yes" if change.low <= printed <= change.high else "no"
    return change_cell(change), TableCell.said(inside if bounded else "–")


def change_cell(change: SumChange) -> TableCell:
    bounds, spread = (change.low, change.high), (change.sd, change.seeds)
    return number_cell(Estimate(CHANGE.metric, change.value, *bounds, change.n, change.note, *spread), CHANGE)


def _number(value: float) -> TableCell:
    return number_cell(Measurement(CHANGE.metric, value, float("nan"), float("nan"), 0), CHANGE)
