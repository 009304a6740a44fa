"""Sums edited models up for the tables of all models: one row or column for all pairs, not one for each.

A model that was edited from one edit example is a cell of its own, named by its pair. Such cells stand in tables of
scores as one training set, `EDITED`, whose numbers are means over pairs; the section on edits shows them one by one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from raysweep.analysis.tables.over_seeds import limits_of
from raysweep.metrics.base import CellLabels
from raysweep.records import Difference, Score
from raysweep.stats.few_values import few_values_mean
from raysweep.units import count

EDITED = "edited"
"""The training set of all edited models together."""
WORDS = "from one edit example each"
"""In words, for tables."""
WAY = "edited from one edit example (mean over examples)"
"""How a model came by its weights, for sentences."""
LEFT_OUT = "each without the problem that it was edited from"
"""What an edited model is judged on, beside its base, which is judged on all problems."""


def over_pairs(
    scores: Iterable[Score], pairs: Collection[str], problems: Mapping[CellLabels, str] | None = None
) -> list[Score]:
    """Return scores in their order, those of edited models as means over pairs, with intervals over pairs.

    `pairs`: the training sets that name a pair; without any, the scores are returned as they are. `problems`: of each
    edited model's pair, where they are known: pairs of one problem are one cluster.
    """
    found: dict[tuple[object, ...], list[Score]] = {}
    for score in scores:
        training_set = EDITED if score.training_set in pairs else score.training_set
        key = (score.model, score.recipe, training_set, score.seed, score.problem_set, score.perturbation, score.metric)
        found.setdefault(key, []).append(score)
    return [_mean(of, problems or {}) if of[0].training_set in pairs else of[-1] for of in found.values()]


def within_limits(scores: Iterable[Score]) -> list[Score]:
    """Return scores in their order, whose intervals end where their metrics do: those of means over pairs may not.

    Means over seeds are computed before, from whole intervals.
    """
    found = []
    for score in scores:
        lowest, highest = limits_of(score.metric)
        found.append(replace(score, low=max(score.low, lowest), high=min(score.high, highest)))  # NaN stays NaN
    return found


def without_pairs(differences: Iterable[Difference], pairs: Collection[str]) -> list[Difference]:
    """Return differences without those of edited models, whose section compares them with their base."""
    return [difference for difference in differences if difference.training_set not in pairs]


def _mean(scores: Sequence[Score], problems: Mapping[CellLabels, str]) -> Score:
    first, defined = scores[0], [score for score in scores if not math.isnan(score.value)]
    known = [score.value for score in defined]
    labels = [CellLabels(score.model, score.recipe, score.training_set, score.seed) for score in defined]
    mean = few_values_mean(known, "pair", [problems.get(one) or one.training_set for one in labels])
    undefined = [score for score in scores if math.isnan(score.value)]
    notes = [f"mean over {count(len(known), 'pair')}, each without its problem"] if known else []
    notes += [f"undefined for {count(len(undefined), 'pair')}: {undefined[0].note}"] if undefined else []
    return Score(
        first.model,
        first.recipe,
        EDITED,
        first.seed,
        first.problem_set,
        first.perturbation,
        first.metric,
        mean.mean,
        mean.low,
        mean.high,
        min(score.n for score in scores),
        "; ".join(notes),
    )
