"""Computes 95 % intervals of statistics of several means over the same problems: a difference, an RD, a change of RD.

The method is a Bayesian bootstrap over problems (Rubin 1981): all values of a problem keep together, so whatever makes
a problem hard for one model or prompt stays paired. Before any problem is seen, two problems are spread over the
corners, the combinations of values that a problem has where all of them are verdicts. So an interval keeps a width when
all problems agree. For a difference of two means, and for an RD, the corners are `LOST_OR_WON`: one problem is lost and
one is won, as Bonett and Price (2012, Journal of Educational and Behavioral Statistics 37, 479-488) add one of each to
Wald's interval. With half a problem in each of four corners, Agresti and Min's choice (2005), intervals hold too seldom
where few problems differ and all of these in one direction. Where a problem's values differ by less than verdicts do,
because they are shares of many completions, the corners lie nearer to the means, by the square root of the design
effect of the differences (`raysweep.stats.intervals`).

Where a problem has values from several draws of a perturbation, each resample weighs these anew.

The resamples depend on the seed and the number of problems only, so all statistics on a test set share them and equal
data gives equal intervals. benchmarks/coverage.py measures how often the intervals hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations, product
from typing import TYPE_CHECKING, NamedTuple

from raysweep.seeding import DEFAULT_SEED, numpy_rng
from raysweep.stats.intervals import (
    COVERAGE,
    FEWEST,
    UNDEFINED,
    Draws,
    Interval,
    agree,
    array,
    carriers,
    design_effect,
    draw_means,
    drawn,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 10_000
PRIOR_PROBLEMS = 2.0
"""Problems in all corners together before any is seen."""
ATOMS = 64
"""Imaginary problems of several settings, for which there are more corners than could be listed."""
ATOMS_TOGETHER = 4.0
"""Problems in all of these together. Half of them tell two settings apart: as many as for a difference."""
PAIR_WEIGHT = 2.0
"""Problems of design effect 1 that are added to those that carry the differences. Simulations chose it."""

Corners = Sequence[tuple[float, ...]]
LOST_OR_WON: Corners = ((1.0, 0.0), (0.0, 1.0))
"""The corners of two values that tell them apart."""
Statistics = Callable[["NDArray[np.float64]"], Sequence["NDArray[np.float64]"]]
"""Maps means (values, resamples) to statistics, each with one entry per resample; NaN where it is undefined."""


def bootstrap_intervals(
    values: Sequence[Draws], statistics: Statistics, corners: Corners | None = None, seed: int = DEFAULT_SEED
) -> list[Interval]:
    """Return the interval of each statistic of some means over the same problems; it contains the statistic itself.

    Args:
        values: for each mean and each problem, in one order, its values from 0 to 1: one for each draw.
        statistics: what to compute from the means.
        corners: the combinations of verdicts that a problem can have; None: each of 0 and 1.
        seed: the seed of the resamples.

    Returns:
        Intervals over the resamples in which a statistic is defined; undefined for fewer than two problems.
    """
    import numpy as np

    tables = [drawn(draws) for draws in values]
    means = array([draw_means(table) for table in tables])
    if means.shape[1] < FEWEST:
        return [UNDEFINED for _ in statistics(np.full((len(values), 1), np.nan))]
    possible = corners or list(product((1.0, 0.0), repeat=len(values)))
    resampled = resampled_means(means[:, None, :], possible, seed)[:, :, 0]
    for number, table in enumerate(tables):
        if not agree(table):
            changes = _problem_weights(len(table), seed) * (_redrawn(table, seed) - means[number])
            resampled[number] += changes.sum(axis=1) / _corner_weights(len(table), len(possible), seed).totals
    measured = np.concatenate(statistics(means.mean(axis=1)[:, None]))
    ends = zip(*statistic_ends(np.column_stack(statistics(resampled)), measured), measured, strict=True)
    return [Interval(float(low), float(high)) if np.isfinite(value) else UNDEFINED for low, high, value in ends]


def even_interval(problems: int) -> Interval:
    """Return the interval of a difference of two means whose values are equal on each problem: exact and symmetric.

    It is the resampled one without its error of chance: of a lost, a won and n even problems, weighed by standard
    exponentials, the share lost minus the share won is above x with probability (1 - x)^(n + 1) / 2.

    Args:
        problems: n; below two it is undefined.
    """
    if problems < FEWEST:
        return UNDEFINED
    end = 1 - (1 - COVERAGE) ** (1 / (problems + 1))
    return Interval(-end, end)


def resampled_means(
    values: NDArray[np.float64], corners: Corners | None = None, seed: int = DEFAULT_SEED
) -> NDArray[np.float64]:
    """Return the means in each resample, (values, RESAMPLES, sets).

    Args:
        values: (values, sets, problems), from 0 to 1.
        corners: the combinations of verdicts that a problem can have; None: each of 0 and 1.
        seed: the seed of the resamples, which all sets share.
    """
    import numpy as np

    count, sets, problems = values.shape
    possible = tuple(corners or product((1.0, 0.0), repeat=count))
    added = _corner_weights(problems, len(possible), seed)
    nearness = _nearness(values)
    resampled = np.empty((count, RESAMPLES, sets))
    for of_sets, of_corners, out in zip(values, _corner_sums(problems, possible, seed), resampled, strict=True):
        out[:] = _sums(of_sets, seed)
        if nearness is None:
            out += of_corners
        else:
            out += added.together[:, None] * ((1 - nearness) * of_sets.mean(axis=1))
            out += of_corners * nearness
    resampled /= added.totals[:, None]
    return resampled


def resampled_settings(settings: Sequence[NDArray[np.float64]], seed: int = DEFAULT_SEED) -> NDArray[np.float64]:
    """Return the mean of each setting in each resample, (settings, RESAMPLES): which is best, and how often.

    Before any problem is seen, one is lost and one is won as for two means, between each two settings alike: `ATOMS`
    imaginary problems, which each setting passes or fails by a coin of its own. So no setting is certain to be better
    because of one problem. The draws of a setting are weighed anew in each resample, for all problems together: a draw
    is a whole training, or a whole test set.

    Args:
        settings: for each, values from 0 to 1 of (problems, draws); problems are the same in all, draws are its own.
        seed: the seed of the resamples.
    """
    import numpy as np

    problems, count = len(settings[0]), len(settings)
    means = array([values.mean(axis=1) for values in settings])
    near = _nearness(means[:, None, :])
    nearness = 1.0 if near is None else float(near[0])
    added = _corner_weights(problems, ATOMS, seed, ATOMS_TOGETHER)
    rng = numpy_rng(seed, "settings", problems, count)
    resampled = np.empty((count, RESAMPLES))
    for values, mean, out in zip(settings, means, resampled, strict=True):
        coins = rng.integers(2, size=(RESAMPLES, ATOMS))
        out[:] = nearness * (added.each * coins).sum(axis=1) + (1 - nearness) * mean.mean() * added.together
        of_draws = rng.dirichlet(np.ones(values.shape[1]), RESAMPLES)
        out += (_problem_weights(problems, seed) @ values * of_draws).sum(axis=1)
    resampled /= added.totals
    return resampled


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
        low, high = _percentiles(resampled, (tail, 100 - tail))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a set without any defined resample has NaN
            low, high = np.nanpercentile(np.where(is_defined, resampled, np.nan), [tail, 100 - tail], axis=0)
    value = np.where(np.isfinite(measured), measured, np.nan)
    return np.asarray(np.fmin(low, value)), np.asarray(np.fmax(high, value))


def _percentiles(resampled: NDArray[np.float64], percents: Sequence[float]) -> list[NDArray[np.float64]]:
    """Return (sets,) for each: numpy's linear percentile over the resamples, (RESAMPLES, sets), in less of its time."""
    import numpy as np

    places = [percent / 100 * (len(resampled) - 1) for percent in percents]
    below = [math.floor(place) for place in places]
    ordered = np.partition(np.ascontiguousarray(resampled.T), [*below, *(one + 1 for one in below)], axis=1)
    return [
        np.asarray(ordered[:, one] + (ordered[:, one + 1] - ordered[:, one]) * (place - one))
        for place, one in zip(places, below, strict=True)
    ]


