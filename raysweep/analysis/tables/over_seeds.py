"""Pools the numbers of several seeds: all tables, figures and sentences read means over seeds from here.

A model that was fine-tuned by one recipe on one training set with several seeds has one number for each seed. Here
they become one: the mean over the seeds, the standard deviation between them, and an interval over problems and seeds
(`raysweep.stats.seeds`). RD, too, is the mean of the seeds' RDs, never the RD of mean pass rates. A base model has no
seeds and stays as it is. The pooled numbers have `ALL_SEEDS` for a seed, so a book of scores has one variant for all.
Of a sweep with one seed, all numbers stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName, shared_values
from raysweep.analysis.comparisons.degradation import NAMES as CHANGES_OF_RD
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE, P_VALUE
from raysweep.analysis.tables.score_book import Failure
from raysweep.metrics.base import CellLabels, Measurement
from raysweep.records import BASE, Difference, Score
from raysweep.stats.intervals import Interval
from raysweep.stats.seeds import SeedsMean, mean_over_seeds, shared_variance
from raysweep.units import count

ALL_SEEDS = -1
"""Stands in the place of a seed in numbers that are means over seeds."""
SHARES = ("pass@", "flip", "RP_", "plausible", "exact", "share")
"""Beginnings of the names of metrics that lie between 0 and 1."""
DIFFERENCES_OF_SHARES = ("drop", DIFFERENCE)
"""Beginnings of the names of metrics that lie between -1 and 1."""
Numbers = Sequence[Score] | Sequence[Difference] | Sequence[Measurement]
Place = tuple[str, str, str, str, TestSetName]
"""Model, recipe, training set, the training set of a baseline or "" for none, and the test set."""


@dataclass(frozen=True, slots=True)
class ScoreOverSeeds(Score):
    """A score that is a mean over seeds. `sd`: between them, NaN for one; `seeds`: how many have the number."""

    sd: float = math.nan
    seeds: int = 1


@dataclass(frozen=True, slots=True)
class DifferenceOverSeeds(Difference):
    """A difference that is a mean over seeds. `sd`: between them, NaN for one; `seeds`: how many have the number."""

    sd: float = math.nan
    seeds: int = 1


@dataclass(frozen=True, slots=True)
class MeasurementOverSeeds(Measurement):
    """A number of two cells that is a mean over seeds. `sd`: between them, NaN for one; `seeds`: how many have it."""

    sd: float = math.nan
    seeds: int = 1


@dataclass(frozen=True)
class SharedVariance:
    """How much of the variance over problems seeds share, from 0 to 1 (`raysweep.stats.seeds.shared_variance`).

    Attributes:
        rates: of pass rates, or of their differences to a baseline's.
        losses: of the differences between perturbed and clean pass rates.
    """

    rates: float = 1.0
    losses: float = 1.0

    def of(self, metric: str) -> float:
        if metric.startswith(("RD", "drop")):
            return self.losses
        return self.rates if metric.startswith("pass@") else 1.0


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
            of_seeds = [(one, by_test[test_set]) for one, by_test in self._group.items() if test_set in by_test]
            place = (*_group_of(cell), "", test_set)
            self.shared[place] = _shared([found for _, found in of_seeds], [None] * len(of_seeds))
            for against in {label.training_set for label in baselines}:
                twins = [_twin(one, against, baselines).get(test_set) for one, _ in of_seeds]
                if all(twins):
                    self.shared[*_group_of(cell), against, test_set] = _shared([found for _, found in of_seeds], twins)


def _twin(
    cell: CellLabels, against: str, baselines: Mapping[CellLabels, Mapping[TestSetName, ProblemRates]]
) -> Mapping[TestSetName, ProblemRates]:
    found = (
        by_test
        for label, by_test in baselines.items()
        if (label.model, label.training_set) == (cell.model, against)
        and (against == BASE or (label.recipe, label.seed) == (cell.recipe, cell.seed))
    )
    return next(found, {})


def _group_of(cell: CellLabels | Score | Difference | Failure) -> tuple[str, str, str]:
    return cell.model, cell.recipe, cell.training_set


def _shared(seeds: Sequence[ProblemRates], twins: Sequence[ProblemRates | None]) -> SharedVariance:
    minus = [twin for twin in twins if twin is not None]
    rates = [one.rates for one in (*seeds, *minus)]
    clean = [one.clean for one in (*seeds, *minus)]
    of_rates = _shared_values(rates, len(minus))
    if not all(clean):
        return SharedVariance(of_rates)
    return SharedVariance(of_rates, _shared_values([*rates, *clean], len(minus), 2))


def _shared_values(columns: Sequence[Mapping[str, float]], twins: int, parts: int = 1) -> float:
    """Return what seeds share of values over the problems that all have.

    `columns`: values by task id: of the seeds, then of their twins; where there are two parts, the second is subtracted
    from the first. `twins`: how many of each part are the seeds' twins, which are subtracted: none, or one for each
    seed.
    """
    tasks, values = shared_values(*columns)
    if not tasks:
        return 1.0
    if parts > 1:
        values = values[: len(values) // 2] - values[len(values) // 2 :]
    return shared_variance(values[: len(values) - twins] - values[len(values) - twins :] if twins else values)


def have_several_seeds(cells: Iterable[Score | Difference | Failure]) -> bool:
    seeds: dict[tuple[str, str, str], int] = {}
    return any(seeds.setdefault(_group_of(one), one.seed) != one.seed for one in cells if one.training_set != BASE)


def scores_over_seeds(scores: Sequence[Score], shared: Mapping[Place, SharedVariance]) -> list[Score]:
    groups: dict[tuple[object, ...], list[Score]] = {}
    for score in scores:
        seed = score.seed if score.training_set == BASE else ALL_SEEDS
        key = (*_group_of(score), seed, score.problem_set, score.perturbation, score.metric)
        groups.setdefault(key, []).append(score)
    asked = _most_seeds(scores)
    pooled: list[Score] = []
    for seeds in groups.values():
        first = seeds[0]
        if first.training_set == BASE:
            pooled.append(seeds[-1])
            continue
        place = (*_group_of(first), "", (first.problem_set, first.perturbation))
        mean = _mean(seeds, shared.get(place, SharedVariance()).of(first.metric))
        pooled.append(ScoreOverSeeds(**_pooled(seeds, mean, asked)))
    return pooled


def differences_over_seeds(
    differences: Sequence[Difference], shared: Mapping[Place, SharedVariance]
) -> list[Difference]:
    """Return differences in their order, those of several seeds as one mean; p values are of the mean difference."""
    groups: dict[tuple[object, ...], dict[str, list[Difference]]] = {}
    for one in differences:
        key = (*_group_of(one), one.against, one.problem_set, one.perturbation)
        groups.setdefault(key, {}).setdefault(one.metric, []).append(one)
    asked = _most_seeds(differences)
    pooled: list[Difference] = []
    for metrics in groups.values():
        first = next(iter(metrics.values()))[0]
        place = (*_group_of(first), first.against, (first.problem_set, first.perturbation))
        means = _means_of(metrics, shared.get(place, SharedVariance()))
        pooled += [DifferenceOverSeeds(**_pooled(seeds, means[metric], asked)) for metric, seeds in metrics.items()]
    return pooled


def measurements_over_seeds(
    numbers: Sequence[Mapping[str, Measurement]],
    seeds: Sequence[ProblemRates],
    twins: Sequence[ProblemRates],
    asked: int,
) -> dict[str, Measurement]:
    """Return the mean over seeds of each number of two cells.

    Args:
        numbers: of each seed, by metric.
        seeds: the verdicts by problem of each seed's second cell.
        twins: those of its first one.
        asked: the number of seeds that there should be.
    """
    metrics: dict[str, list[Measurement]] = {}
    for of_seed in numbers:
        for metric, number in of_seed.items():
            metrics.setdefault(metric, []).append(number)
    means = _means_of(metrics, _shared(seeds, twins) if len(seeds) > 1 else SharedVariance())
    return {metric: MeasurementOverSeeds(**_pooled(of_all, means[metric], asked)) for metric, of_all in metrics.items()}


def measurement_over_seeds(seeds: Sequence[Measurement], asked: int) -> MeasurementOverSeeds:
    """Return the mean of a number over seeds; those without it are left out, and a note counts them.

    What the seeds share of the variance over problems isn't known, so it counts as all of it.

    `asked`: the number of seeds that there should be.
    """
    known = [one for one in seeds if not math.isnan(one.value)] or seeds
    return MeasurementOverSeeds(**_pooled(known, _mean(known, 1.0), asked))


def _means_of(
    metrics: Mapping[str, Sequence[Difference]] | Mapping[str, Sequence[Measurement]], shared: SharedVariance
) -> dict[str, SeedsMean | None]:
    means = {metric: _mean(seeds, shared.of(metric)) for metric, seeds in metrics.items()}
    p, difference = means.get(P_VALUE), means.get(DIFFERENCE)
    if p is not None and difference is not None and difference.n > 1:
        means[P_VALUE] = replace(p, mean=difference.p, sd=math.nan, low=math.nan, high=math.nan, note=difference.note)
    return means


def failures_over_seeds(failures: Sequence[Failure]) -> list[Failure]:
    """Return failures with the seed of pooled numbers; a number of the seeds that didn't fail stands before them."""
    return [one if one.training_set == BASE else replace(one, seed=ALL_SEEDS) for one in failures]


