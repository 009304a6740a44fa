"""Pools the numbers of a sweep: several seeds become one mean, and all edited models of a method become one.

All tables, figures and sentences read the pooled numbers, which have `ALL_SEEDS` for a seed, so that a frame has one
variant for all. A base model has no seeds and stays as it is, and so does everything of a sweep with one seed.

A model that was edited from one edit example is a cell of its own, named by its pair. Such cells stand in tables of
scores as one training set, `EDITED`, whose numbers are means over pairs; the section on edits shows them one by one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName
from raysweep.analysis.comparisons.estimate import Estimate, SharedVariance, limits_of, pool, pool_each
from raysweep.analysis.tables.frame import ALL_SEEDS, Failure, Number
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE, CLEAN, Difference, Score
from raysweep.stats.few_values import few_values_mean
from raysweep.units import count

if TYPE_CHECKING:
    from raysweep.analysis.tables.outcomes import PairOutcomes

EDITED = "edited"
"""The training set of all edited models together."""
WORDS = "from one edit example each"
"""In words, for tables."""
WAY = "edited from one edit example (mean over examples)"
"""How a model came by its weights, for sentences."""
Place = tuple[str, str, str, str, TestSetName]
"""Model, recipe, training set, the training set of a baseline or "" for none, and the test set."""
_group_of = attrgetter("model", "recipe", "training_set")
_test_set_of = attrgetter("problem_set", "perturbation")


class SeedGroups:
    """Collects cells, those of all seeds of a group one after the other, and returns what their seeds share.

    Verdicts by problem are many, so those of a group are forgotten after it.
    """

    def __init__(self) -> None:
        self.shared: dict[Place, SharedVariance] = {}
        self._group: dict[CellLabels, Mapping[TestSetName, ProblemRates]] = {}

    def add(
        self,
        cell: CellLabels,
        rates: Mapping[TestSetName, ProblemRates],
        baselines: Mapping[CellLabels, Mapping[TestSetName, ProblemRates]],
    ) -> None:
        """Add a cell with its verdicts by problem on all test sets, and those of the cells that it is compared with."""
        if self._group and _group_of(next(iter(self._group))) != _group_of(cell):
            self._group = {}
        self._group[cell] = rates
        for test_set in rates if len(self._group) > 1 else ():
            of_seeds = {one: by_test[test_set] for one, by_test in self._group.items() if test_set in by_test}
            self.shared[*_group_of(cell), "", test_set] = SharedVariance.between([*of_seeds.values()])
            for against in {label.training_set for label in baselines}:
                twins = [_baseline_of(one, against, baselines).get(test_set) for one in of_seeds]
                if len(known := [twin for twin in twins if twin is not None]) == len(of_seeds):
                    shared = SharedVariance.between([*of_seeds.values()], known)
                    self.shared[*_group_of(cell), against, test_set] = shared


def _baseline_of(
    cell: CellLabels, against: str, baselines: Mapping[CellLabels, Mapping[TestSetName, ProblemRates]]
) -> Mapping[TestSetName, ProblemRates]:
    found = (
        by_test
        for label, by_test in baselines.items()
        if (label.model, label.training_set) == (cell.model, against)
        and (against == BASE or (label.recipe, label.seed) == (cell.recipe, cell.seed))
    )
    return next(found, {})


def have_several_seeds(cells: Iterable[Score | Difference | Failure]) -> bool:
    seeds: dict[tuple[str, str, str], int] = {}
    return any(seeds.setdefault(_group_of(one), one.seed) != one.seed for one in cells if one.training_set != BASE)


def scores_over_seeds(scores: Sequence[Score], shared: Mapping[Place, SharedVariance]) -> list[Score]:
    groups: dict[tuple[object, ...], list[Score]] = {}
    for score in scores:
        seed = score.seed if score.training_set == BASE else ALL_SEEDS
        groups.setdefault((*_group_of(score), seed, *_test_set_of(score), score.metric), []).append(score)
    asked = _most_seeds(scores)
    pooled: list[Score] = []
    for seeds in groups.values():
        first = seeds[0]
        if first.training_set == BASE:
            pooled.append(seeds[-1])
            continue
        of_group = shared.get((*_group_of(first), "", _test_set_of(first)), SharedVariance())
        pooled.append(_over_seeds(first, pool(seeds, of_group.of(first.metric), asked)))
    return pooled


def differences_over_seeds(differences: Sequence[Difference], shared: Mapping[Place, SharedVariance]) -> list[Number]:
    """Return differences in their order, those of several seeds as one mean; p values are of the mean difference."""
    groups: dict[Place, dict[str, list[Difference]]] = {}
    for one in differences:
        place = (*_group_of(one), one.against, _test_set_of(one))
        groups.setdefault(place, {}).setdefault(one.metric, []).append(one)
    asked = _most_seeds(differences)
    return [
        _over_seeds(metrics[metric][0], mean)
        for place, metrics in groups.items()
        for metric, mean in pool_each(metrics, shared.get(place, SharedVariance()), asked).items()
    ]


def _over_seeds(first: Score | Difference, mean: Estimate) -> Number:
    values = {name: getattr(mean, name) for name in ("value", "low", "high", "n", "note", "sd", "seeds")}
    return Number.of(first, seed=ALL_SEEDS, **values)


def _most_seeds(numbers: Iterable[Score | Difference]) -> int:
    seeds: dict[tuple[str, str, str], set[int]] = {}
    for one in numbers:
        seeds.setdefault(_group_of(one), set()).add(one.seed)
    return max(map(len, seeds.values()), default=0)


def failures_over_seeds(failures: Sequence[Failure]) -> list[Failure]:
    """Return failures with the seed of pooled numbers; a number of the seeds that didn't fail stands before them."""
    return [one if one.training_set == BASE else replace(one, seed=ALL_SEEDS) for one in failures]


