"""Kind ``sum-changes``: the relative change of the sum of all columns of pass@1, of recipes against their baselines.

The columns are the problem sets, and of tests in parts each part. The last rows have the mean over models, which the
study of FAIT calls the average relative improvement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from raysweep.analysis.comparisons.seeds import BELOW_SEEDS, seeds_note
from raysweep.analysis.comparisons.sums import Cells, PartRates, SumChange, changes_between, mean_change
from raysweep.analysis.exhibits.base import COMPARISONS, EXHIBITS, Drawn, Evidence, Exhibit, Group, NothingToDraw
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.tables.printed_averages import change_cell
from raysweep.analysis.tables.quantities import PASS
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE, CLEAN
from raysweep.units import count, decimal

COLUMNS = ("baseline's sum (%)", "its sum (%)", "relative change (%)", "reads")
HOW = (
    "Relative change: of the sum of all columns, with its 95 % interval over problems; both sums share the resampled "
    "problems. Higher, lower: 0 lies outside of the interval, and of "
    "several seeds the mean is beyond the noise between them."
)


@EXHIBITS.register("sum-changes")
class SumChanges(Exhibit):
    """A table of the relative changes of sums of pass@1, for each model and over models."""

    reads_seeds = True

    group: Group = COMPARISONS

    compare: Annotated[Mapping[str, Annotated[Sequence[str], Field(min_length=1)]], Field(min_length=1)]
    """Recipes, each with the baselines that it is compared with: other recipes, or ``base``, the model before
    fine-tuning."""
    training_sets: Annotated[Sequence[str], Field(min_length=1)] = (CLEAN,)
    test_set: str = CLEAN

    def draw(self, evidence: Evidence) -> Drawn:
        """Return the table."""
        sets = [name for name in select_training_sets(evidence.book, self.training_sets).names if name != BASE]
        cells = self._cells(evidence, sets)
        rows = [row for recipe in self.compare for row in self._rows(evidence, cells, recipe, sets)]
        if not rows:
            pairs = " or ".join(f"{recipe} and {' or '.join(others)}" for recipe, others in self.compare.items())
            raise NothingToDraw(f"no model has verdicts under {pairs}")
        columns = dict.fromkeys((name, part) for rates in cells.values() for name in rates for part in rates[name])
        named = ", ".join(f"{name} ({part} tests)" if part else name for name, part in columns)
        return Drawn(
            (
                Table(
                    title=self.titled(evidence.book),
                    caption=self.captioned(HOW, f"Columns: {named}."),
                    stub=("recipe", "compared with", "model"),
                    columns=tuple(map(Column, COLUMNS)),
                    rows=tuple(rows),
                    label=self.id,
                ),
            )
        )

    def _cells(self, evidence: Evidence, sets: Sequence[str]) -> Cells:
        """Return the rates of the cells that are compared, by problem set."""
        book = evidence.book
        tests = select_test_sets(book, [self.test_set]).names
        recipes = {*self.compare, *(name for others in self.compare.values() for name in others)}
        labels = dict.fromkeys(
            CellLabels(*found)
            for found in book.cells()
            if found[2] == BASE or (found[1] in recipes and found[2] in sets)
        )
        cells: dict[CellLabels, dict[str, PartRates]] = {}
        for cell in labels:
            for name in [(problems, test) for problems in book.problem_sets for test in tests]:
                if rates := evidence.answers.rates(cell, name):
                    cells.setdefault(cell, {})[name[0]] = rates
        return cells

    def _rows(self, evidence: Evidence, cells: Cells, recipe: str, sets: Sequence[str]) -> Iterator[Row]:
        for baseline in self.compare[recipe]:
            of_models = {
                model: changes
                for model in evidence.book.models
                if (changes := changes_between(cells, model, recipe, baseline, sets))
            }
            for model, changes in of_models.items():
                yield Row((recipe, baseline, model), _cells_of(_over_cells(changes)))
            if len(of_models) > 1:
                means = [mean_change(list(changes.values())) for changes in of_models.values()]
                label = f"mean of {count(len(of_models), 'model')}"
                yield Row((recipe, baseline, label), (TableCell(), TableCell(), *_cells_of(mean_change(means))[2:]))


def _over_cells(changes: Mapping[CellLabels, SumChange]) -> SumChange:
    """Return a model's change: the mean over its seeds and training sets, with what the spread between seeds says.

    That is of the seeds' means over training sets, whose own spread is no noise; seeds that lack a set don't count.
    """
    if len(changes) == 1:
        return next(iter(changes.values()))
    mean = mean_change(list(changes.values()))
    known = {cell: change.value for cell, change in changes.items() if not math.isnan(change.value)}
    sets = {cell.training_set for cell in known}
    by_seed = {seed: [v for cell, v in known.items() if cell.seed == seed] for seed in {cell.seed for cell in known}}
    of_seeds = [sum(values) / len(values) for values in by_seed.values() if len(values) == len(sets)]
    spread = ", ".join(decimal(100 * value, 1, "+") for value in known.values())
    note = f"mean of {len(known)} fine-tuned models: {spread} %"
    return replace(mean, note="; ".join(filter(None, (note, mean.note, seeds_note(of_seeds)))))


def _cells_of(change: SumChange) -> tuple[TableCell, ...]:
    reads = "–" if math.isnan(change.low) else "no clear difference"
    if not math.isnan(change.low) and not change.low <= 0 <= change.high and BELOW_SEEDS not in change.note:
        reads = "higher" if change.value > 0 else "lower"
    sums = (TableCell(PASS.format(v), value=100 * v, state="value", n=change.n) for v in (change.first, change.second))
    known = (
        TableCell() if math.isnan(v) else cell for v, cell in zip((change.first, change.second), sums, strict=True)
    )
    return (*known, change_cell(change), TableCell(reads, state="text"))
