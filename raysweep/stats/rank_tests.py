"""The Wilcoxon signed-rank test, with its method, zeros and ties named, and with two effect sizes and an estimate.

Source: Wilcoxon (1945); Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", sections 3.1 to 3.3. Zeros:
Pratt (1959). The matched-pairs rank-biserial correlation: Kerby (2014).

The exact distribution is that of the sum of the ranks with a positive sign, where each sign is + or - with equal
chances. It is counted over the ranks that there are, so that it is exact with ties, too; scipy's `exact` takes the
ranks 1 to n and isn't.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from raysweep.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Alternative = Literal["two-sided", "greater", "less"]
Zeros = Literal["wilcox", "pratt", "zsplit"]
Method = Literal["exact", "normal"]
ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "greater", "less")
ZEROS: tuple[Zeros, ...] = ("wilcox", "pratt", "zsplit")
METHODS: tuple[Method, ...] = ("exact", "normal")
EXACT, NORMAL = METHODS
MOST_EXACT = 50
"""The study's rule: the exact distribution up to so many pairs without ties and zeros, else the normal one."""
FEWEST = 2
ROUNDING = 1e-12
"""Differences are rounded to this share of the largest number, so that those that should be equal are ties."""
ALL_EQUAL = "all differences are 0"
NO_INTERVAL = "too few pairs for an interval of this coverage"


@dataclass(frozen=True)
class SignedRank:
    """What a signed-rank test found of the differences x - y.

    Attributes:
        n: pairs that the test uses; without those of difference 0 with zeros="wilcox" and "pratt".
        statistic: W: the sum of the positive ranks; of a two-sided test the smaller of the two sums, as printed.
        p: of the alternative.
        method: how p was computed: ``exact`` or ``normal`` (without continuity correction).
        alternative: ``two-sided``, ``greater`` (x is larger) or ``less``.
        zeros: what is done with differences of 0: ``wilcox`` leaves them out; ``pratt`` ranks them with the others and
            leaves their ranks out; ``zsplit`` gives half of their ranks to each sum.
        zero_pairs: number of differences of 0.
        tied_pairs: number of other differences whose size another one has, too.
        positive: sum of the positive ranks.
        negative: sum of the negative ranks.
        z: of the normal approximation; negative if y is larger.
        r_z: |z| / sqrt(n), which the study calls rank-biserial r; from 0 to 1.
        rank_biserial: (positive - negative) / (positive + negative); from -1 to 1.
        estimate: the Hodges-Lehmann estimate: the median of the means of all pairs of differences, in the unit of x.
        low: end of the estimate's two-sided interval, whatever the alternative; -inf where so few pairs allow none.
            It inverts the test over the same differences; with ties and zeros it does so nearly.
        high: the other end; inf likewise.
        note: what a reader must know; empty if there is nothing.
        assumes: what must hold for p and the interval.
    """

    n: int
    statistic: float
    p: float
    method: Method
    alternative: Alternative
    zeros: Zeros
    zero_pairs: int
    tied_pairs: int
    positive: float
    negative: float
    z: float
    r_z: float
    rank_biserial: float
    estimate: float
    low: float
    high: float
    note: str = ""
    assumes: str = "pairs are independent of each other, and their differences symmetric about one value"


