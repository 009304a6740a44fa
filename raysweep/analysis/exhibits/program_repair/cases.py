"""Compares two models on a problem set, which is a case, and counts the cases that one of them won.

Problems are resampled, as for all intervals of paired differences (`raysweep.stats.bootstrap`): all models of a problem
set share the resampled problems, and problem sets are resampled apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import stdev
from typing import TYPE_CHECKING

from raysweep.analysis.comparisons.base import shared_values
from raysweep.analysis.comparisons.estimate import Estimate, estimate, fewer_seeds
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.program_repair.models import RepairModel
from raysweep.analysis.exhibits.recipes.regimes import NONE
from raysweep.analysis.tables.frame import ALL_SEEDS
from raysweep.analysis.tables.quantities import PASS, Quantity, number_cell
from raysweep.analysis.tables.table import TableCell
from raysweep.metrics.base import Measurement
from raysweep.seeding import DEFAULT_SEED, derive
from raysweep.stats.bootstrap import LOST_OR_WON, resampled_means, statistic_ends
from raysweep.stats.intervals import FEWEST
from raysweep.units import decimal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CASE_DIFFERENCE = Quantity("difference", "difference", "points", signed=True)
HIGHER, LOWER, UNSHOWN = "higher", "lower", "no difference shown"
OVER_SEEDS = "Of several seeds the means are compared; the interval of how many leaves out how seeds differ."
SHARED_SEEDS = "A case is over the seeds that both of its models have."
READS = f'Reads: "{HIGHER}" or "{LOWER}" where 0 lies outside of the 95 % interval.'


@dataclass(frozen=True, eq=False)
class RepairCase:
    """Two models on one test set, over the problems that both have a verdict on.

    Attributes:
        first: what the other is compared with.
        second: what is compared.
        problem_set: of the test set.
        perturbation: of the test set.
        metric: what is compared.
        values: (2, seeds, problems): the first's and the second's, each from 0 to 1; a base model has no seed of its
            own, so it has the same for each.
        asked: the number of seeds that there should be; 1 where each seed is a model of its own.
    """

    first: RepairModel
    second: RepairModel
    problem_set: str
    perturbation: str
    metric: str
    values: NDArray[np.float64]
    asked: int = 1

    @property
    def n(self) -> int:
        return int(self.values.shape[2])

    @property
    def seeds(self) -> int:
        return int(self.values.shape[1])

    @property
    def lacks_seeds(self) -> bool:
        return self.seeds < self.asked

    @cached_property
    def by_seed(self) -> tuple[list[float], list[float]]:
        """The first's and the second's number for each seed, as shares."""
        first, second = ([math.fsum(of_seed) / self.n for of_seed in of_model] for of_model in self.values)
        return first, second

    @cached_property
    def means(self) -> tuple[float, float]:
        """The first's and the second's number, as shares: of several seeds the mean."""
        first, second = (math.fsum(of_seeds) / self.seeds for of_seeds in self.by_seed)
        return first, second

    @property
    def gain(self) -> float:
        """The relative change from the first to the second, as a share; NaN where the first is 0."""
        first, second = self.means
        return second / first - 1 if first else math.nan

    @cached_property
    def difference(self) -> Measurement:
        value = self.means[1] - self.means[0]
        if self.n < FEWEST:
            return self._number("difference", value, note="one problem only")
        found = estimate(*self.values, limits=(-1.0, 1.0))
        return self._number("difference", value, found.low, found.high, found.sd, found.note)

    @property
    def reads(self) -> str:
        found = self.difference
        if math.isnan(found.low) or found.low <= 0 <= found.high:
            return UNSHOWN
        return HIGHER if found.value > 0 else LOWER

    def resampled(self, seed: int) -> NDArray[np.float64]:
        """Return (RESAMPLES,): the second minus the first, means over seeds, in each resample of the problems."""
        import numpy as np

        seed = derive(seed, "repair", self.problem_set, self.perturbation)
        first, second = resampled_means(self.values.mean(axis=1)[:, None, :], LOST_OR_WON, seed)[:, :, 0]
        return np.asarray(second - first)

    def cells(self) -> tuple[TableCell, ...]:
        first, second = map(self._mean_cell, (self.first, self.second), self.by_seed)
        difference = number_cell(self.difference, CASE_DIFFERENCE)
        gain = TableCell.dash("undefined: the first number is 0")
        if not math.isnan(self.gain):
            gain = TableCell.number(100 * self.gain, decimal(100 * self.gain, 0, "+"))
        return first, second, difference, gain, TableCell.said(self.reads)

    def _mean_cell(self, model: RepairModel, by_seed: Sequence[float]) -> TableCell:
        mean = math.fsum(by_seed) / len(by_seed)
        if model.regime == NONE:
            return number_cell(Measurement("mean", mean, math.nan, math.nan, self.n), PASS)
        return number_cell(self._number("mean", mean, sd=stdev(by_seed) if self.seeds > 1 else math.nan), PASS)

    def _number(
        self,
        name: str,
        value: float,
        low: float = math.nan,
        high: float = math.nan,
        sd: float = math.nan,
        note: str = "",
    ) -> Measurement:
        if self.asked == 1:
            return Measurement(name, value, low, high, self.n, note)
        note = "; ".join(filter(None, (note, fewer_seeds(self.seeds, self.asked))))
        return Estimate(name, value, low, high, self.n, note, sd=sd, seeds=self.seeds)


def case_of(
    evidence: Evidence, pair: tuple[RepairModel, RepairModel], test_set: tuple[str, str], metric: str
) -> RepairCase | None:
    """Return the case of two models on a test set, (problem set, perturbation); None without a shared problem."""
    first, second = (patches_by_seed(evidence, model, test_set, metric) for model in pair)
    if pair[0].regime == NONE:
        first = _for_seeds(first, second)
    if pair[1].regime == NONE:
        second = _for_seeds(second, first)
    seeds = [seed for seed in second if seed in first]
    if not seeds:
        return None
    tasks, values = shared_values(*(of_model[seed] for of_model in (first, second) for seed in seeds))
    if not tasks:
        return None
    is_pooled = any(model.cell.seed == ALL_SEEDS for model in pair)
    asked = max(evidence.frame.order.seeds, len(seeds)) if is_pooled else 1
    return RepairCase(*pair, *test_set, metric, values.reshape(2, len(seeds), -1), asked)


def _for_seeds(base: Mapping[int, Mapping[str, float]], seeds: Iterable[int]) -> dict[int, Mapping[str, float]]:
    return {seed: rates for rates in base.values() for seed in seeds}


def patches_by_seed(
    evidence: Evidence, model: RepairModel, test_set: tuple[str, str], metric: str
) -> dict[int, Mapping[str, float]]:
    """Return which problems a model solves, from 0 to 1 by task id, for each of its seeds that has verdicts."""
    found = {cell.seed: evidence.answers.patches(cell, test_set).get(metric, {}) for cell in model.seeds}
    return {seed: rates for seed, rates in found.items() if rates}


def seeds_text(cases: Iterable[RepairCase]) -> str:
    cases = list(cases)
    several = OVER_SEEDS if any(case.seeds > 1 for case in cases) else ""
    return " ".join(filter(None, (several, shared_seeds_text(cases))))


def shared_seeds_text(cases: Iterable[RepairCase]) -> str:
    return SHARED_SEEDS if any(case.lacks_seeds for case in cases) else ""


@dataclass(frozen=True)
class CasesWon:
    """How many of some cases the second model won. `low`, `high`: the 95 % interval of `won`, over problems."""

    cases: int
    won: int
    lost: int
    shown_won: int
    shown_lost: int
    low: float
    high: float

    @property
    def equal(self) -> int:
        return self.cases - self.won - self.lost

    def cells(self) -> tuple[TableCell, ...]:
        low, high = round(self.low), round(self.high)
        interval = f"[{low:,}, {high:,}]"
        won = TableCell.number(self.won, f"{self.won:,}", interval=interval, low=self.low, high=self.high)
        rest = (self.lost, self.equal, self.shown_won, self.shown_lost)
        return TableCell.counted(self.cases), won, *map(TableCell.counted, rest)


WON_COLUMNS = ("cases", "higher", "lower", "equal", "shown to be higher", "shown to be lower")
WON_RULE = (
    "A case is a model on a problem set. Higher, lower, equal: by the numbers themselves; the interval is of how many "
    "cases are higher, over resampled problems, which all models of a problem set share; in a resample equal ones go "
    "either way. Shown: 0 lies outside of the difference's own 95 % interval."
)


def cases_won(cases: Sequence[RepairCase], seed: int = DEFAULT_SEED) -> CasesWon:
    import numpy as np

    signs = [(second > first) - (second < first) for first, second in (case.means for case in cases)]
    reads = [case.reads for case in cases]
    resampled = sum(np.asarray(case.resampled(seed) > 0, dtype=float) for case in cases)
    won = signs.count(1)
    low, high = statistic_ends(np.asarray(resampled)[:, None], np.asarray([float(won)]))
    counts = (len(cases), won, signs.count(-1), reads.count(HIGHER), reads.count(LOWER))
    return CasesWon(*counts, float(low[0]), float(high[0]))


def groups_of(cases: Iterable[RepairCase], name: str) -> dict[str, list[RepairCase]]:
    groups: dict[str, list[RepairCase]] = {}
    for case in cases:
        groups.setdefault(str(getattr(case, name)), []).append(case)
    return groups
