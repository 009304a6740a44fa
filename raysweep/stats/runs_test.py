"""Tests whether what falls on places in a row, such as the blocks of a model, falls on all alike, or on neighbours.

Two questions. Do some places get more than chance gives? Pearson's chi-square against the uniform distribution, with p
from simulated counts, since they are small. Do the places that get more than their share lie together? The runs test of
Wald and Wolfowitz (1940): under the uniform distribution every order of the marked and the other places is equally
likely, so the number of runs has a known distribution (statsmodels'), and few runs mean neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import nan

from raysweep.errors import UsageError
from raysweep.seeding import DEFAULT_SEED, numpy_rng

SIMULATIONS = 9_999
FEWEST_PLACES = 2
NO_COUNT = "nothing was counted"
NO_ORDER = "no place, or every one, has more than its share, so there is one run in any order"


@dataclass(frozen=True)
class RunsTest:
    """What the tests found.

    Attributes:
        n: that were counted, over all places.
        places: number of places.
        marked: number of places with more than n / places.
        runs: number of runs of marked and of other places.
        p_runs: of so few runs or fewer, if all orders are equally likely; NaN if there is one order only.
        smallest_p_runs: that so many places can show; NaN likewise.
        chi_square: distance of the counts to the uniform distribution; NaN without counts.
        p_uniform: of such a distance or a larger one, if all places are equally likely; NaN without counts.
        assumes: what must hold for the p values.
        note: why there is no p of runs; empty if there is one.
    """

    n: int
    places: int
    marked: int
    runs: int
    p_runs: float
    smallest_p_runs: float
    chi_square: float
    p_uniform: float
    assumes: str = "what is counted falls on places independently of each other"
    note: str = ""


def runs_test(counts: Sequence[int], seed: int = DEFAULT_SEED) -> RunsTest:
    """Test counts of places against the uniform distribution.

    Args:
        counts: for each place, in their order, what fell on it.
        seed: of the simulations.

    Raises:
        UsageError: fewer than two places, or a count below 0.
    """
    from scipy.stats import chisquare
    from statsmodels.sandbox.stats.runs import TotalRunsProb

    if len(counts) < FEWEST_PLACES or min(counts) < 0:
        raise UsageError(f"a runs test needs counts from 0 of at least {FEWEST_PLACES} places; they are {list(counts)}")
    n, places = sum(counts), len(counts)
    if not n:
        return RunsTest(0, places, 0, 0, nan, nan, nan, nan, note=NO_COUNT)
    is_marked = [count * places > n for count in counts]
    marked, runs = sum(is_marked), len(list(groupby(is_marked)))
    chi_square = float(chisquare(counts).statistic)
    draws = numpy_rng(seed, "uniform counts", n, places).multinomial(n, [1 / places] * places, SIMULATIONS)
    further = int(((draws.astype(float) ** 2).sum(axis=1) * places / n - n >= chi_square - 1e-9).sum())
    p_uniform = (further + 1) / (SIMULATIONS + 1)
    if marked in (0, places):
        return RunsTest(n, places, marked, runs, nan, nan, chi_square, p_uniform, note=NO_ORDER)
    of_runs = TotalRunsProb(places - marked, marked)
    p_runs, smallest = (min(1.0, float(of_runs.cdf(number))) for number in (runs, 2))
    return RunsTest(n, places, marked, runs, p_runs, smallest, chi_square, p_uniform)
