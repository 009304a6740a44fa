"""Plans how many problems, seeds or models a comparison needs, and which difference so many can show.

Two models on the same problems: the power of the exact McNemar test, summed over the number of problems that tell the
models apart. The search starts at the normal approximation (Connor 1987; Chow, Shao and Wang, "Sample Size Calculations
in Clinical Research", section 6.4): n = (z_a sqrt(c) + z_b sqrt(c - d^2))^2 / d^2 for a difference d and a share c of
problems that only one of the models solves. The exact test needs a few problems more.

A mean difference over seeds or models: the power of the paired t test (statsmodels), from the noncentral t
distribution. The signed-rank test's is that of a t test with 3 / pi as many pairs: its asymptotic relative efficiency
for normal differences (Hodges and Lehmann 1956), which is a good guide from about ten pairs on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from raysweep.errors import UsageError

PairedTest = Literal["t", "signed_rank"]
TESTS: tuple[PairedTest, ...] = ("t", "signed_rank")
EFFICIENCY = 3 / math.pi
FEWEST_PAIRS = 2
MOST = 10_000_000
"""Problems or pairs beyond which a plan is refused."""
LARGEST_EFFECT = 1e3
"""Mean differences of more SD than this are as sure; scipy has no numbers for much larger ones."""
PROBLEMS_ASSUME = "problems are independent of each other; the share of those that tell the models apart is as given"
PAIRS_ASSUME = "pairs are independent of each other; their differences are normal with the given SD"
UNREACHABLE = "no difference reaches this power with so few"


@dataclass(frozen=True)
class SampleSize:
    """A number of problems or pairs, and the difference that a test of so many shows with a given power.

    Attributes:
        n: number of problems, or of pairs: seeds or models.
        difference: of the two means that is there to be shown; NaN if none can be.
        spread: what the difference is hidden in: the share of problems that only one model solves, or the SD of the
            pairs' differences.
        power: the chance that the test finds the difference, with n; at least the wanted one.
        alpha: two-sided level of the test.
        test: ``mcnemar`` (exact), ``t`` (paired) or ``signed_rank``.
        assumes: what must hold for n and difference.
        note: what a reader must know; empty if there is nothing.
    """

    n: int
    difference: float
    spread: float
    power: float
    alpha: float
    test: str
    assumes: str
    note: str = ""


def problems_needed(difference: float, discordant: float, power: float = 0.8, alpha: float = 0.05) -> SampleSize:
    """Return how many problems show a difference of two pass rates on the same problems.

    Args:
        difference: of the pass rates, such as .05; its sign doesn't matter.
        discordant: the share of problems that only one of the models solves; a pilot sweep shows it.
        power: wanted chance to find the difference, with the exact McNemar test.
        alpha: two-sided level of the test.

    Raises:
        UsageError: the difference is 0 or larger than the discordant share, or a share isn't between 0 and 1.
    """
    size = abs(difference)
    _require_chances(power, alpha)
    _require_discordant(discordant)
    if not 0 < size <= discordant:
        raise UsageError(
            f"difference={difference:g}: give one that is not 0 and no larger than the share of problems that only one "
            f"model solves, {discordant:g}"
        )
    z_alpha, z_beta = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    root = z_alpha * math.sqrt(discordant) + z_beta * math.sqrt(discordant - size**2)
    approximate = max(1, math.ceil((root / size) ** 2))
    if approximate > MOST:
        raise UsageError(f"difference={difference:g} needs {approximate:,} problems; plan for a larger one")

    def reached(n: int) -> float:
        return _mcnemar_power(n, size, discordant, alpha)

    n = _smallest(lambda n: reached(n) >= power, approximate)
    while n > 1 and reached(n - 1) >= power:  # the approximation may be above the exact number
        n -= 1
    note = f"the normal approximation (Connor 1987) says {approximate}"
    return SampleSize(n, size, discordant, reached(n), alpha, "mcnemar", PROBLEMS_ASSUME, note)


def detectable_rate_difference(problems: int, discordant: float, power: float = 0.8, alpha: float = 0.05) -> SampleSize:
    """Return the smallest difference of two pass rates that so many problems show; arguments as in `problems_needed`.

    Raises:
        UsageError: there is no problem, or a share isn't between 0 and 1.
    """
    from scipy.optimize import brentq

    _require_chances(power, alpha)
    _require_discordant(discordant)
    if not 1 <= problems <= MOST:
        raise UsageError(f"problems={problems}: give a number from 1 to {MOST:,}")

    def reached(size: float) -> float:
        return _mcnemar_power(problems, size, discordant, alpha)

    most = reached(discordant)
    if most < power:
        return SampleSize(problems, math.nan, discordant, most, alpha, "mcnemar", PROBLEMS_ASSUME, UNREACHABLE)
    difference = float(brentq(lambda size: reached(size) - power, 0.0, discordant))
    return SampleSize(problems, difference, discordant, power, alpha, "mcnemar", PROBLEMS_ASSUME)


def pairs_needed(
    difference: float, sd: float, power: float = 0.8, alpha: float = 0.05, test: PairedTest = "t"
) -> SampleSize:
    """Return how many pairs (seeds or models) show a mean difference.

    Args:
        difference: of the means, in any unit; its sign doesn't matter.
        sd: standard deviation of the pairs' differences, in the same unit.
        power: wanted chance to find the difference.
        alpha: two-sided level of the test.
        test: the paired t test or the signed-rank test.

    Raises:
        UsageError: the difference is 0, the SD isn't above 0, an unknown test, or more than ten million pairs.
    """
    _require_pairs(sd, power, alpha, test)
    if difference == 0 or not math.isfinite(difference):
        raise UsageError(f"difference={difference:g}: give one that is not 0")

    def reached(n: int) -> float:
        return _paired_power(n, abs(difference) / sd, alpha, test)

    if reached(MOST) < power:
        raise UsageError(f"difference={difference:g} needs more than {MOST:,} pairs; plan for a larger one")
    fewest = _fewest_pairs(alpha, test)
    n = _smallest(lambda n: reached(n) >= power, fewest)
    note = f"fewer than {fewest} pairs have no p below {alpha:g}" if n == fewest and test == "signed_rank" else ""
    return SampleSize(n, abs(difference), sd, reached(n), alpha, test, PAIRS_ASSUME, note)


def detectable_mean_difference(
    pairs: int, sd: float, power: float = 0.8, alpha: float = 0.05, test: PairedTest = "t"
) -> SampleSize:
    """Return the smallest mean difference that so many pairs show; arguments as in `pairs_needed`.

    Raises:
        UsageError: fewer than two pairs, the SD isn't above 0, or an unknown test.
    """
    from scipy.optimize import brentq

    _require_pairs(sd, power, alpha, test)
    if not FEWEST_PAIRS <= pairs <= MOST:
        raise UsageError(f"pairs={pairs}: give a number from {FEWEST_PAIRS} to {MOST:,}")
    if pairs < _fewest_pairs(alpha, test):
        return SampleSize(pairs, math.nan, sd, 0.0, alpha, test, PAIRS_ASSUME, UNREACHABLE)

    def reached(size: float) -> float:
        return _paired_power(pairs, size, alpha, test)

    highest = 1.0
    while reached(highest) < power:
        highest *= 2
    difference = sd * float(brentq(lambda size: reached(size) - power, 0.0, highest))
    return SampleSize(pairs, difference, sd, power, alpha, test, PAIRS_ASSUME)


def _require_chances(power: float, alpha: float) -> None:
    for name, chance in (("power", power), ("alpha", alpha)):
        if not 0 < chance < 1:
            raise UsageError(f"{name}={chance:g}: give a chance between 0 and 1")
    if power <= alpha:
        raise UsageError(f"power={power:g}: give a chance above alpha={alpha:g}")


def _require_discordant(discordant: float) -> None:
    if not 0 < discordant <= 1:
        raise UsageError(f"discordant={discordant:g}: give the share of problems that only one model solves, up to 1")


def _require_pairs(sd: float, power: float, alpha: float, test: str) -> None:
    _require_chances(power, alpha)
    if not 0 < sd < math.inf:
        raise UsageError(f"sd={sd:g}: give the standard deviation of the pairs' differences, above 0")
    if test not in TESTS:
        raise UsageError(f"test={test!r}: give one of {', '.join(TESTS)}")


def _mcnemar_power(problems: int, size: float, discordant: float, alpha: float) -> float:
    import numpy as np
    from scipy.stats import binom

    low, high = binom.ppf([1e-12, 1 - 1e-12], problems, discordant)
    apart = np.arange(int(low), int(high) + 1)
    critical = binom.ppf(alpha / 2, apart, 0.5)  # the largest count with a p of at most alpha is this or one less
    critical = np.where(binom.cdf(critical, apart, 0.5) <= alpha / 2, critical, critical - 1)
    share = (discordant + size) / 2 / discordant  # of those, problems that the better model solves
    rejects = binom.cdf(critical, apart, share) + binom.sf(apart - critical - 1, apart, share)
    return float(binom.pmf(apart, problems, discordant) @ rejects)


def _paired_power(pairs: int, effect: float, alpha: float, test: PairedTest) -> float:
    """Return the chance that a two-sided test finds a mean difference of so many SD, on the right side of 0."""
    from statsmodels.stats.power import TTestPower

    counted = pairs * EFFICIENCY if test == "signed_rank" else pairs
    effect = min(effect, LARGEST_EFFECT)
    return float(TTestPower().power(effect, counted, alpha / 2, df=counted - 1, alternative="larger"))


def _fewest_pairs(alpha: float, test: PairedTest) -> int:
    """Return the number of pairs from which on a p can be below alpha at all."""
    return max(FEWEST_PAIRS, math.ceil(1 - math.log2(alpha))) if test == "signed_rank" else FEWEST_PAIRS


def _smallest(is_enough: Callable[[int], bool], lowest: int) -> int:
    if is_enough(lowest):
        return lowest
    too_few, step = lowest, 1
    while not is_enough(too_few + step):
        too_few, step = too_few + step, 2 * step
    enough = too_few + step
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if is_enough(middle) else (middle, enough)
    return enough