def rates_over_seeds(seeds: Sequence[ProblemRates]) -> ProblemRates:
    first = seeds[0]
    if len(seeds) == 1:
        return first
    return replace(
        first,
        rates=_means([one.rates for one in seeds]),
        clean=_means([one.clean for one in seeds]),
        by_draw={},
    )


def _means(columns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    tasks, values = shared_values(*columns)
    return dict(zip(tasks, values.mean(axis=0).tolist(), strict=True))


def _most_seeds(numbers: Iterable[Score | Difference]) -> int:
    seeds: dict[tuple[str, str, str], set[int]] = {}
    for one in numbers:
        seeds.setdefault(_group_of(one), set()).add(one.seed)
    return max(map(len, seeds.values()), default=0)


def _mean(seeds: Numbers, shared: float) -> SeedsMean | None:
    known = [one for one in seeds if not math.isnan(one.value)]
    if not known:
        return None
    ends = [Interval(one.low, one.high) for one in known]
    limits = limits_of(known[0].metric)
    return mean_over_seeds([one.value for one in known], ends, min(one.n for one in known), shared, limits)


def limits_of(metric: str) -> tuple[float, float]:
    """Return the least and the greatest value that a metric can have; infinite where there is none."""
    if metric.startswith(DIFFERENCES_OF_SHARES):
        return -1.0, 1.0
    if metric.startswith("RD") and metric not in CHANGES_OF_RD:
        return -math.inf, 1.0
    return (0.0, 1.0) if metric.startswith(SHARES) else (-math.inf, math.inf)


def fewer_seeds(there: int, asked: int) -> str:
    return f"{'mean over ' * (there > 1)}{there} of {count(asked, 'seed')}"


def _pooled(seeds: Numbers, mean: SeedsMean | None, asked: int) -> dict[str, Any]:
    first = seeds[0]
    notes = list(dict.fromkeys(one.note for one in seeds if one.note))
    notes += [mean.note] if mean and math.isnan(mean.mean) else []
    there = mean.n if mean else 0
    if 0 < there < asked:
        notes.append(fewer_seeds(there, asked))
    shown = {name.name: getattr(first, name.name) for name in fields(first)}
    shown |= {} if isinstance(first, Measurement) else {"seed": ALL_SEEDS}
    shown |= {"n": min(one.n for one in seeds), "note": "; ".join(notes), "seeds": there}
    if mean is None:
        return {**shown, "value": math.nan, "low": math.nan, "high": math.nan}
    return {**shown, "value": mean.mean, "low": mean.low, "high": mean.high, "sd": mean.sd}
