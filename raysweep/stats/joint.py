"""Computes 95 % intervals of statistics of several means over the same problems, such as a difference of two RDs.

The method is a Bayesian bootstrap over problems (Rubin 1981): all values of a problem keep together, so whatever makes
a problem hard for one model or prompt stays paired. Before any problem is seen, two problems are spread over the
corners, the combinations of 0 and 1 that a problem's values can take. That keeps a width when all problems agree, as
the half problems of `raysweep.stats.intervals.paired_interval` do for two values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from raysweep.seeding import DEFAULT_SEED, numpy_rng
from raysweep.stats.intervals import FEWEST, RESAMPLES, UNDEFINED, Interval, statistic_ends

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PRIOR_PROBLEMS = 2.0
"""Problems in all corners together before any is seen."""

Statistics = Callable[["NDArray[np.float64]"], Sequence["NDArray[np.float64]"]]
"""Maps means (values, resamples) to statistics, each with one entry per resample; NaN where it is undefined."""


def joint_intervals(
    problems: Sequence[Sequence[float]],
    statistics: Statistics,
    corners: Sequence[Sequence[float]] | None = None,
    seed: int = DEFAULT_SEED,
) -> list[Interval]:
    """Return the interval of each statistic, which contains the statistic itself.

    Args:
        problems: for each problem its values, from 0 to 1, as many for each problem.
        statistics: what to compute from the means.
        corners: the combinations of values that a problem can have; None: each of 0 and 1.
        seed: the seed of the resamples; equal seeds and numbers of problems give equal resamples.

    Returns:
        Intervals over the resamples in which a statistic is defined; undefined for fewer than two problems.
    """
    import numpy as np

    if len(problems) < FEWEST:
        return [UNDEFINED for _ in statistics(np.full((len(problems[0]) if problems else 0, 1), np.nan))]
    values = np.asarray(problems, dtype=np.float64)
    possible = np.asarray(corners or list(product((0.0, 1.0), repeat=values.shape[1])), dtype=np.float64)
    weights = _weights(len(values), len(possible), seed)
    resampled = np.column_stack(statistics((weights @ np.vstack([values, possible])).T))
    observed = np.concatenate(statistics(values.mean(axis=0)[:, None]))
    ends = zip(*statistic_ends(resampled, observed), observed, strict=True)
    return [Interval(float(low), float(high)) if np.isfinite(value) else UNDEFINED for low, high, value in ends]


@lru_cache(maxsize=8)
def _weights(problems: int, corners: int, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, problems + corners): the weights of each resample. Rows sum to 1."""
    import numpy as np

    counts = np.array([*[1.0] * problems, *[PRIOR_PROBLEMS / corners] * corners])
    return numpy_rng(seed, "joint", problems, corners).dirichlet(counts, size=RESAMPLES)