def signed_rank(
    x: Sequence[float],
    y: Sequence[float],
    *,
    alternative: Alternative = "two-sided",
    zeros: Zeros = "wilcox",
    method: Method | None = None,
    coverage: float = 0.95,
) -> SignedRank:
    """Test whether paired numbers differ.

    Args:
        x: one number for each pair.
        y: the other number of each pair, in the same order.
        alternative: what is tested against: that they differ, that x is larger, or that x is smaller.
        zeros: how differences of 0 count.
        method: how p is computed; None: exact for at most 50 pairs without ties and zeros, else normal.
        coverage: of the estimate's interval.

    Raises:
        UsageError: the lengths differ, a number isn't finite, there are fewer than two pairs, or an unusable option.
    """
    _require_options(alternative, zeros, method, coverage)
    differences = _differences(x, y)
    if not differences.any():
        return _all_equal(len(differences), alternative, zeros, method)
    used = differences[differences != 0] if zeros == "wilcox" else differences
    sums = _rank_sums(used, zeros)
    zero_pairs = int((differences == 0).sum())
    chosen = method or (EXACT if sums.n <= MOST_EXACT and not sums.tied and not zero_pairs else NORMAL)
    estimate, low, high = _hodges_lehmann(used, sums.ranks, coverage, exact=chosen == EXACT)
    return SignedRank(
        n=sums.n,
        statistic=min(sums.positive, sums.negative) if alternative == "two-sided" else sums.positive,
        p=_exact_p(sums, alternative) if chosen == EXACT else _normal_p(sums.z, alternative),
        method=chosen,
        alternative=alternative,
        zeros=zeros,
        zero_pairs=zero_pairs,
        tied_pairs=sums.tied,
        positive=sums.positive,
        negative=sums.negative,
        z=sums.z,
        r_z=abs(sums.z) / math.sqrt(sums.n),
        rank_biserial=(sums.positive - sums.negative) / (sums.positive + sums.negative),
        estimate=estimate,
        low=low,
        high=high,
        note="" if math.isfinite(low) else NO_INTERVAL,
    )


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values adjusted for a family of tests (Holm 1979), in the same order; NaN stays, and counts for nothing.

    Each p is multiplied by the number of tests whose p is not smaller, and is at least the adjusted p before it.
    statsmodels does the same, but collects garbage at each call, which took most of a report's time.

    Raises:
        UsageError: a p is not between 0 and 1.
    """
    if wrong := [p for p in ps if p < 0 or p > 1]:
        raise UsageError(f"p values lie between 0 and 1, not {wrong[0]:g}")
    adjusted = [math.nan] * len(ps)
    family = sorted((p, index) for index, p in enumerate(ps) if not math.isnan(p))
    largest = 0.0
    for rank, (p, index) in enumerate(family):
        largest = max(largest, min(1.0, float(p) * (len(family) - rank)))
        adjusted[index] = largest
    return adjusted


def _require_options(alternative: str, zeros: str, method: str | None, coverage: float) -> None:
    for name, value, known in (
        ("alternative", alternative, ALTERNATIVES),
        ("zeros", zeros, ZEROS),
        ("method", method or EXACT, METHODS),
    ):
        if value not in known:
            raise UsageError(f"{name}={value!r}: give one of {', '.join(known)}")
    if not 0 < coverage < 1:
        raise UsageError(f"coverage={coverage:g}: give a share between 0 and 1, such as 0.95")


def _differences(x: Sequence[float], y: Sequence[float]) -> NDArray[np.float64]:
    import numpy as np

    if len(x) != len(y):
        raise UsageError(f"pairs need two numbers each, but x has {len(x)} and y has {len(y)}")
    if len(x) < FEWEST:
        raise UsageError(f"a signed-rank test needs at least {FEWEST} pairs, and there are {len(x)}")
    both = np.asarray([x, y], dtype=np.float64)
    if not np.isfinite(both).all():
        number = int(np.argmin(np.isfinite(both).all(axis=0)))
        raise UsageError(
            f"pair {number + 1} is ({both[0, number]:g}, {both[1, number]:g}); leave out pairs with a number that is "
            "not defined, and say how many"
        )
    unit = ROUNDING * float(np.abs(both).max())  # 0.4 - 0.3 and 0.2 - 0.1 are equal but for their last bit
    return np.asarray(np.rint((both[0] - both[1]) / unit) * unit if unit else both[0] - both[1])


def _all_equal(pairs: int, alternative: Alternative, zeros: Zeros, method: Method | None) -> SignedRank:
    n = pairs if zeros == "zsplit" else 0
    half = n * (n + 1) / 4
    return SignedRank(
        n=n,
        statistic=half,
        p=1.0,
        method=method or EXACT,
        alternative=alternative,
        zeros=zeros,
        zero_pairs=pairs,
        tied_pairs=0,
        positive=half,
        negative=half,
        z=0.0,
        r_z=0.0,
        rank_biserial=0.0,
        estimate=0.0,
        low=-math.inf,
        high=math.inf,
        note=ALL_EQUAL,
    )


@dataclass(frozen=True)
class _RankSums:
    """Ranks of differences by size, and the sums of those with either sign."""

    ranks: NDArray[np.float64]  # of all differences that are ranked, those of 0 included
    signed: NDArray[np.float64]  # of the differences that are not 0
    n: int  # number of differences that count
    positive: float  # sum of the positive ranks, with half of those of differences of 0 for ``zsplit``
    negative: float
    split: float  # that half; 0 for other treatments of 0
    z: float  # of the normal approximation
    tied: int  # number of differences that are not 0 whose size another one has, too


def _rank_sums(differences: NDArray[np.float64], zeros: Zeros) -> _RankSums:
    import numpy as np
    from scipy.stats import rankdata

    ranks = np.asarray(rankdata(np.abs(differences)), dtype=np.float64)
    signed = ranks[differences != 0]
    counted = ranks if zeros == "zsplit" else signed
    split = float(ranks[differences == 0].sum()) / 2 if zeros == "zsplit" else 0.0
    positive = float(ranks[differences > 0].sum()) + split
    negative = float(ranks[differences < 0].sum()) + split
    z = (positive - negative) / 2 / math.sqrt(float((counted**2).sum()) / 4)
    _, numbers = np.unique(signed, return_counts=True)  # equal sizes have equal ranks
    return _RankSums(ranks, signed, len(counted), positive, negative, split, z, int(numbers[numbers > 1].sum()))


def _distribution(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each sum of ranks with a positive sign; entry i is that of the sum i / 2."""
    import numpy as np

    halves = np.rint(2 * ranks).astype(int)  # ranks of ties end in .5
    chances = np.zeros(int(halves.sum()) + 1)
    chances[0] = 1.0
    for half in halves:
        moved = np.zeros_like(chances)
        moved[half:] = chances[: len(chances) - half]
        chances = (chances + moved) / 2
    return chances


