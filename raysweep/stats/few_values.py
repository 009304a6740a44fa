"""Computes 95 % intervals of means of few numbers without limits, such as one for each edit example.

Student's t interval: the numbers are independent and roughly normal. A bootstrap of five numbers is too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isfinite, nan, sqrt

from raysweep.errors import UsageError
from raysweep.stats.intervals import COVERAGE, FEWEST, Interval, Z

ONE_CLUSTER = "no interval: all values are of one cluster"
"""Why values that are not independent of each other have none."""
BALANCED = "no interval: in each cluster the values differ from the mean by 0 in sum"
"""Why values whose clusters are all alike have none."""
ALIKE = "all numbers are equal: nothing shows how much others would differ"


@dataclass(frozen=True)
class FewValuesMean:
    """A mean with Student's t interval.

    Attributes:
        n: number of values.
        mean: of the values; NaN without any.
        low: lower end of the 95 % interval; NaN if there is none.
        high: upper end.
        assumes: what must hold for the interval.
        note: why there is no interval; empty if there is one.
        error: the standard error of the mean; NaN if there is no interval.
        clusters: number of clusters behind the interval, one more than its degrees of freedom; 0 without one.
    """

    n: int
    mean: float
    low: float
    high: float
    assumes: str = "values are independent of each other and roughly normal"
    note: str = ""
    error: float = nan
    clusters: int = 0

    @property
    def large_sample(self) -> Interval:
        """The interval if there were many values, for `mean_over_seeds`, which adds Student's width by itself."""
        return Interval(self.mean - Z * self.error, self.mean + Z * self.error)


def few_values_mean(
    values: Sequence[float], what: str = "value", clusters: Sequence[str] | None = None
) -> FewValuesMean:
    """Return the mean of some numbers with its interval; of fewer than two, or of equal ones, there is none.

    Values of one cluster need not be independent of each other. The variance is then that of the clusters' sums of
    residuals, and the degrees of freedom are one less than the clusters (Cameron and Miller 2015, A practitioner's
    guide to cluster-robust inference); where each value is a cluster of its own, it is Student's interval.

    Args:
        values: finite numbers in any unit.
        what: one of them, in words, for the note.
        clusters: of each value; None: each is one of its own.

    Raises:
        UsageError: a value is not finite.
    """
    from statistics import fmean

    from scipy.stats import t

    if unfit := [value for value in values if not isfinite(value)]:
        raise UsageError(f"a mean needs finite numbers, and one is {unfit[0]}; leave it out, and say how many")
    if len(values) < FEWEST:
        return FewValuesMean(
            len(values), fmean(values) if values else nan, nan, nan, note=f"no interval from one {what}"
        )
    mean = fmean(values)
    if min(values) == max(values):
        return FewValuesMean(len(values), mean, nan, nan, note=ALIKE)
    sums: dict[str, float] = {}
    for number, value in enumerate(values):
        name = str(number) if clusters is None else clusters[number]
        sums[name] = sums.get(name, 0.0) + value - mean
    groups = len(sums)
    if groups < FEWEST:
        return FewValuesMean(len(values), mean, nan, nan, note=ONE_CLUSTER)
    error = sqrt(fsum(one**2 for one in sums.values()) * groups / (groups - 1)) / len(values)
    if error <= 1e-12 * max(map(abs, values)):
        return FewValuesMean(len(values), mean, nan, nan, note=BALANCED)
    low, high = t.interval(COVERAGE, groups - 1, loc=mean, scale=error)
    return FewValuesMean(len(values), mean, float(low), float(high), error=error, clusters=groups)
