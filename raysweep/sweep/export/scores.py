"""The numbers of a cell that go into other tools' formats: pass@k, robust pass@k, RD and drop on each test set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import stdev

from raysweep.metrics.passing import pass_at_k
from raysweep.records import CLEAN, ProblemScore, Score
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.report.scoring import CellNumbers, by_cell, cell_numbers

DIRECTIONS = {"pass@": True, "RP_": True, "RD": False, "drop": True}
"""Beginnings of the names of the metrics that are exported, and whether higher is better; a drop is below 0."""
PASS_AT = re.compile(r"pass@(\d+)")


@dataclass(frozen=True)
class TestSetScores:
    """One cell's numbers on one test set, over all draws of its perturbation.

    Attributes:
        pair: the evaluation pair of the first draw.
        draws: how many draws of the perturbation have results.
        scores: the defined numbers.
        undefined: the numbers that are NaN, with the reasons in their notes.
        problems: the verdicts by problem, of all draws.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    pair: GridRow
    draws: int
    scores: tuple[Score, ...]
    undefined: tuple[Score, ...]
    problems: tuple[ProblemScore, ...]

    @property
    def task(self) -> str:
        """The test set as other tools name tasks: ``humaneval`` for the clean one, ``humaneval_C1``."""
        name = self.pair.problem_set
        return name if self.pair.perturbation == CLEAN else f"{name}_{self.pair.perturbation}"

    @property
    def evaluated(self) -> int:
        """The number of problems with a verdict."""
        return len({row.task_id for row in self.problems if row.n})

    def standard_error(self, metric: str) -> float | None:
        """Return the standard error of pass@k over problems: their standard deviation divided by the root of n.

        None for other metrics, which are no means over problems, and for fewer than two problems.
        """
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
    by_labels = {_labels(cell.scores[0]): cell for cell in cell_numbers(folder) if cell.scores}
    for cell, pairs in by_cell(folder.grid()).items():
        if (labels := _labels(pairs[0])) in by_labels:
            yield CellScores(cell, tuple(_test_sets(by_labels[labels], pairs)))


def _labels(row: GridRow | Score) -> tuple[str, str, str, int]:
    return row.model, row.recipe, row.training_set, row.seed


def _test_sets(numbers: CellNumbers, pairs: Sequence[GridRow]) -> Iterator[TestSetScores]:
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
            yield TestSetScores(first, len({p.draw for p in problems}), defined, undefined, problems)


def _rates(problems: Iterable[ProblemScore], k: int) -> Iterable[float]:
    """Return pass@k by problem, the mean over its draws that have k verdicts."""
    rates: dict[str, list[float]] = {}
    for row in problems:
        if row.n >= k:
            rates.setdefault(row.task_id, []).append(pass_at_k(row.n, row.passed, k))
    return [sum(values) / len(values) for values in rates.values()]