def is_transfer(of: Score | PairOutcomes, pairs: Mapping[str, str]) -> bool:
    """Return whether something is of an edited model on a category that isn't its pair's."""
    return of.perturbation not in (CLEAN, pairs.get(of.training_set, of.perturbation))


def over_pairs(
    scores: Iterable[Score], pairs: Mapping[str, str], problems: Mapping[CellLabels, str] | None = None
) -> list[Score]:
    """Return scores in their order, those of edited models as means over pairs, with intervals over pairs.

    Scores of an edited model on other perturbations than its pair's and clean prompts are left out.

    `pairs`: the training sets that name a pair, each with its perturbation; without any, the scores are returned as
    they are. `problems`: of each edited model's pair, where they are known: pairs of one problem are one cluster.
    """
    found: dict[tuple[object, ...], list[Score]] = {}
    for score in scores:
        if is_transfer(score, pairs):
            continue
        training_set = EDITED if score.training_set in pairs else score.training_set
        key = (score.model, score.recipe, training_set, score.seed, *_test_set_of(score), score.metric)
        found.setdefault(key, []).append(score)
    return [_mean_over_pairs(of, problems or {}) if of[0].training_set in pairs else of[-1] for of in found.values()]


def _mean_over_pairs(scores: Sequence[Score], problems: Mapping[CellLabels, str]) -> Score:
    defined = [score for score in scores if not math.isnan(score.value)]
    undefined = [score for score in scores if math.isnan(score.value)]
    labels = [CellLabels(score.model, score.recipe, score.training_set, score.seed) for score in defined]
    clusters = [problems.get(one) or one.training_set for one in labels]
    mean = few_values_mean([score.value for score in defined], "pair", clusters)
    notes = [f"mean over {count(len(defined), 'pair')}, each without its problem"] if defined else []
    notes += [f"undefined for {count(len(undefined), 'pair')}: {undefined[0].note}"] if undefined else []
    return replace(
        scores[0],
        training_set=EDITED,
        value=mean.mean,
        low=mean.low,
        high=mean.high,
        n=min(score.n for score in scores),
        note="; ".join(notes),
    )


def within_limits(scores: Iterable[Score]) -> list[Score]:
    """Return scores in their order, whose intervals end where their metrics do: those of means over pairs may not.

    Means over seeds are computed before, from whole intervals.
    """
    found = []
    for score in scores:
        lowest, highest = limits_of(score.metric)
        is_outside = score.low < lowest or score.high > highest
        found.append(replace(score, low=max(score.low, lowest), high=min(score.high, highest)) if is_outside else score)
    return found


def without_pairs(differences: Iterable[Difference], pairs: Collection[str]) -> list[Difference]:
    """Return differences without those of edited models, whose section compares them with their base."""
    return [difference for difference in differences if difference.training_set not in pairs]
