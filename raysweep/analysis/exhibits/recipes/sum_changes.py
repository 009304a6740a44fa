"""Kind ``sum-changes``: the relative change of the sum of all columns of pass@1, of recipes against their baselines.

The columns are the problem sets, and of tests in parts each part. The last rows have the mean over models, which the
study of FAIT calls the average relative improvement.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.comparisons.estimate import BELOW_SEEDS, fewer_seeds
from raysweep.analysis.comparisons.sums import (
    Cells,
    PartRates,
    SumChange,
    change_over_models,
    change_over_seeds,
    changes_between,
    changes_by_seed,
    on_shared_sets,
)
from raysweep.analysis.exhibits.base import (
    COMPARISONS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.tables.printed_averages import change_cell
from raysweep.analysis.tables.quantities import PASS, number_cell
from raysweep.analysis.tables.records import seeds_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.base import CellLabels, Measurement
from raysweep.records import BASE, CLEAN
from raysweep.units import count

COLUMNS = ("baseline's sum (%)", "its sum (%)", "relative change (%)", "reads")
HOW = (
    "Relative change: of the sum of all columns, with its 95 % interval over problems, and over seeds where there are "
    "several; both sums share the resampled problems. Higher, lower: 0 lies outside of the interval, and of "
    "several seeds the mean is beyond the noise between them."
)
Changes = Mapping[CellLabels, SumChange]
"""The changes of a model's cells."""


@EXHIBITS.register("sum-changes")
class SumChanges(Exhibit):
    """A table of the relative changes of sums of pass@1, for each model and over models."""

    reads_seeds = True
    place: ClassVar[str] = "fault_aware_finetuning/table-average"

    id: Id = "fait-average"
    title: Text = "Average relative improvement"
    source: str = "FAIT study's averages in its text"
    group: Group = COMPARISONS

    compare: Annotated[Mapping[str, Annotated[Sequence[str], Field(min_length=1)]], Field(min_length=1)] = {
        "fait": ["base", "sft", "dpo"],
        "sft": ["base"],
        "fait-line": ["base"],
        "fait-token": ["base"],
    }
    """Recipes, each with the baselines that it is compared with: other recipes, or ``base``, the model before
    fine-tuning."""
    training_sets: Annotated[Sequence[str], Field(min_length=1)] = (CLEAN,)
    test_set: str = CLEAN

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        sets = [name for name in select_training_sets(evidence.frame, self.training_sets).names if name != BASE]
        recipes = {*self.compare, *(name for others in self.compare.values() for name in others)}
        cells = swept_cells(evidence, recipes, sets, self.test_set)
        rows = [row for recipe in self.compare for row in self._rows(evidence, cells, recipe, sets)]
        if not rows:
            pairs = " or ".join(f"{recipe} and {' or '.join(others)}" for recipe, others in self.compare.items())
            raise NothingToDraw(f"no model has verdicts under {pairs}")
        columns = dict.fromkeys((name, part) for rates in cells.values() for name in rates for part in rates[name])
        named = ", ".join(f"{name} ({part} tests)" if part else name for name, part in columns)
        return Drawn(
            (
                Table(
                    title=self.titled(evidence.frame),
                    caption=self.captioned(HOW, f"Columns: {named}."),
                    stub=("recipe", "compared with", "model"),
                    columns=tuple(map(Column, COLUMNS)),
                    rows=tuple(rows),
                    label=self.id,
                ),
            )
        )

    def _rows(self, evidence: Evidence, cells: Cells, recipe: str, sets: Sequence[str]) -> Iterator[Row]:
        seeds = sorted({cell.seed for cell in cells if cell.training_set != BASE})
        apart = seeds if len(seeds) > 1 and not evidence.pools_seeds else []
        for baseline in self.compare[recipe]:
            of_models = {
                model: changes
                for model in evidence.frame.models
                if (changes := changes_between(cells, model, recipe, baseline, sets))
            }
            if not apart:
                rows = _rows_of(of_models, baseline, len(seeds))
            else:
                rows = (row for seed in apart for row in _rows_of(_with_seed(of_models, seed), baseline, 1, seed))
            for label, found in rows:
                yield Row((recipe, baseline, label), found)


def swept_cells(evidence: Evidence, recipes: Collection[str], training_sets: Collection[str], test_set: str) -> Cells:
    """Return the rates on a test set of base models and of those that were fine-tuned by some recipes."""
    frame = evidence.frame
    tests = select_test_sets(frame, [test_set]).names
    labels = dict.fromkeys(
        CellLabels(*found)
        for found in frame.cells()
        if found[2] == BASE or (found[1] in recipes and found[2] in training_sets)
    )
    cells: dict[CellLabels, dict[str, PartRates]] = {}
    for cell in labels:
        for name in [(problems, test) for problems in frame.problem_sets for test in tests]:
            if rates := evidence.answers.rates(cell, name):
                cells.setdefault(cell, {})[name[0]] = rates
    return cells


def _with_seed(of_models: Mapping[str, Changes], seed: int) -> dict[str, Changes]:
    of_seed = {
        model: {cell: change for cell, change in changes.items() if cell.seed == seed}
        for model, changes in of_models.items()
    }
    return {model: changes for model, changes in of_seed.items() if changes}


def _rows_of(
    of_models: Mapping[str, Changes], baseline: str, asked: int, seed: int | None = None
) -> Iterator[tuple[str, tuple[TableCell, ...]]]:
    by_model, suffix = {}, "" if seed is None else f" · seed {seed}"
    for model, changes in of_models.items():
        by_model[model] = by_seed = changes_by_seed(changes)
        sums = (
            _sum_cell(
                [change.first for change in by_seed.values()], 1 if baseline == BASE else asked, by_seed.values()
            ),
            _sum_cell([change.second for change in by_seed.values()], asked, by_seed.values()),
        )
        yield f"{model}{suffix}", (*sums, *_change_cells(_over_cells(changes, asked)))
    if len(by_model) > 1:
        mean = _noted(change_over_models(list(by_model.values())), asked)
        yield f"mean of {count(len(by_model), 'model')}{suffix}", (TableCell(), TableCell(), *_change_cells(mean))


def _over_cells(changes: Changes, asked: int) -> SumChange:
    kept = on_shared_sets(changes)
    sets = len({cell.training_set for cell, change in kept.items() if not math.isnan(change.value)})
    note = f"mean over {count(sets, 'training set')}" if sets > 1 else ""
    return _noted(change_over_seeds(list(changes_by_seed(kept).values())), asked, note)


def _noted(mean: SumChange, asked: int, note: str = "") -> SumChange:
    notes = (note, mean.note, fewer_seeds(mean.seeds, asked))
    return replace(mean, seeds=mean.seeds if asked > 1 else 0, note="; ".join(filter(None, notes)))


def _sum_cell(sums: Sequence[float], asked: int, changes: Iterable[SumChange]) -> TableCell:
    known = [value for value in sums if not math.isnan(value)]
    if not known:
        return TableCell()
    n = max(change.n for change in changes)
    if asked > 1:
        return replace(seeds_cell(known, PASS.format, asked, factor=100), n=n)
    return number_cell(Measurement("sum", fmean(known), math.nan, math.nan, n), PASS)


def _change_cells(change: SumChange) -> tuple[TableCell, TableCell]:
    reads = "–" if math.isnan(change.low) else "no clear difference"
    if not math.isnan(change.low) and not change.low <= 0 <= change.high and BELOW_SEEDS not in change.note:
        reads = "higher" if change.value > 0 else "lower"
    return change_cell(change), TableCell.said(reads)
