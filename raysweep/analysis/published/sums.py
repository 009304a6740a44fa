"""Recomputes the averages that a study printed from the scores in its tables.

A study's "average relative improvement" is the relative change of the sum of a row's columns. Of several models it is
the mean of their changes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from raysweep.analysis.published.reference import PublishedAverage, PublishedScore
from raysweep.records import BASE, NOT_TUNED

Columns = Collection[tuple[str, str]]
"""Columns of a table: (problem set, metric)."""


def without_doubles(scores: Iterable[PublishedScore]) -> list[PublishedScore]:
    """Return one score for each place; of those that several tables print, the first without a note if there is one."""
    ordered = sorted(scores, key=lambda score: bool(score.note))
    places = {(s.problem_set, s.model, s.training_set, s.perturbation, s.metric, s.recipe): s for s in ordered[::-1]}
    return sorted(places.values(), key=ordered.index)


def columns_of(scores: Iterable[PublishedScore]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((score.problem_set, score.metric) for score in scores))


def recomputed(average: PublishedAverage, scores: Sequence[PublishedScore], columns: Columns | None = None) -> float:
    """Return an average, as a share, computed from printed scores; NaN if a score of it is lacking.

    `scores`: the study's, one for each place: see `without_doubles`. `columns`: those that count; None: all of the
    study's.
    """
    counted = [
        column
        for column in (columns_of(scores) if columns is None else columns)
        if average.problem_set in ("", column[0])
    ]

    def total(model: str, recipe: str) -> float:
        wanted = NOT_TUNED if recipe == BASE else recipe
        of_row = {(s.problem_set, s.metric): s.value for s in scores if (s.model, s.recipe) == (model, wanted)}
        return sum(of_row.get(column, math.nan) for column in counted)

    sums = [(total(model, average.recipe), total(model, average.baseline)) for model in average.models]
    return sum(after / before - 1 if before else math.nan for after, before in sums) / len(sums)