def _exact_p(sums: _RankSums, alternative: Alternative) -> float:
    chances, at = _distribution(sums.signed), round(2 * (sums.positive - sums.split))
    less, greater = float(chances[: at + 1].sum()), float(chances[at:].sum())
    if alternative == "two-sided":
        return min(1.0, 2 * min(less, greater))
    return min(1.0, less if alternative == "less" else greater)


def _normal_p(z: float, alternative: Alternative) -> float:
    from scipy.stats import norm

    if alternative == "two-sided":
        return float(2 * norm.sf(abs(z)))
    return float(norm.cdf(z) if alternative == "less" else norm.sf(z))


def _hodges_lehmann(
    differences: NDArray[np.float64], ranks: NDArray[np.float64], coverage: float, *, exact: bool
) -> tuple[float, float, float]:
    """Return the estimate and its interval, given the differences that the test ranks."""
    import numpy as np
    from scipy.stats import norm

    n = len(differences)
    first, second = np.triu_indices(n)
    means = np.sort((differences[first] + differences[second]) / 2)
    estimate = float(np.median(means))
    tail = (1 - coverage) / 2
    if exact:
        rare = int(np.searchsorted(np.cumsum(_distribution(ranks)), tail, side="right"))  # sums, in halves
        below = (rare + 1) // 2
    else:
        spread = math.sqrt(float((ranks**2).sum()) / 4)
        below = math.floor(len(means) / 2 - float(norm.ppf(1 - tail)) * spread)
    if below <= 0:
        return estimate, -math.inf, math.inf
    return estimate, float(means[below - 1]), float(means[len(means) - below])
