"""Counts the verdicts of one cell problem by problem: all that comparisons of cells need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from raysweep.metrics.base import CellLabels
from raysweep.metrics.passing import tallies
from raysweep.metrics.robust import RobustTally, pass_table, robust_tallies
from raysweep.records import CLEAN, ProblemScore, Result

NO_PAIRS = RobustTally(0, 0, 0, 0, 0)


def problem_scores(
    cell: CellLabels, results: Mapping[tuple[str, str], Sequence[Sequence[Result]]]
) -> Iterator[ProblemScore]:
    """Yield a record for each test set, draw and problem, in the order of the results.

    Args:
        cell: labels of the cell.
        results: by problem set and perturbation, the results on each draw.
    """
    clean = {name: pass_table(draws[0]) for (name, perturbation), draws in results.items() if perturbation == CLEAN}
    for (problem_set, perturbation), draws in results.items():
        for draw, rows in enumerate(draws):
            pairs: Mapping[str, RobustTally] = {}
            if perturbation != CLEAN and problem_set in clean:
                pairs = robust_tallies(clean[problem_set], pass_table(rows))
            for task, tally in tallies(rows).items():
                pair = pairs.get(task, NO_PAIRS)
                yield ProblemScore(
                    model=cell.model,
                    recipe=cell.recipe,
                    training_set=cell.training_set,
                    seed=cell.seed,
                    problem_set=problem_set,
                    perturbation=perturbation,
                    draw=draw,
                    task_id=task,
                    n=tally.n,
                    passed=tally.c,
                    harness_errors=tally.harness_errors,
                    pairs=pair.n,
                    lost=pair.broken,
                    won=pair.mended,
                )
