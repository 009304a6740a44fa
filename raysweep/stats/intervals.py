"""Computes 95 % intervals of means over problems.

A mean of values from 0 to 1 has Wilson's score interval (1927) at its effective number of problems: the number of
problems divided by the design effect (Kish 1965, chapter 8), as Franco et al. (2019) have it for surveys. The design
effect is the variance of the values relative to that of verdicts with the same mean. It is 1 for one completion each,
which gives Wilson's own interval, and smaller where a problem's value is a share of many completions.

A design effect estimated from few problems is too small too often. It is therefore drawn towards 1 with the weight of
one or two problems, against the number of problems that carry the mean. Simulations chose the weight.

A share of some values, such as of the completions that fail on the clean prompt, is a mean that weighs each problem by
what it has of them. Its effective number of problems is Kish's for these weights, divided by the design effect.

Problems are resampled, not completions. Where a problem has values from several draws of a perturbation, the spread
between them (that of a Bayesian bootstrap within the problem) is added to the spread between problems. It then counts
in both, so the interval is rather too wide than too narrow. Draws that agree on every problem change nothing.

benchmarks/coverage.py measures how often the intervals hold, and states for which populations. One problem gives no
interval over problems: nothing shows how much problems differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import fsum, inf, nan
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from raysweep.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

COVERAGE = 0.95
Z = NormalDist().inv_cdf((1 + COVERAGE) / 2)
MEAN_WEIGHT = 1.5
"""Problems of design effect 1 that are added to those that carry a mean."""

FEWEST = 2
"""Problems that an interval over problems needs."""
NO_INTERVAL = "no interval from one task"
FEWEST_PASSES = 10
"""Clean passes that the interval of a relative degradation needs; with several samples, problems' shares add up."""


Draws: TypeAlias = "Sequence[Sequence[float]] | NDArray[np.float64]"
"""For each problem its values, one for each draw of a perturbation that has one; at least one.

An array is (problems, draws), with NaN where a draw has none.
"""


class Interval(NamedTuple):
    """The ends of an interval; both are NaN if it is undefined."""

    low: float
    high: float


UNDEFINED = Interval(nan, nan)


def interval_note(tasks: int, passes: float = inf, what: str = "clean passes") -> str:
    """Return why a number has no interval, or one that may not hold; "" if it has a sound one, or is undefined itself.

    `passes`: of a ratio to a clean score: the sum of the problems' clean values.
    """
    if 0 < tasks < FEWEST:
        return NO_INTERVAL
    return f"rough interval: fewer than {FEWEST_PASSES} {what}" if 0 < passes < FEWEST_PASSES else ""


def mean_interval(
    values: Sequence[float] | NDArray[np.float64], *, limits: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    """Return the interval of the mean, given one value per problem; undefined for fewer than two values.

    Raises:
        UsageError: a value lies beyond the limits, the smallest and the largest one that a problem can have.
    """
    return _mean_interval(array(values), 0.0, limits)


def drawn_mean_interval(draws: Draws, *, limits: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Return the interval of the mean over problems of the mean over draws; where draws agree, it is `mean_interval`.

    Raises:
        UsageError: a problem's mean lies beyond the limits, the smallest and the largest value that one can have.
    """
    values = drawn(draws)
    return _mean_interval(draw_means(values), _between(values), limits)


def _between(values: NDArray[np.float64]) -> float:
    """Return the sum of the variances of problems' means in a Bayesian bootstrap of their draws."""
    import numpy as np

    if agree(values):
        return 0.0
    return float((np.nanvar(values, axis=1) / (np.isfinite(values).sum(axis=1) + 1)).sum())


def drawn(draws: Draws) -> NDArray[np.float64]:
    """Return (problems, draws): the values, and NaN where a draw has none."""
    import numpy as np

    if isinstance(draws, np.ndarray):
        return array(draws)
    most = max(map(len, draws), default=1)
    if all(len(values) == most for values in draws):
        return array(draws).reshape(len(draws), most)
    return array([[*values, *(nan,) * (most - len(values))] for values in draws])


def draw_means(draws: Draws) -> NDArray[np.float64]:
    """Return (problems,): each problem's mean over its draws."""
    import numpy as np

    values = drawn(draws)
    return values[:, 0] if values.shape[1] == 1 else np.asarray(np.nanmean(values, axis=1))


def mean_of(values: Sequence[float] | NDArray[np.float64]) -> float:
    """Return the mean, rounded once, whatever the order of the values; NaN if there are none."""
    return fsum(values) / len(values) if len(values) else nan


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
    carrying = np.minimum(carriers(values), carriers(1 - values))
    effect = design_effect(squares, problems * means * (1 - means), carrying, MEAN_WEIGHT)
    return _wilson(means, problems / np.minimum(effect * problems / (problems - 1), 1.0))


def part_interval(parts: Draws, wholes: Draws) -> Interval:
    """Return the interval of the sum of parts divided by that of wholes; of verdicts it is `share_interval`.

    Args:
        parts: for each problem and draw, what counts, from 0 to the whole.
        wholes: what it is a part of, up to 1.

    Returns:
        The interval over problems; undefined for fewer than two, and if there is nothing of which something is a part.
    """
    import numpy as np

    part, whole = draw_means(parts), draw_means(wholes)
    problems, total = len(whole), whole.sum()
    if problems < FEWEST or not total:
        return UNDEFINED
    share = array([min(part.sum() / total, 1.0)])
    residuals = drawn(parts) - share * drawn(wholes)
    squares = (draw_means(residuals) ** 2).sum() + _between(residuals)
    carrying = np.minimum(carriers(part[None, :]), carriers((whole - part)[None, :]))
    effect = design_effect(array([squares]), (whole**2).sum() * share * (1 - share), carrying, MEAN_WEIGHT)
    low, high = _wilson(share, carriers(whole[None, :]) / np.minimum(effect * problems / (problems - 1), 1.0))
    return Interval(float(low[0]), float(high[0]))


@lru_cache(maxsize=4096)
def share_interval(count: int, total: int) -> Interval:
    """Return the interval of a share, `count` of `total` (Wilson 1927); NaN for 0 of 0."""
    if not total:
        return UNDEFINED
    low, high = _wilson(array([count / total]), array([total]))
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
    low, high = mean_ends((values[None, :] - lowest) / span, array([between / span**2]))
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


def carriers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many problems carry each set's sum: (sum)^2 / sum of squares, Kish's effective number; 0 of zeros."""
    import numpy as np

    squares = (values**2).sum(axis=1)
    return np.asarray(values.sum(axis=1) ** 2 / np.where(squares == 0, 1.0, squares))


def design_effect(
    squares: NDArray[np.float64], verdicts: NDArray[np.float64], carriers: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """Return (sets,): the sum of squares relative to that of verdicts, drawn towards 1 with a weight."""
    import numpy as np

    ratio = np.where(verdicts > 0, squares / np.where(verdicts > 0, verdicts, 1.0), 1.0)
    return np.asarray((ratio * carriers + weight) / (carriers + weight))


def agree(draws: Draws) -> bool:
    """Return True if no problem's value differs between draws."""
    import numpy as np

    values = drawn(draws)
    return values.shape[1] == 1 or bool((np.nanmin(values, axis=1) == np.nanmax(values, axis=1)).all())


def array(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
