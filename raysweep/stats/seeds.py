"""Computes the mean over few seeds of fine-tuning, with an interval over problems and seeds.

Problems and seeds are crossed: each seed's model answers the same problems. The variance of the mean is that of
resampling the problems with the seeds as they are, plus the variance between the seeds' numbers, divided by their
number. What is particular to one problem and one seed is in both parts, so the sum is rather too large than too small:
that of two-way clustering without the third term (Cameron, Gelbach and Miller 2011, Journal of Business and Economic
Statistics 29, 238-249), as Owen's pigeonhole bootstrap has it (2007, Annals of Applied Statistics 1, 386-411). Three
seeds say little of the variance between seeds, so the ends are Student's t away, with the degrees of freedom of
Satterthwaite (1946, Biometrics Bulletin 2, 110-114): few where the seeds differ most, many where the problems do. An
interval is never narrower than Student's over the seeds alone, which holds where Satterthwaite's is too narrow: where
seeds make up most of the variance.

benchmarks/coverage.py --seeds measures how often the intervals hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite, isnan, nan, sqrt
from statistics import stdev
from typing import TYPE_CHECKING, NamedTuple

from raysweep.errors import UsageError
from raysweep.stats.intervals import FEWEST, Interval, Z

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ONE_SEED = "one seed: the interval is over problems only"
NO_SPREAD = "neither problems nor seeds differ, so there is no test"
TAIL = 0.025


@dataclass(frozen=True)
class SeedsMean:
    """The mean of a quantity over seeds.

    Attributes:
        n: number of seeds.
        mean: of the seeds' values.
        sd: standard deviation between them (divisor n - 1); NaN for one.
        low: lower end of the 95 % interval; NaN if a seed has no interval.
        high: upper end.
        p: two-sided, of the mean being 0, by the t test that the interval is of; NaN for one seed, without an
            interval, and for a mean that isn't 0 where the interval has no width.
        assumes: what must hold for interval and p.
        note: what a reader must know; empty if there is nothing.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float
    assumes: str = "problems and seeds are drawn independently of each other; seeds differ roughly normally"
    note: str = ""


def mean_over_seeds(
    values: Sequence[float],
    intervals: Sequence[Interval],
    problems: int,
    shared: float = 1.0,
    limits: tuple[float, float] = (-inf, inf),
) -> SeedsMean:
    """Return the mean of the seeds' values with an interval over problems and seeds.

    Args:
        values: one for each seed, finite.
        intervals: the 95 % interval over problems of each value; NaN where there is none.
        problems: number of problems behind each value.
        shared: the variance over problems of the mean over seeds, relative to that of one seed (`shared_variance`); 1
            where it isn't known, which is the most that it can be.
        limits: beyond which the quantity can't be.

    Raises:
        UsageError: there is no value, or one is not finite.
    """
    if not values or len(intervals) != len(values):
        raise UsageError(f"{len(values)} values need as many intervals, at least one, not {len(intervals)}")
    if wrong := [value for value in values if not isfinite(value)]:
        raise UsageError(f"{wrong[0]:g} is not a number to average; leave such seeds out, and say how many")
    n, mean = len(values), fsum(values) / len(values)
    if n < FEWEST:
        return SeedsMean(n, mean, nan, *intervals[0], nan, note=ONE_SEED)
    sd = stdev(values)
    between = sd**2 / n
    below, above, over = (
        shared * fsum((length / Z) ** 2 for length in lengths) / n
        for lengths in (
            [value - end.low for value, end in zip(values, intervals, strict=True)],
            [end.high - value for value, end in zip(values, intervals, strict=True)],
            [(end.high - end.low) / 2 for end in intervals],
        )
    )
    if not isfinite(over) or problems < FEWEST:
        return SeedsMean(n, mean, sd, nan, nan, nan)

    ends = [_Spread.of(variance, between, problems - 1, n - 1) for variance in (below, above, over)]
    low, high = mean - ends[0].half, mean + ends[1].half
    p = ends[2].p(mean)
    note = NO_SPREAD if isnan(p) else ""
    return SeedsMean(n, mean, sd, max(limits[0], low), min(limits[1], high), p, note=note)


class _Spread(NamedTuple):
    """A standard error with its degrees of freedom, and half of the 95 % interval that they give."""

    error: float
    degrees: float

    @classmethod
    def of(cls, over: float, between: float, of_problems: int, of_seeds: int) -> _Spread:
        """Return that of problems and seeds together, or that of the seeds alone where its interval is wider.

        Args:
            over: the variance of the mean over problems.
            between: that between seeds.
            of_problems: degrees of freedom of the first.
            of_seeds: those of the second.
        """
        parts = over**2 / of_problems + between**2 / of_seeds
        together = (over + between) ** 2 / parts if parts else float(of_problems)
        both = cls(sqrt(over + between), together), cls(sqrt(between), float(of_seeds))
        return max(both, key=lambda one: one.half)

    @property
    def half(self) -> float:
        from scipy.special import stdtrit

        return float(-stdtrit(self.degrees, TAIL)) * self.error

    def p(self, mean: float) -> float:
        from scipy.special import stdtr

        if not self.error:
            return nan if mean else 1.0
        return 2 * float(stdtr(self.degrees, -abs(mean) / self.error))


def shared_variance(values: NDArray[np.float64]) -> float:
    """Return the variance over problems of the mean over seeds, relative to the mean variance of a seed's values.

    It is 1 where all seeds have the same value on each problem, and 1 / seeds where nothing of the values is shared.

    Args:
        values: (seeds, problems).
    """
    of_seeds = float(values.var(axis=1).mean())
    return min(1.0, float(values.mean(axis=0).var()) / of_seeds) if of_seeds > 0 else 1.0
