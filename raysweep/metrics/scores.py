"""All numbers of one cell: every metric on every test set it was evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raysweep.metrics.base import METRICS, CellLabels, Evaluation
from raysweep.records import PromptRow, Result, Score, Spec

CLEAN = "clean"

TestSetName = tuple[str, str]  # (problem set, perturbation)


def scores_of(
    cell: CellLabels,
    results: Mapping[TestSetName, Sequence[Result]],
    prompt_rows: Mapping[TestSetName, Sequence[PromptRow]],
    metrics: Sequence[Spec] | None = None,
    more_draws: Mapping[TestSetName, Sequence[Sequence[Result]]] | None = None,
) -> list[Score]:
    """Score one model, sorted by problem set, perturbation (clean first) and metric as `metrics` names them.

    Args:
        cell: whose results these are.
        results: by (problem set, perturbation), of a test set's first draw.
        prompt_rows: the test sets' rows, under the same keys; a missing one leaves out the metrics that need it.
        metrics: which to take (``Spec("pass_at_k", {"k": [1]})``); None takes all registered ones.
        more_draws: results on the test sets' later draws, under the same keys.
    """
    chosen = [METRICS.create(spec) for spec in metrics or [Spec(name) for name in METRICS.names()]]
    scores = []
    for problem_set, perturbation in sorted(results, key=lambda name: (name[0], name[1] != CLEAN, name[1])):
        name = problem_set, perturbation
        clean = results.get((problem_set, CLEAN)) if perturbation != CLEAN else None
        evaluation = Evaluation(
            problem_set,
            perturbation,
            tuple(results[name]),
            tuple(prompt_rows.get(name, ())),
            None if clean is None else tuple(clean),
            tuple(tuple(rows) for rows in (more_draws or {}).get(name, ())),
        )
        for metric in chosen:
            for found in metric.measure(evaluation, cell):
                scores.append(
                    Score(
                        model=cell.model,
                        recipe=cell.recipe,
                        training_set=cell.training_set,
                        seed=cell.seed,
                        problem_set=problem_set,
                        perturbation=perturbation,
                        metric=found.metric,
                        value=found.value,
                        low=found.low,
                        high=found.high,
                        n=found.n,
                        note=found.note,
                    )
                )
    return scores
