"""Compares two models on a problem set, which is a case, and counts the cases that one of them won.

Problems are resampled, as for all intervals of paired differences (`raysweep.stats.bootstrap`): all models of a problem
set share the resampled problems, and problem sets are resampled apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from raysweep.analysis.comparisons.base import shared_values
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.program_repair.models import RepairModel
from raysweep.analysis.tables.quantities import Quantity, number_cell
from raysweep.analysis.tables.table import TableCell
from raysweep.metrics.base import Measurement
from raysweep.seeding import DEFAULT_SEED, derive
from raysweep.stats.bootstrap import LOST_OR_WON, resampled_means, statistic_ends
from raysweep.stats.intervals import FEWEST
from raysweep.stats.resampling import DifferenceOfMeans, bootstrap_difference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CASE_DIFFERENCE = Quantity("difference", "difference", "points", signed=True)
HIGHER, LOWER, UNSHOWN = "higher", "lower", "no difference shown"
READS = f'Reads: "{HIGHER}" or "{LOWER}" where 0 lies outside of the 95 % interval over problems.'


@dataclass(frozen=True, eq=False)
class RepairCase:
    """Two models on one test set, over the problems that both have a verdict on.

    Attributes:
        first: what the other is compared with.
        second: what is compared.
        problem_set: of the test set.
        perturbation: of the test set.
        metric: what is compared.
        values: (2, problems): the first's and the second's, each from 0 to 1.
    """

    first: RepairModel
    second: RepairModel
    problem_set: str
    perturbation: str
    metric: str
    values: NDArray[np.float64]

    @property
    def n(self) -> int:
        """The number of problems."""
        return int(self.values.shape[1])

    @cached_property
    def means(self) -> tuple[float, float]:
        """The first's and the second's number, as shares."""
        first, second = (math.fsum(values) / self.n for values in self.values)
        return first, second

    @property
    def gain(self) -> float:
        """The relative change from the first to the second, as a share; NaN where the first is 0."""
        first, second = self.means
        return second / first - 1 if first else math.nan

    @cached_property
    def difference(self) -> DifferenceOfMeans | None:
        """The second minus the first, with its interval; None for fewer than two problems."""
        if self.n < FEWEST:
            return None
        return bootstrap_difference(self.values[1][:, None], self.values[0][:, None])

    @property
    def reads(self) -> str:
        """What the difference says."""
        found = self.difference
        if found is None or found.low <= 0 <= found.high:
            return UNSHOWN
        return HIGHER if found.difference > 0 else LOWER

    def resampled(self, seed: int) -> NDArray[np.float64]:
        """Return (RESAMPLES,): the second minus the first in each resample of the problems."""
        import numpy as np

        seed = derive(seed, "repair", self.problem_set, self.perturbation)
        first, second = resampled_means(self.values[:, None, :], LOST_OR_WON, seed)[:, :, 0]
        return np.asarray(second - first)

    def cells(self) -> tuple[TableCell, ...]:
        """Return the cells of its row: both numbers, difference, relative change, what it says."""
        first, second = (
            TableCell(f"{100 * mean:.1f}", value=100 * mean, state="value", n=self.n) for mean in self.means
        )
        value = self.means[1] - self.means[0]
        found = self.difference
        low, high, note = (found.low, found.high, found.note) if found else (math.nan, math.nan, "one problem only")
        difference = number_cell(Measurement("difference", value, low, high, self.n, note), CASE_DIFFERENCE)
        gain = TableCell("–", note="undefined: the first number is 0", state="undefined")
        if not math.isnan(self.gain):
            text = f"{100 * self.gain:+.0f}".replace("-", "−") if round(100 * self.gain) else "0"
            gain = TableCell(text, value=100 * self.gain, state="value")
        return first, second, difference, gain, TableCell(self.reads, state="text")


def case_of(
    evidence: Evidence, pair: tuple[RepairModel, RepairModel], test_set: tuple[str, str], metric: str
) -> RepairCase | None:
    """Return the case of two models on a test set, (problem set, perturbation); None without a shared problem."""
    found = [evidence.answers.patches(model.cell, test_set).get(metric, {}) for model in pair]
    if not all(found):
        return None
    tasks, values = shared_values(*found)
    return RepairCase(*pair, *test_set, metric, values) if tasks else None


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
        """Cases in which both numbers are equal."""
        return self.cases - self.won - self.lost

    def cells(self) -> tuple[TableCell, ...]:
        """Return the cells of its row, see `WON_COLUMNS`."""
        low, high = round(self.low), round(self.high)
        won = TableCell(f"{self.won:,}", f"[{low:,}, {high:,}]", self.won, self.low, self.high, state="value")
        rest = (self.lost, self.equal, self.shown_won, self.shown_lost)
        return _number(self.cases), won, *map(_number, rest)


WON_COLUMNS = ("cases", "higher", "lower", "equal", "shown to be higher", "shown to be lower")
WON_RULE = (
    "A case is a model on a problem set. Higher, lower, equal: by the numbers themselves; the interval is of how many "
    "cases are higher, over resampled problems, which all models of a problem set share; in a resample equal ones go "
    "either way. Shown: 0 lies outside of the difference's own 95 % interval."
)


def cases_won(cases: Sequence[RepairCase], seed: int = DEFAULT_SEED) -> CasesWon:
    """Return how many of some cases, at least one, the second model won."""
    import numpy as np

    signs = [_sign(case) for case in cases]
    reads = [case.reads for case in cases]
    resampled = sum(np.asarray(case.resampled(seed) > 0, dtype=float) for case in cases)
    won = signs.count(1)
    low, high = statistic_ends(np.asarray(resampled)[:, None], np.asarray([float(won)]))
    counts = (len(cases), won, signs.count(-1), reads.count(HIGHER), reads.count(LOWER))
    return CasesWon(*counts, float(low[0]), float(high[0]))


def groups_of(cases: Iterable[RepairCase], name: str) -> dict[str, list[RepairCase]]:
    """Return cases by a name of theirs, ``problem_set`` or ``metric``, in their order."""
    groups: dict[str, list[RepairCase]] = {}
    for case in cases:
        groups.setdefault(str(getattr(case, name)), []).append(case)
    return groups


def _sign(case: RepairCase) -> int:
    first, second = case.means
    return (second > first) - (second < first)


def _number(value: int) -> TableCell:
    return TableCell(f"{value:,}", value=float(value), state="value")