def _nearness(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return (sets,): how near a corner is: 1 where verdicts put it, 0 at the means; None: all are 1."""
    import numpy as np

    pairs = list(combinations(values, 2))
    if not pairs or ((values == 0) | (values == 1)).all():
        return None
    squares = sum((value - other) ** 2 for value, other in pairs)
    discordance = sum(value * (1 - other) + other * (1 - value) for value, other in pairs)
    sizes = sum(np.abs(value - other) for value, other in pairs)
    effect = design_effect(np.sum(squares, axis=1), np.sum(discordance, axis=1), carriers(array(sizes)), PAIR_WEIGHT)
    return np.asarray(np.sqrt(effect))


def _sums(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, sets): the weighted sums of values of (sets, problems).

    Those of one set are kept, because many statistics on a test set rest on the same values.
    """
    sets, problems = values.shape
    if sets == 1:
        return _kept_sum(values.tobytes(), seed)[:, None]
    return _problem_weights(problems, seed) @ values.T


@lru_cache(maxsize=1024)
def _kept_sum(values: bytes, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES,): the weighted sums of one value for each problem, given as the bytes of 64-bit floats."""
    import numpy as np

    of_problems = np.frombuffer(values)
    return np.asarray(_problem_weights(len(of_problems), seed) @ of_problems)


@lru_cache(maxsize=8)
def _problem_weights(problems: int, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, problems): weights before all of a resample are made to sum to 1."""
    return numpy_rng(seed, "posterior", problems).standard_exponential((RESAMPLES, problems))


class _CornerWeights(NamedTuple):
    """The weights of the corners in each resample, in the unit of the problems' weights."""

    each: NDArray[np.float64]  # (RESAMPLES, corners)
    together: NDArray[np.float64]  # (RESAMPLES,)
    totals: NDArray[np.float64]  # (RESAMPLES,): with the weights of the problems; divided by them, all sum to 1


@lru_cache(maxsize=24)
def _corner_weights(problems: int, corners: int, seed: int, imaginary: float = PRIOR_PROBLEMS) -> _CornerWeights:
    rng = numpy_rng(seed, "corners", problems, corners)
    each = rng.standard_gamma(imaginary / corners, (RESAMPLES, corners))
    together = each.sum(axis=1)
    return _CornerWeights(each, together, together + _problem_weights(problems, seed).sum(axis=1))


@lru_cache(maxsize=64)
def _corner_sums(problems: int, corners: tuple[tuple[float, ...], ...], seed: int) -> list[NDArray[np.float64]]:
    """Return for each value the weighted sums over the corners, (RESAMPLES, 1)."""
    each = _corner_weights(problems, len(corners), seed).each
    return [(each @ corner)[:, None] for corner in array(corners).T]


def _redrawn(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, n): each problem's mean over its draws, which every resample weighs anew."""
    import numpy as np

    raw = _draw_weights(*values.shape, seed)
    means: NDArray[np.float64] = np.einsum("rnd,nd->rn", raw, np.nan_to_num(values))
    means /= np.einsum("rnd,nd->rn", raw, np.isfinite(values).astype(np.float64))
    return means


@lru_cache(maxsize=2)
def _draw_weights(n: int, draws: int, seed: int) -> NDArray[np.float32]:
    """Return (RESAMPLES, n, draws): weights of each problem's draws, a Dirichlet's before they are made to sum to 1."""
    rng = numpy_rng(seed, "draws", n, draws)
    return rng.standard_exponential((RESAMPLES, n, draws), dtype="float32")
