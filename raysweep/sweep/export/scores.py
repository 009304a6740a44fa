"""The numbers of a cell that go into other tools' formats: pass@k, robust pass@k, RD and drop on each test set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import stdev

from raysweep.analysis.tables.frame import Number
from raysweep.analysis.tables.pooling import SeedGroups, have_several_seeds, scores_over_seeds
from raysweep.metrics.passing import pass_at_k
from raysweep.records import BASE, CLEAN, ProblemScore, Score
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.scoring import CellNumbers, by_cell, cell_numbers

DIRECTIONS = {"pass@": True, "RP_": True, "RD": False, "drop": True}
"""Beginnings of the names of the metrics that are exported, and whether higher is better; a drop is below 0."""
PASS_AT = re.compile(r"pass@(\d+)")


@dataclass(frozen=True)
class TestSetScores:
    """One cell's numbers on one test set, over all draws of its perturbation."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    pair: GridRow  # of the first draw
    draws: int  # that have results
    scores: tuple[Score, ...]  # that are defined
    undefined: tuple[Score, ...]  # NaN, with the reasons in their notes
    problems: tuple[ProblemScore, ...]  # of all draws
    over_seeds: Mapping[str, Number] = field(default_factory=dict)  # by metric; empty for one seed

    @property
    def task(self) -> str:
        """The test set as other tools name tasks: ``humaneval`` for the clean one, ``humaneval_C1``."""
        name = self.pair.problem_set
        return name if self.pair.perturbation == CLEAN else f"{name}_{self.pair.perturbation}"

    @property
    def evaluated(self) -> int:
        return len({row.task_id for row in self.problems if row.n})

    def standard_error(self, metric: str) -> float | None:
        """Return SD / sqrt(n) of pass@k over problems; None for other metrics and for fewer than two problems."""
        match = PASS_AT.fullmatch(metric)
        values = list(_rates(self.problems, int(match[1]))) if match else []
        return stdev(values) / sqrt(len(values)) if len(values) > 1 else None


@dataclass(frozen=True)
class CellScores:
    """One cell's numbers. `test_sets`: those with results."""

    id: str
    test_sets: tuple[TestSetScores, ...]

    @property
    def pair(self) -> GridRow:
        """The first evaluation pair, which names the cell's model, recipe, training set and seed."""
        return self.test_sets[0].pair


def higher_is_better(metric: str) -> bool | None:
    """Return the direction of a metric; None for one that isn't exported."""
    return next((higher for name, higher in DIRECTIONS.items() if metric.startswith(name)), None)


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
    rows_of: dict[tuple[str, str], list[ProblemScore]] = {}
    for row in numbers.problems:
        rows_of.setdefault((row.problem_set, row.perturbation), []).append(row)
    for first in (pair for pair in pairs if not pair.test_draw):
        name = first.problem_set, first.perturbation
        of_test_set = [s for s in numbers.scores if (s.problem_set, s.perturbation) == name]
        scores = [s for s in of_test_set if higher_is_better(s.metric) is not None]
        problems = tuple(rows_of.get(name, ()))
        if problems:
            defined = tuple(s for s in scores if math.isfinite(s.value))
            undefined = tuple(s for s in scores if not math.isfinite(s.value))
            means = pooled.get((first.model, first.recipe, first.training_set, *name), {})
            yield TestSetScores(first, len({p.draw for p in problems}), defined, undefined, problems, means)


def _rates(problems: Iterable[ProblemScore], k: int) -> Iterable[float]:
    rates: dict[str, list[float]] = {}
    for row in problems:
        if row.n >= k:
            rates.setdefault(row.task_id, []).append(pass_at_k(row.n, row.passed, k))
    return [sum(values) / len(values) for values in rates.values()]
