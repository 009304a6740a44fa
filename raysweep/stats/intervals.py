"""Computes 95 % intervals over problems.

A mean of values from 0 to 1 has Wilson's score interval (1927) at its effective number of problems: the number of
problems divided by the design effect (Kish 1965, chapter 8), as Franco et al. (2019) have it for surveys. The design
effect is the variance of the values relative to that of verdicts with the same mean. It is 1 for one completion each,
which gives Wilson's own interval, and smaller where a problem's value is a share of many completions.

A statistic of two means over the same problems has a Bayesian bootstrap (Rubin 1981) with half a problem more in each
corner: passed both times, failed both times, lost, won. That is Jeffreys' prior; like Agresti and Min's (2005) half an
observation in each cell, it keeps a width when all problems agree. Where problems change by less than verdicts would,
the corners lie nearer to the means, by the square root of the design effect of the changes.

A design effect estimated from few problems is too small too often. It is therefore drawn towards 1 with the weight of
one or two problems, against the number of problems that carry the mean (or the changes). Simulations chose the weights.

Problems are resampled, not completions. Where a problem has values from several draws of a perturbation, the spread
between them (that of a Bayesian bootstrap within the problem) is added to the spread between problems. It then counts
in both, so the interval is rather too wide than too narrow. Draws that agree on every problem change nothing.

benchmarks/coverage.py measures how often the intervals hold, and states for which populations. One problem gives no
interval over problems: nothing shows how much problems differ.

The resamples depend on the seed and the numbers of problems and draws only, so all metrics on a test set share them,
clean and perturbed values of a problem stay paired, and equal data gives equal intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import inf, nan
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from raysweep.errors import UsageError
from raysweep.seeding import DEFAULT_SEED, numpy_rng

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
COVERAGE = 0.95
Z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
CORNERS = ((1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
"""A problem's value on the clean and on the perturbed prompt, where both are verdicts."""
PRIOR = 0.5
"""Problems in each corner before any is seen."""
MEAN_WEIGHT = 1.5
PAIR_WEIGHT = 2.0
"""Problems of design effect 1 that are added to those that carry a mean, or the changes between pairs."""

FEWEST = 2
"""Problems that an interval over problems needs."""
NO_INTERVAL = "no interval from one task"
FEWEST_PASSES = 10
"""Clean passes that the interval of a relative degradation needs; with several samples, problems' shares add up."""


Draws = Sequence[Sequence[float]]
"""For each problem its values, one for each draw of a perturbation that has one; at least one."""


class Interval(NamedTuple):
    """The ends of an interval; both are NaN if it is undefined."""

    low: float
    high: float


UNDEFINED = Interval(nan, nan)


def interval_note(tasks: int, passes: float = inf, what: str = "clean passes") -> str:
    """Return why a number has no interval, or one that may not hold; "" if it has a sound one, or is undefined itself.

    Args:
        tasks: number of problems behind the number.
        passes: of a ratio to a clean score: the sum of the problems' clean values.
        what: these, in words.
    """
    if 0 < tasks < FEWEST:
        return NO_INTERVAL
    return f"rough interval: fewer than {FEWEST_PASSES} {what}" if 0 < passes < FEWEST_PASSES else ""


