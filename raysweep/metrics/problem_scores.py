"""Counts the verdicts of one cell problem by problem: all that comparisons of cells need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from raysweep.metrics.base import CellLabels
from raysweep.metrics.verdicts import NO_PAIRS, PairTally, Verdicts
from raysweep.records import CLEAN, ProblemScore, Result


def problem_scores(
    cell: CellLabels, results: Mapping[tuple[str, str], Sequence[Sequence[Result]]]
) -> Iterator[ProblemScore]:
    """Yield a record for each test set, draw and problem, in the order of the results."""
    labels = cell.model, cell.recipe, cell.training_set, cell.seed
    clean = {name: Verdicts.of(draws[0]) for (name, perturbation), draws in results.items() if perturbation == CLEAN}
    for (problem_set, perturbation), draws in results.items():
        for draw, rows in enumerate(draws):
            verdicts = Verdicts.of(rows)
            pairs: Mapping[str, PairTally] = {}
            if perturbation != CLEAN and problem_set in clean:
                pairs = verdicts.paired_with(clean[problem_set])
            for task, tally in verdicts.tallies().items():
                pair = pairs.get(task, NO_PAIRS)
                yield ProblemScore(*labels, problem_set, perturbation, draw, task, *tally, pair.n, pair.lost, pair.won)
