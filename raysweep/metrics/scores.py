"""Computes all scores of one cell: every metric on every test set; counts its verdicts problem by problem."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from math import nan

from raysweep.errors import UsageError
from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.levels import PerturbationLevel, measure_level
from raysweep.metrics.verdicts import NO_PAIRS, PairTally, Verdicts
from raysweep.records import CLEAN, ProblemScore, PromptRow, RatedTexts, Result, Score, Spec

log = logging.getLogger("raysweep")

METRIC_FAILED = "the metric failed: "
"""How the note of a number begins whose metric raised an error."""
TestSetName = tuple[str, str]  # (problem set, perturbation)


def scores_of(
    cell: CellLabels,
    results: Mapping[TestSetName, Sequence[Result]],
    prompt_rows: Mapping[TestSetName, Sequence[PromptRow]],
    metrics: Sequence[Spec] | None = None,
    more_draws: Mapping[TestSetName, Sequence[Sequence[Result]]] | None = None,
    more_prompts: Mapping[TestSetName, Sequence[Sequence[PromptRow]]] | None = None,
    parts: Mapping[str, Sequence[str]] | None = None,
    rated: RatedTexts | None = None,
    levels: Sequence[PerturbationLevel] = (),
    solvable: Mapping[str, frozenset[str]] | None = None,
) -> list[Score]:
    """Return the scores of one cell, sorted by problem set, perturbation (clean first) and the order of `metrics`.

    `prompt_rows`: the test sets' rows. Without them the metrics that need them are left out. `metrics`: the metrics to
    compute (``Spec("pass_at_k", {"k": [1]})``); None: all registered ones. `levels`: the levels to measure too; their
    numbers come last, with the level's name as the perturbation. `solvable`: see `Evaluation`, by problem set.
    """
    chosen = list(metrics or [Spec(name) for name in METRICS.names()])
    metric = cache(lambda number: METRICS.create(chosen[number]))
    counted = {name: Verdicts.of(rows) for name, rows in results.items()}
    scores = []
    for problem_set, perturbation in sorted(results, key=lambda name: (name[0], name[1] != CLEAN, name[1])):
        name = problem_set, perturbation
        clean = counted.get((problem_set, CLEAN)) if perturbation != CLEAN else None
        evaluation = Evaluation(
            problem_set,
            perturbation,
            counted[name],
            tuple(prompt_rows.get(name, ())),
            clean,
            tuple(Verdicts.of(rows) for rows in (more_draws or {}).get(name, ())),
            tuple(tuple(rows) for rows in (more_prompts or {}).get(name, ())),
            tuple((parts or {}).get(problem_set, ())),
            (solvable or {}).get(problem_set),
            rated,
        )
        for number, spec in enumerate(chosen):
            measure = partial(_measured, partial(metric, number), evaluation, cell)
            for measurement in guarded(spec.name, " ".join(name), measure):
                scores.append(_score(cell, name, measurement))
    by_level = _by_level(counted, more_draws or {}, levels)
    return scores + [_score(cell, name, measurement) for name, measurement in by_level]


def _by_level(
    results: Mapping[TestSetName, Sequence[Result]],
    more_draws: Mapping[TestSetName, Sequence[Sequence[Result]]],
    levels: Sequence[PerturbationLevel],
) -> Iterator[tuple[TestSetName, Measurement]]:
    for problem_set in sorted({name for name, perturbation in results if perturbation == CLEAN}):
        perturbed = {
            perturbation: (rows, *more_draws.get((problem_set, perturbation), ()))
            for (name, perturbation), rows in results.items()
            if name == problem_set
        }
        for level in levels:
            for measurement in measure_level(level, results[problem_set, CLEAN], perturbed):
                yield (problem_set, level.name), measurement


def _score(cell: CellLabels, test_set: TestSetName, number: Measurement) -> Score:
    labels = cell.model, cell.recipe, cell.training_set, cell.seed
    return Score(*labels, *test_set, number.metric, number.value, number.low, number.high, number.n, number.note)


def _measured(metric: Callable[[], Metric], evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
    return metric().measure(evaluation, cell)


def guarded(name: str, where: str, measure: Callable[[], Sequence[Measurement]]) -> list[Measurement]:
    """Return what a metric or a comparison measures; an error of its own is an undefined number with the error as note.

    `measure`: makes the metric and measures: an error of its constructor counts too.

    Raises:
        UsageError: and OSError, MemoryError: another run may do better.
    """
    try:
        return list(measure())
    except (UsageError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        log.warning("metric %s failed on %s: %s", name, where, reason)
        log.debug("metric %s", name, exc_info=True)
        return [Measurement(name, nan, nan, nan, 0, f"{METRIC_FAILED}{reason}")]


def problem_scores(
    cell: CellLabels, results: Mapping[TestSetName, Sequence[Sequence[Result]]]
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
