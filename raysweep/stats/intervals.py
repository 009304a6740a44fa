"""Computes 95 % intervals over problems.

A share of problems, such as pass@1 of one completion each, has Wilson's interval (Wilson 1927), which keeps a width
when all problems pass or all fail. Other means have a percentile bootstrap over problems (Efron & Tibshirani 1993,
chapter 13). A statistic of two means over the same problems has a Bayesian bootstrap (Rubin 1981) with half a problem
more in each corner: passed both times, failed both times, lost, won. That is Jeffreys' prior; like Agresti and Min's
(2005) half an observation in each cell, it keeps a width when all problems agree.

Problems are resampled, not completions. Where a problem has values from several draws of a perturbation, each resample
also weighs the problem's draws anew (a Bayesian bootstrap within the problem). The spread between draws then counts in
both steps, so the interval is rather too wide than too narrow. Draws that agree on every problem change nothing.

One problem gives no interval over problems: nothing shows how much problems differ.

The resamples depend on the seed and the numbers of problems and draws only, so all metrics on a test set share them,
clean and perturbed values of a problem stay paired, and equal data gives equal intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

from raysweep.seeding import DEFAULT_SEED, numpy_rng

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
COVERAGE = 0.95
CORNERS = ((1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
"""A problem's value on the clean and on the perturbed prompt, where both are verdicts."""
PRIOR = 0.5
"""Problems in each corner before any is seen."""

FEWEST = 2
"""Problems that an interval over problems needs."""
NO_INTERVAL = "no interval from one task"


Draws = Sequence[Sequence[float]]
"""For each problem its values, one for each draw of a perturbation that has one; at least one."""


class Interval(NamedTuple):
    """The ends of an interval; both are NaN if it is undefined."""

    low: float
    high: float


UNDEFINED = Interval(nan, nan)


def interval_note(tasks: int) -> str:
    """Return why a mean over so many tasks has no interval; "" if it has one, or is undefined itself."""
    return NO_INTERVAL if 0 < tasks < FEWEST else ""


def mean_interval(values: Sequence[float], seed: int = DEFAULT_SEED) -> Interval:
    """Return the interval of the mean, given one value per problem.

    It is Wilson's where each value is 0 or 1, else a bootstrap's; undefined for fewer than two values.
    """
    if len(values) < FEWEST:
        return UNDEFINED
    if all(value in (0, 1) for value in values):
        return share_interval(int(sum(values)), len(values))
    lowest, highest = min(values), max(values)  # rounding may exceed the range that a mean can have
    low, high = _percentiles(_resamples(len(values), seed) @ _array(values))
    return Interval(min(max(low, lowest), highest), min(max(high, lowest), highest))


def drawn_mean_interval(draws: Draws, seed: int = DEFAULT_SEED) -> Interval:
    """Return the interval of the mean over problems of the mean over draws.

    Where the draws of each problem agree, or there is one problem, it is `mean_interval`.
    """
    means = draw_means(draws)
    if _agree(draws) or len(draws) < FEWEST:
        return mean_interval(means, seed)
    low, high = _percentiles((_resamples(len(means), seed) * _redrawn(draws, seed)).sum(axis=1))
    return Interval(max(low, min(map(min, draws))), min(high, max(map(max, draws))))


def draw_means(draws: Draws) -> list[float]:
    """Return each problem's mean over its draws."""
    return [sum(values) / len(values) for values in draws]


def paired_interval(
    clean: Sequence[float],
    perturbed: Draws,
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    seed: int = DEFAULT_SEED,
) -> Interval:
    """Return the interval of a statistic of two means over the same problems; it contains the statistic itself.

    Args:
        clean: one value from 0 to 1 per problem.
        perturbed: the values of the same problems, in the same order, one for each draw of the perturbation.
        statistic: maps the means (two arrays, one entry per resample) to the statistic; NaN where it is undefined.
        seed: the seed of the resamples.

    Returns:
        The interval over the resamples in which the statistic is defined; undefined for fewer than two problems.
    """
    if len(clean) < FEWEST:
        return UNDEFINED
    both = _array([*zip(clean, draw_means(perturbed), strict=True), *CORNERS])
    weights = _posterior(len(clean), seed)
    means = weights @ both
    if not _agree(perturbed):
        means[:, 1] += (weights[:, : len(clean)] * (_redrawn(perturbed, seed) - both[: len(clean), 1])).sum(axis=1)
    low, high = _percentiles(statistic(means[:, 0], means[:, 1]))
    ((x, y),) = both[: len(clean)].mean(axis=0, keepdims=True)
    value = float(statistic(_array([x]), _array([y]))[0])
    return Interval(min(low, value), max(high, value)) if isfinite(value) else Interval(low, high)


@lru_cache(maxsize=4096)
def share_interval(count: int, total: int) -> Interval:
    """Return the interval of a share, `count` of `total` (Wilson 1927); NaN for 0 of 0."""
    from scipy.stats import binomtest

    if not total:
        return UNDEFINED
    found = binomtest(count, total).proportion_ci(COVERAGE, method="wilson")
    return Interval(float(found.low), float(found.high))


def _percentiles(statistics: NDArray[np.float64]) -> Interval:
    import numpy as np

    defined = statistics[np.isfinite(statistics)]
    if not defined.size:
        return UNDEFINED
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high))


@lru_cache(maxsize=32)
def _resamples(n: int, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, n): the share of each problem in each resample. Rows sum to 1."""
    import numpy as np

    counts = numpy_rng(seed, "bootstrap", n).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return counts / n


@lru_cache(maxsize=32)
def _posterior(n: int, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, n + 4): the weights of the problems and of the four corners. Rows sum to 1."""
    import numpy as np

    counts = np.array([*[1.0] * n, *[PRIOR] * len(CORNERS)])
    return numpy_rng(seed, "posterior", n).dirichlet(counts, size=RESAMPLES)


def _agree(draws: Draws) -> bool:
    """Return True if no problem's value differs between draws."""
    return all(value == values[0] for values in draws for value in values)


def _redrawn(draws: Draws, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, n): each problem's mean over its draws, which every resample weighs anew."""
    import numpy as np

    most = max(map(len, draws))
    there = np.array([[number < len(values) for number in range(most)] for values in draws])
    padded = _array([tuple(values) + (0.0,) * (most - len(values)) for values in draws])
    raw = _draw_weights(len(draws), most, seed)
    means: NDArray[np.float64] = np.einsum("rnd,nd->rn", raw, padded)
    means /= np.einsum("rnd,nd->rn", raw, there.astype(np.float64))
    return means


@lru_cache(maxsize=2)
def _draw_weights(n: int, draws: int, seed: int) -> NDArray[np.float32]:
    """Return (RESAMPLES, n, draws): weights of each problem's draws, a Dirichlet's before they are made to sum to 1."""
    rng = numpy_rng(seed, "draws", n, draws)
    return rng.standard_exponential((RESAMPLES, n, draws), dtype="float32")


def _array(values: Sequence[float] | Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
