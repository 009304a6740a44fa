"""One estimate of how two models differ over the problems that both have, and one pool of several seeds' numbers.

A model that was fine-tuned by one recipe on one training set with several seeds has one number for each seed. `pool`
makes them one: the mean over the seeds, the standard deviation between them, and an interval over problems and seeds
(`raysweep.stats.seeds`). RD, too, is the mean of the seeds' RDs, never the RD of mean pass rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from raysweep.analysis.comparisons.base import ProblemRates, shared_values
from raysweep.analysis.comparisons.degradation import NAMES as CHANGES_OF_RD
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE, P_VALUE
from raysweep.metrics.base import Measurement
from raysweep.records import Difference, Score
from raysweep.stats.intervals import Interval
from raysweep.stats.resampling import bootstrap_difference
from raysweep.stats.seeds import NO_SPREAD, mean_over_seeds, shared_variance
from raysweep.stats.stability import FEWEST_DRAWS, noise
from raysweep.units import count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARES = ("pass@", "flip", "RP_", "plausible", "exact", "share")
"""Beginnings of the names of metrics that lie between 0 and 1."""
DIFFERENCES_OF_SHARES = ("drop", DIFFERENCE)
"""Beginnings of the names of metrics that lie between -1 and 1."""
BELOW_SEEDS = "within noise: the mean over seeds is below 2 SD between them"


@dataclass(frozen=True, slots=True)
class Estimate(Measurement):
    """A number of one or several seeds.

    Attributes:
        sd: standard deviation between the seeds; NaN for one.
        seeds: how many have the number; 0: it is no mean over seeds.
        p: two-sided, of the mean being 0, by the t test that the interval over seeds is of; NaN without one.
    """

    sd: float = math.nan
    seeds: int = 0
    p: float = math.nan

    @property
    def no_test(self) -> str:
        """Why a mean over seeds with an interval has no p value; empty if it has one, or if it has neither."""
        return NO_SPREAD if self.seeds > 1 and math.isnan(self.p) and not math.isnan(self.low) else ""


def estimate(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    metric: str = "",
    *,
    any_unit: bool = False,
    limits: tuple[float, float] | None = None,
) -> Estimate:
    """Return the mean of `after` minus `before`, paired, with its interval over problems and over several seeds.

    `before`, `after`: (seeds, problems), shares from 0 to 1, both with the seeds and problems in one order, at least
    two problems. `any_unit`: whether values are in any unit. The bootstrap takes shares: values become shares of their
    range. `limits`: beyond which the difference can't be; None: those of the metric.
    """
    lowest, span = 0.0, 1.0
    if any_unit:
        lowest = min(before.min(), after.min())
        span = max(before.max(), after.max()) - lowest or 1.0
    found = [
        bootstrap_difference(*(((side - lowest) / span)[:, None] for side in sides))
        for sides in zip(after, before, strict=True)
    ]
    seeds = [Measurement(metric, span * f.difference, span * f.low, span * f.high, f.n, f.note) for f in found]
    mean = pool(seeds, shared_variance(after - before), limits=limits)
    return replace(mean, note="; ".join(filter(None, (mean.note, mean.no_test))))


def pool(
    seeds: Sequence[Score | Difference | Measurement],
    shared: float = 1.0,
    asked: int = 0,
    limits: tuple[float, float] | None = None,
) -> Estimate:
    """Return the mean of a number over seeds; those without it are left out.

    Args:
        seeds: of each seed, at least one.
        shared: how much of the variance over problems the seeds share, see `SharedVariance`; 1 if it isn't known.
        asked: the number of seeds that there should be; a note counts those that have the number if they are fewer.
        limits: beyond which the number can't be; None: those of its metric.
    """
    known = [one for one in seeds if not math.isnan(one.value)]
    metric, n = seeds[0].metric, min(one.n for one in seeds)
    notes = list(dict.fromkeys(one.note for one in seeds if one.note))
    if not known:
        return Estimate(metric, math.nan, math.nan, math.nan, n, "; ".join(notes))
    mean = mean_over_seeds(
        [one.value for one in known],
        [Interval(one.low, one.high) for one in known],
        min(one.n for one in known),
        shared,
        limits_of(metric) if limits is None else limits,
    )
    notes += filter(None, [fewer_seeds(mean.n, asked)])
    return Estimate(metric, mean.mean, mean.low, mean.high, n, "; ".join(notes), mean.sd, mean.n, mean.p)


def pool_each(
    metrics: Mapping[str, Sequence[Score | Difference | Measurement]], shared: SharedVariance, asked: int
) -> dict[str, Estimate]:
    """Return the mean over seeds of several numbers; the p value is of the mean difference of pass@1."""
    means = {metric: pool(seeds, shared.of(metric), asked) for metric, seeds in metrics.items()}
    p, difference = means.get(P_VALUE), means.get(DIFFERENCE)
    if p is not None and p.seeds and difference is not None and difference.seeds > 1:
        notes = [*(one.note for one in metrics[P_VALUE]), difference.no_test, fewer_seeds(p.seeds, asked)]
        note = "; ".join(dict.fromkeys(filter(None, notes)))
        means[P_VALUE] = Estimate(P_VALUE, difference.p, math.nan, math.nan, p.n, note, seeds=p.seeds)
    return means


def defined(seeds: Sequence[Measurement]) -> Sequence[Measurement]:
    """Return the numbers that aren't NaN; all if none is."""
    return [one for one in seeds if not math.isnan(one.value)] or seeds