def mean_interval(values: Sequence[float], *, limits: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Return the interval of the mean, given one value per problem; undefined for fewer than two values.

    Args:
        values: one for each problem.
        limits: the smallest and the largest value that a problem can have.

    Raises:
        UsageError: a value lies beyond the limits.
    """
    return _mean_interval(_array(values), 0.0, limits)


def drawn_mean_interval(draws: Draws, *, limits: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Return the interval of the mean over problems of the mean over draws; where draws agree, it is `mean_interval`.

    Args:
        draws: for each problem its values, one for each draw.
        limits: the smallest and the largest value that a problem can have.

    Raises:
        UsageError: a problem's mean lies beyond the limits.
    """
    between = 0.0 if _agree(draws) else sum(map(_spread_of_draws, draws))
    return _mean_interval(_array(draw_means(draws)), between, limits)


def draw_means(draws: Draws) -> list[float]:
    """Return each problem's mean over its draws."""
    return [sum(values) / len(values) for values in draws]


def mean_ends(
    values: NDArray[np.float64], between: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and the upper ends of the intervals of many means, (sets,) each.

    Args:
        values: (sets, problems), from 0 to 1; each set has an interval.
        between: (sets,): what the spread between draws adds to a set's sum of squares.
    """
    import numpy as np

    problems = values.shape[1]
    means = values.mean(axis=1)
    squares = ((values - means[:, None]) ** 2).sum(axis=1) + (0.0 if between is None else between)
    carriers = np.minimum(_carriers(values), _carriers(1 - values))
    effect = _design_effect(squares, problems * means * (1 - means), carriers, MEAN_WEIGHT)
    return _wilson(means, problems / np.minimum(effect * problems / (problems - 1), 1.0))


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
    first, second = _array([clean]), _array([draw_means(perturbed)])
    x, y = resampled_means(first, second, seed)
    if not _agree(perturbed):
        weights = _posterior(len(clean), seed)[:, : len(clean)]
        y += (weights * (_redrawn(perturbed, seed) - second)).sum(axis=1, keepdims=True)
    low, high = statistic_ends(statistic(x, y), statistic(first.mean(axis=1), second.mean(axis=1)))
    return Interval(float(low[0]), float(high[0]))


def resampled_means(
    first: NDArray[np.float64], second: NDArray[np.float64], seed: int = DEFAULT_SEED
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both means in each resample, (RESAMPLES, sets) each.

    Args:
        first: (sets, problems), from 0 to 1.
        second: other values of the same problems.
        seed: the seed of the resamples, which all sets share.
    """
    import numpy as np

    problems = first.shape[1]
    change = second - first
    discordance = (first * (1 - second) + second * (1 - first)).sum(axis=1)
    effect = _design_effect((change**2).sum(axis=1), discordance, _carriers(np.abs(change)), PAIR_WEIGHT)
    nearness = np.sqrt(effect)  # of a corner: 1 where it is, 0 at the means
    weights = _posterior(problems, seed)
    added = weights[:, problems:]
    all_added = added @ np.ones(len(CORNERS))
    x, y = (  # two products, since one of a matrix with two columns is slower
        weights[:, :problems] @ values.T
        + np.outer(all_added, (1 - nearness) * values.mean(axis=1))
        + np.outer(added @ corner, nearness)
        for values, corner in zip((first, second), _array(CORNERS).T, strict=True)
    )
    return x, y


def statistic_ends(
    resampled: NDArray[np.float64], measured: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of intervals that contain what was measured, (sets,) each.

    Args:
        resampled: (RESAMPLES, sets): a statistic in each resample; those in which it is not finite are left out.
        measured: (sets,): the statistic itself; where it isn't finite, it is not looked at.
    """
    import warnings

    import numpy as np

    tail = 100 * (1 - COVERAGE) / 2
    is_defined = np.isfinite(resampled)
    if is_defined.all():
        low, high = np.percentile(resampled, [tail, 100 - tail], axis=0)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a set without any defined resample has NaN
            low, high = np.nanpercentile(np.where(is_defined, resampled, np.nan), [tail, 100 - tail], axis=0)
    value = np.where(np.isfinite(measured), measured, np.nan)
    return np.asarray(np.fmin(low, value)), np.asarray(np.fmax(high, value))


@lru_cache(maxsize=4096)
def share_interval(count: int, total: int) -> Interval:
    """Return the interval of a share, `count` of `total` (Wilson 1927); NaN for 0 of 0."""
    if not total:
        return UNDEFINED
    low, high = _wilson(_array([count / total]), _array([total]))
    return Interval(float(low[0]), float(high[0]))


def _mean_interval(values: NDArray[np.float64], between: float, limits: tuple[float, float]) -> Interval:
    """Return the interval of the mean; `between` is what the spread between draws adds to the sum of squares."""
    lowest, highest = limits
    if len(values) < FEWEST:
        return UNDEFINED
    beyond = values[~((values >= lowest) & (values <= highest))]
    if beyond.size:
        raise UsageError(
            f"{beyond[0]:g} is not a value from {lowest:g} to {highest:g}; give the values' limits, as limits=(0, 100)"
        )
    span = highest - lowest
    low, high = mean_ends((values[None, :] - lowest) / span, _array([between / span**2]))
    return Interval(lowest + span * float(low[0]), lowest + span * float(high[0]))


def _wilson(
    means: NDArray[np.float64], problems: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of Wilson's intervals; the effective numbers of problems need not be whole."""
    import numpy as np

    centres = (means + Z**2 / (2 * problems)) / (1 + Z**2 / problems)
    halves = Z / (1 + Z**2 / problems) * np.sqrt(means * (1 - means) / problems + (Z / (2 * problems)) ** 2)
    low = np.where(means == 0, 0.0, np.clip(centres - halves, 0.0, means))  # rounding may leave a last bit
    return low, np.where(means == 1, 1.0, np.clip(centres + halves, means, 1.0))


def _carriers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many problems carry each set's sum: (sum)^2 / sum of squares, Kish's effective number; 0 of zeros."""
    import numpy as np

    squares = (values**2).sum(axis=1)
    return np.asarray(values.sum(axis=1) ** 2 / np.where(squares == 0, 1.0, squares))


def _design_effect(
    squares: NDArray[np.float64], verdicts: NDArray[np.float64], carriers: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Return (sets,): the sum of squares relative to that of verdicts, drawn towards 1 with a weight."""
    import numpy as np

    ratio = np.where(verdicts > 0, squares / np.where(verdicts > 0, verdicts, 1.0), 1.0)
    return np.asarray((ratio * carriers + weight) / (carriers + weight))


def _spread_of_draws(values: Sequence[float]) -> float:
    """Return the variance of a problem's mean in a Bayesian bootstrap of its draws."""
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values) / (len(values) + 1)


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


def _array(values: Sequence[float] | Sequence[Sequence[float]]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
