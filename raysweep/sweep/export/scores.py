"""The numbers of a cell that go into model cards: pass@k, robust pass@k, RD and drop on each test set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.analysis.tables.frame import Number
from raysweep.analysis.tables.pooling import SeedGroups, have_several_seeds, scores_over_seeds
from raysweep.records import BASE, Score
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.scoring import CellNumbers, by_cell, cell_numbers

EXPORTED = ("pass@", "RP_", "RD", "drop")
"""Beginnings of the names of the metrics that are exported."""


@dataclass(frozen=True)
class TestSetScores:
    """One cell's numbers on one test set, over all draws of its perturbation."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    pair: GridRow  # of the first draw
    scores: tuple[Score, ...]  # that are defined
    undefined: tuple[Score, ...]  # NaN, with the reasons in their notes
    over_seeds: Mapping[str, Number] = field(default_factory=dict)  # by metric; empty for one seed


@dataclass(frozen=True)
class CellScores:
    """One cell's numbers. `test_sets`: those with results."""

    id: str
    test_sets: tuple[TestSetScores, ...]

    @property
    def pair(self) -> GridRow:
        """The first evaluation pair, which names the cell's model, recipe, training set and seed."""
        return self.test_sets[0].pair


def cell_scores(folder: SweepFolder) -> Iterator[CellScores]:
    """Yield the exported numbers of each cell with results, in the order of the grid."""
    by_labels = {cell.labels: cell for cell in cell_numbers(folder) if cell.scores}
    pairs_edited = set(order_of(folder.config()).pairs)
    pooled = _over_seeds([cell for cell in by_labels.values() if cell.labels.training_set not in pairs_edited])
    for cell, pairs in by_cell(folder.grid()).items():
        if (numbers := by_labels.get(pairs[0].labels)) is not None:
            yield CellScores(cell, tuple(_test_sets(numbers, pairs, pooled)))


Pooled = Mapping[tuple[str, ...], Mapping[str, Number]]
"""Means over seeds by model, recipe, training set, problem set and perturbation, then by metric."""


def _over_seeds(cells: Sequence[CellNumbers]) -> Pooled:
    scores = [score for cell in cells for score in cell.scores]
    if not have_several_seeds(scores):
        return {}
    groups = SeedGroups()
    for cell in cells:
        if cell.labels.training_set != BASE:
            groups.add(cell.labels, cell.rates, {})
    found: dict[tuple[str, ...], dict[str, Number]] = {}
    for mean in scores_over_seeds(scores, groups.shared):
        if isinstance(mean, Number):
            place = (mean.model, mean.recipe, mean.training_set, mean.problem_set, mean.perturbation)
            found.setdefault(place, {})[mean.metric] = mean
    return found


def _test_sets(numbers: CellNumbers, pairs: Sequence[GridRow], pooled: Pooled) -> Iterator[TestSetScores]:
    """Yield a cell's numbers by test set; those of a level stand with the mix of its name, if that is a test set."""
    with_results = {(row.problem_set, row.perturbation) for row in numbers.problems}
    for first in (pair for pair in pairs if not pair.test_draw):
        name = first.problem_set, first.perturbation
        of_test_set = [s for s in numbers.scores if (s.problem_set, s.perturbation) == name]
        scores = [s for s in of_test_set if s.metric.startswith(EXPORTED)]
        if name in with_results:
            defined = tuple(s for s in scores if math.isfinite(s.value))
            undefined = tuple(s for s in scores if not math.isfinite(s.value))
            means = pooled.get((first.model, first.recipe, first.training_set, *name), {})
            yield TestSetScores(first, defined, undefined, means)
