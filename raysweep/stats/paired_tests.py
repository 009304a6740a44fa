"""Tests of paired numbers that know what is independent of what: sign-flips of whole clusters, and McNemar's test.

Sources: Fisher (1935), chapter 3, for the sign-flip test; Streitberg and Roehmel (1986, Statistical Software Newsletter
12, 10-17) for counting all patterns of signs by their sums; McNemar (1947) in its exact form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from raysweep.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST_UNITS = 2
MOST_UNITS = 22
"""Two to the power of this many sign patterns are counted, in a second."""
MOST_COUNTED = 1_000
"""Two to the power of this many sign patterns is a float; of more differences p is the normal approximation's."""
STEPS = 1_000
"""Differences that are no multiples of 1 / d for any d up to this are rounded to multiples of one in so many."""
BLOCK = 2**16
ROUNDING = 1e-12
"""Sums that differ by less, relative to the largest, count as equal."""


@dataclass(frozen=True)
class SignFlip:
    """An exact sign-flip test of a mean difference.

    Attributes:
        n: number of differences.
        units: independent ones: clusters.
        mean: of the differences, each counted once.
        p: two-sided: the share of sign patterns, one sign for each cluster, whose mean is as far from 0.
        smallest_p: that so many units can have.
        assumes: what must hold for p.
    """

    n: int
    units: int
    mean: float
    p: float
    smallest_p: float
    assumes: str = "clusters are independent of each other, and each difference is as likely with the other sign"


def sign_flip(differences: Sequence[float], clusters: Sequence[str]) -> SignFlip:
    """Test whether a mean difference is 0, when the differences of a cluster share what makes them differ.

    Models with the same base weights are one cluster: six models of which two share weights are five units.

    Args:
        differences: of pairs, in any unit.
        clusters: the cluster of each difference.

    Raises:
        UsageError: the lengths differ, a difference isn't finite, or there are fewer than 2 or more than 22 clusters.
    """
    import numpy as np

    if len(differences) != len(clusters):
        raise UsageError(f"{len(differences)} differences need as many clusters, not {len(clusters)}")
    if not all(map(math.isfinite, differences)):
        raise UsageError("a difference isn't a number; leave such pairs out, and say how many")
    sums: dict[str, float] = {}
    for difference, cluster in zip(differences, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + difference
    units = len(sums)
    if not FEWEST_UNITS <= units <= MOST_UNITS:
        raise UsageError(f"an exact sign-flip test takes {FEWEST_UNITS} to {MOST_UNITS} independent units, not {units}")
    totals = np.asarray(list(sums.values()))
    reached = abs(float(totals.sum())) - ROUNDING * float(np.abs(totals).sum())
    as_far = 0
    for start in range(0, 2**units, BLOCK):
        patterns = np.arange(start, min(start + BLOCK, 2**units))[:, None] >> np.arange(units) & 1
        as_far += int((np.abs((2 * patterns - 1) @ totals) >= reached).sum())
    mean = sum(differences) / len(differences)
    return SignFlip(len(differences), units, mean, as_far / 2**units, 2.0 ** (1 - units))


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of a sign-flip test of many differences, such as one for each problem.

    It is the share of all patterns of signs whose sum is as far from 0: of n differences that are not 0, no less than
    2^(1 - n). All patterns are counted, not sampled: differences of pass rates are multiples of one share, so few sums
    are possible (the shift algorithm). Where all are equally large it is the sign test, for
    verdicts McNemar's exact test. Of more than 1,000 differences that are not 0 it is the normal approximation.

    Args:
        differences: (problems,), from -1 to 1; each is independent of the others, and as likely with the other sign.

    Raises:
        UsageError: a difference is not finite.
    """
    import numpy as np

    if not np.isfinite(differences).all():
        raise UsageError("a difference of a sign-flip test is not a number; leave such problems out, and say how many")
    flipped = differences[np.abs(differences) > ROUNDING]
    sizes = np.abs(flipped)
    if not len(flipped):
        return 1.0
    if float(np.ptp(sizes)) <= ROUNDING:
        return _sign_test(int((flipped > 0).sum()), len(flipped))
    if len(flipped) > MOST_COUNTED:
        return math.erfc(abs(float(flipped.sum())) / math.sqrt(2 * float((sizes**2).sum())))
    steps = np.rint(sizes * _denominator(sizes)).astype(int)
    plus = int(steps[flipped > 0].sum())
    patterns = np.zeros(min(plus, int(steps.sum()) - plus) + 1)  # by their sum of positive differences, in steps
    patterns[0] = 1.0
    for step in steps.tolist():
        if step < len(patterns):
            patterns[step:] += patterns[: len(patterns) - step].copy()
    return min(1.0, 2 * float(patterns.sum()) / 2.0 ** len(flipped))


@dataclass(frozen=True)
class McNemar:
    """An exact McNemar test of two models on the same problems.

    Attributes:
        n: number of problems.
        only_first: problems that only the first model solves.
        only_second: problems that only the second model solves.
        p: two-sided, from the binomial distribution; 1 where no problem tells the models apart.
        assumes: what must hold for p.
    """

    n: int
    only_first: int
    only_second: int
    p: float
    assumes: str = "problems are independent of each other"


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """Test whether two models solve equally many problems, given one verdict for each problem and model.

    Raises:
        UsageError: the lengths differ, there is no problem, or a verdict is neither True nor False.
    """
    if len(first) != len(second) or len(first) == 0:
        raise UsageError(f"two models need the same problems, at least one; they have {len(first)} and {len(second)}")
    if unknown := [verdict for verdict in (*first, *second) if verdict not in (True, False)]:
        raise UsageError(f"a verdict is True or False, not {unknown[0]!r}; leave such problems out of both")
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    apart = only_first + only_second
    return McNemar(len(first), only_first, only_second, _sign_test(only_first, apart) if apart else 1.0)


def _denominator(shares: NDArray[np.float64]) -> int:
    """Return the least d of which all shares are multiples of 1 / d; `STEPS` if there is none up to that."""
    import numpy as np

    multiples = np.unique(shares)[:, None] * np.arange(1, STEPS + 1)
    fits = (np.abs(multiples - np.rint(multiples)) <= STEPS * ROUNDING).all(axis=0)
    return int(np.argmax(fits)) + 1 if fits.any() else STEPS


@lru_cache(maxsize=4096)
def _sign_test(count: int, total: int) -> float:
    """Return the two-sided exact p as scipy's `binomtest` does, whose import takes longer than a small report."""
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(count, total - count), total, 0.5)))
