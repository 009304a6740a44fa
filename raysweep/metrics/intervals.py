"""95 % percentile bootstrap intervals over problems (Efron & Tibshirani 1993, chapter 13).

Problems are resampled, not completions. The resamples depend on the seed and the number of problems only, so metrics on
one test set share them, clean and perturbed values of a problem stay paired, and equal data gives equal intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import nan, sqrt
from typing import TYPE_CHECKING, NamedTuple

from raysweep.seeding import numpy_rng

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 42
RESAMPLES = 2000
COVERAGE = 0.95


class Interval(NamedTuple):
    """The ends of an interval; both NaN where it is undefined."""

    low: float
    high: float


def mean_interval(values: Sequence[float], seed: int = SEED) -> Interval:
    """Return the interval of the mean of one value a problem."""
    if not values:
        return Interval(nan, nan)
    least, most = min(values), max(values)  # rounding may step over what a mean can be
    low, high = _percentiles(_weights(len(values), seed) @ _array(values))
    return Interval(min(max(low, least), most), min(max(high, least), most))


def paired_interval(
    clean: Sequence[float],
    perturbed: Sequence[float],
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    seed: int = SEED,
) -> Interval:
    """Return the interval of a statistic of two means over the same problems.

    Args:
        clean: one value a problem.
        perturbed: the same problems' values, in the same order.
        statistic: maps the means (two arrays, one entry a resample) to the statistic; NaN where it is undefined.
        seed: of the resamples.

    Returns:
        The interval over the resamples in which the statistic is defined.
    """
    if not clean:
        return Interval(nan, nan)
    weights = _weights(len(clean), seed)
    return _percentiles(statistic(weights @ _array(clean), weights @ _array(perturbed)))


def share_interval(count: int, total: int) -> Interval:
    """Return the 95 % interval of a share (Wilson 1927), for counts that no problems stand behind."""
    if not total:
        return Interval(nan, nan)
    z = 1.959963984540054  # of the normal distribution, for 95 %
    share, extra = count / total, z * z / total
    middle, half = share + extra / 2, z * sqrt(share * (1 - share) / total + extra / (4 * total))
    low, high = (middle - half) / (1 + extra), (middle + half) / (1 + extra)
    return Interval(low if count else 0.0, high if count < total else 1.0)


def _percentiles(statistics: NDArray[np.float64]) -> Interval:
    import numpy as np

    defined = statistics[np.isfinite(statistics)]
    if not defined.size:
        return Interval(nan, nan)
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return Interval(float(low), float(high))


@lru_cache(maxsize=32)
def _weights(n: int, seed: int) -> NDArray[np.float64]:
    """Return (RESAMPLES, n): the share of each problem in each resample; rows sum to 1."""
    import numpy as np

    counts = numpy_rng(seed, "bootstrap", n).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return counts / n


def _array(values: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
