"""Whether a finding rests on one model, on models that share weights, or on noise.

Leaving out one cluster at a time is the jackknife's look at a test (Tukey 1958). The smallest two-sided exact p of a
sign-flip or signed-rank test of u independent units is 2^(1 - u): all signs are equal in two of 2^u patterns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from raysweep.errors import UsageError
from raysweep.stats.rank_tests import signed_rank

FEWEST_CLUSTERS = 3
FEWEST_DRAWS = 2
NOISE_SDS = 2.0
"""An effect below so many standard deviations between draws or seeds is within noise."""


class Tested(Protocol):
    """What a test of pairs returns: at least its statistic and its p."""

    @property
    def statistic(self) -> float: ...

    @property
    def p(self) -> float: ...


@dataclass(frozen=True)
class Without:
    """A test without one cluster.

    Attributes:
        cluster: the one that is left out.
        n: pairs that are left.
        statistic: of the test.
        p: of the test.
    """

    cluster: str
    n: int
    statistic: float
    p: float


@dataclass(frozen=True)
class LeaveOneOut:
    """A test with all clusters, and without each one in turn.

    Attributes:
        n: number of pairs.
        units: number of clusters.
        statistic: of all pairs.
        p: of all pairs.
        without: the test without each cluster, in the order in which clusters first appear.
        lowest_p: of those.
        highest_p: of those.
        assumes: what must hold for each p.
        note: names the cluster whose absence gives the highest p.
    """

    n: int
    units: int
    statistic: float
    p: float
    without: tuple[Without, ...]
    lowest_p: float
    highest_p: float
    assumes: str = "what the test assumes; the clusters are the independent units"
    note: str = ""


def leave_one_out(
    x: Sequence[float],
    y: Sequence[float],
    clusters: Sequence[str],
    test: Callable[[Sequence[float], Sequence[float]], Tested] = signed_rank,
) -> LeaveOneOut:
    """Repeat a test of pairs without each cluster in turn.

    Args:
        x: one number for each pair.
        y: the other number of each pair, in the same order.
        clusters: the cluster of each pair, such as its model, or the base weights that models share.
        test: any function of pairs; by default the signed-rank test.

    Raises:
        UsageError: the lengths differ, there are fewer than three clusters, or the test refuses the pairs.
    """
    if not len(x) == len(y) == len(clusters):
        raise UsageError(
            f"each pair needs two numbers and a cluster, but there are {len(x)}, {len(y)} and {len(clusters)}"
        )
    names = tuple(dict.fromkeys(clusters))
    if len(names) < FEWEST_CLUSTERS:
        raise UsageError(f"leaving out one cluster needs at least {FEWEST_CLUSTERS}, and there are {len(names)}")
    everything = test(x, y)
    without = []
    for name in names:
        kept = [number for number, cluster in enumerate(clusters) if cluster != name]
        result = test([x[number] for number in kept], [y[number] for number in kept])
        without.append(Without(name, len(kept), result.statistic, result.p))
    highest = max(without, key=lambda result: result.p)
    return LeaveOneOut(
        n=len(x),
        units=len(names),
        statistic=everything.statistic,
        p=everything.p,
        without=tuple(without),
        lowest_p=min(result.p for result in without),
        highest_p=highest.p,
        note=f"p is largest without {highest.cluster}",
    )


@dataclass(frozen=True)
class IndependentUnits:
    """How many of several models are independent of each other.

    Attributes:
        n: number of models.
        units: number of different base weights.
        smallest_p: the smallest two-sided exact p that so many units can have.
        shared: the groups of models that share base weights.
        assumes: what makes models independent.
        note: the shared groups in words; empty if there are none.
    """

    n: int
    units: int
    smallest_p: float
    shared: tuple[tuple[str, ...], ...]
    assumes: str = "models with different base weights are independent of each other"
    note: str = ""


def independent_units(models: Sequence[str], weights: Sequence[str]) -> IndependentUnits:
    """Count independent models, and say how small a p so many can have.

    Args:
        models: names of the models, each once.
        weights: the base weights of each model, by any name.

    Raises:
        UsageError: the lengths differ, there is no model, or a model is named twice.
    """
    if len(models) != len(weights) or len(models) == 0:
        raise UsageError(
            f"each model needs the name of its base weights: there are {len(models)} models and {len(weights)} weights"
        )
    if twice := [name for number, name in enumerate(models) if name in models[:number]]:
        raise UsageError(f"model {twice[0]} is named twice; name each model once")
    groups: dict[str, list[str]] = {}
    for model, base in zip(models, weights, strict=True):
        groups.setdefault(base, []).append(model)
    shared = tuple(tuple(group) for group in groups.values() if len(group) > 1)
    return IndependentUnits(
        n=len(models),
        units=len(groups),
        smallest_p=2.0 ** (1 - len(groups)),
        shared=shared,
        note="; ".join(f"{' and '.join(group)} share weights" for group in shared),
    )


SAME = 1e-9
"""Numbers that differ by less than this share are equal: sums in another order differ in the last bits."""


@dataclass(frozen=True)
class Noise:
    """An effect beside the spread between draws of a perturbation, or between seeds.

    Attributes:
        n: number of draws or seeds.
        effect: as given.
        sd: standard deviation between draws or seeds (divisor n - 1), in the effect's unit; NaN for one.
        within_noise: whether the effect is below 2 SD; None where that is unknown: one draw, or several that are equal.
        words: the same as a clause for a report.
        assumes: what must hold for the comparison.
    """

    n: int
    effect: float
    sd: float
    within_noise: bool | None
    words: str
    assumes: str = "draws or seeds differ by chance only; the rule of 2 SD is no test and has no p"


def noise(effect: float, values: Sequence[float], of: Literal["draw", "seed"] = "draw") -> Noise:
    """Compare an effect with the spread of the same quantity between draws or seeds.

    Args:
        effect: such as a difference of two cells' RD.
        values: the quantity on each draw of the perturbation, or for each seed, in the effect's unit.
        of: what the values are of, for the words.

    Raises:
        UsageError: there is no value, or a number isn't finite.
    """
    import statistics

    if not len(values):
        raise UsageError("noise needs the value of at least one draw or seed")
    if wrong := [value for value in (effect, *values) if not math.isfinite(value)]:
        raise UsageError(f"{wrong[0]:g} is not a number to compare; leave such draws out, and say how many")
    if len(values) < FEWEST_DRAWS:
        return Noise(len(values), effect, math.nan, None, f"noise unknown: one {of}")
    if max(values) - min(values) <= SAME * max(1.0, *map(abs, values)):
        return Noise(len(values), effect, 0.0, None, f"noise unknown: {len(values)} {of}s gave the same")
    sd = statistics.stdev(values)
    within = abs(effect) < NOISE_SDS * sd
    words = "within noise" if within else "beyond noise"
    return Noise(len(values), effect, sd, within, f"{words}: 2 SD between {len(values)} {of}s are {NOISE_SDS * sd:.3g}")