@dataclass(frozen=True)
class SharedVariance:
    """How much of the variance over problems seeds share, from 0 to 1 (`raysweep.stats.seeds.shared_variance`).

    Attributes:
        rates: of pass rates, or of their differences to a baseline's.
        losses: of the differences between perturbed and clean pass rates.
    """

    rates: float = 1.0
    losses: float = 1.0

    @classmethod
    def between(cls, seeds: Sequence[ProblemRates], baselines: Sequence[ProblemRates] = ()) -> SharedVariance:
        """`seeds`: the verdicts of each. `baselines`: of what each is compared with; empty: they are not compared."""
        cells = (*seeds, *baselines)
        rates = _shared([one.rates for one in cells], len(baselines))
        if not all(one.clean for one in cells):
            return cls(rates)
        return cls(rates, _shared([*(one.rates for one in cells), *(one.clean for one in cells)], len(baselines), 2))

    def of(self, metric: str) -> float:
        if metric.startswith(("RD", "drop")):
            return self.losses
        return self.rates if metric.startswith("pass@") else 1.0


def _shared(columns: Sequence[Mapping[str, float]], baselines: int, parts: int = 1) -> float:
    """Return what seeds share of values over the problems that all have.

    `columns`: values by task id, of the seeds, then of their baselines; where there are two parts, the second is
    subtracted from the first.
    """
    tasks, values = shared_values(*columns)
    if not tasks:
        return 1.0
    if parts > 1:
        values = values[: len(values) // 2] - values[len(values) // 2 :]
    return shared_variance(values[:-baselines] - values[-baselines:] if baselines else values)


def rates_over_seeds(seeds: Sequence[ProblemRates]) -> ProblemRates:
    """Return the means over seeds, problem by problem."""
    if len(seeds) == 1:
        return seeds[0]
    tables = [shared_values(*columns) for columns in ([one.rates for one in seeds], [one.clean for one in seeds])]
    rates, clean = (dict(zip(tasks, values.mean(axis=0).tolist(), strict=True)) for tasks, values in tables)
    return replace(seeds[0], rates=rates, clean=clean, by_draw={})


def limits_of(metric: str) -> tuple[float, float]:
    """Return the least and the greatest value that a metric can have; infinite where there is none."""
    if metric.startswith(DIFFERENCES_OF_SHARES):
        return -1.0, 1.0
    if metric.startswith("RD") and metric not in CHANGES_OF_RD:
        return -math.inf, 1.0
    return (0.0, 1.0) if metric.startswith(SHARES) else (-math.inf, math.inf)


def fewer_seeds(there: int, asked: int) -> str:
    """Return ``mean over 2 of 3 seeds``; empty where all are there, or none."""
    return f"{'mean over ' * (there > 1)}{there} of {count(asked, 'seed')}" if 0 < there < asked else ""


def seeds_note(values: Iterable[float]) -> str:
    """Return `BELOW_SEEDS` where it holds; empty where it doesn't, and for one seed, which tells nothing of noise.

    `values`: one difference for each seed; those that are NaN don't count.
    """
    known = [value for value in values if not math.isnan(value)]
    if len(known) < FEWEST_DRAWS:
        return ""
    return BELOW_SEEDS if noise(sum(known) / len(known), known).within_noise else ""


def with_seeds_notes(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences in their order, each of several seeds with what the spread between these says of it.

    Only numbers with an interval are effects: counts of problems and p values are left as they are.
    """
    without_seed = attrgetter("model", "recipe", "training_set", "against", "problem_set", "perturbation", "metric")
    by_seed: dict[tuple[str, ...], list[float]] = {}
    for difference in differences:
        if not math.isnan(difference.low):
            by_seed.setdefault(without_seed(difference), []).append(difference.value)
    notes = {key: seeds_note(values) for key, values in by_seed.items()}
    noted = []
    for one in differences:
        note = "" if math.isnan(one.low) else notes[without_seed(one)]
        noted.append(replace(one, note="; ".join(filter(None, (one.note, note)))) if note else one)
    return noted
