"""The contract of a comparison, which turns two cells' verdicts on one test set into numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from raysweep.metrics.base import Measurement
from raysweep.records import CLEAN, ProblemScore
from raysweep.registry import Registry
from raysweep.stats.stability import FEWEST_DRAWS, noise

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ProblemRates:
    """One cell's verdicts on one test set, problem by problem.

    Attributes:
        rates: pass@1 by task id, from 0 to 1: the mean over the draws of the perturbation.
        clean: pass@1 on the clean prompts by task id; empty if they were not evaluated, or `rates` are the clean ones.
        completions: most completions of a problem that have a verdict, on one draw.
        draws: of the perturbation.
        by_draw: pass@1 on each draw by task id, of the problems with a verdict on all draws; empty for one draw.
    """

    rates: Mapping[str, float]
    clean: Mapping[str, float]
    completions: int
    draws: int
    by_draw: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def means_by_draw(self, tasks: Iterable[str]) -> Sequence[float]:
        """Return pass@1 on each draw, over those of the tasks that have a verdict on all draws; empty for one draw."""
        shares = [self.by_draw[task] for task in tasks if task in self.by_draw]
        return tuple(sum(values) / len(shares) for values in zip(*shares, strict=True))


def shared_values(*rates: Mapping[str, float]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the tasks that all of some rates have, in the order of the first, and the rates, (rates, tasks)."""
    import numpy as np

    first, *others = rates
    tasks = list(first)
    if all(list(other) == tasks for other in others):
        return tasks, np.array([list(rate.values()) for rate in rates], dtype=np.float64)
    common = first.keys() & set.intersection(*(set(other) for other in others))
    tasks = [task for task in first if task in common]
    return tasks, np.array([[rate[task] for task in tasks] for rate in rates])


BELOW_DRAWS = "within noise: below 2 SD between draws"


def draws_note(first: ProblemRates, second: ProblemRates, effect: float, by_draw: Sequence[float]) -> str:
    """Return what an interval of means over several draws leaves out; empty for one draw of each.

    `effect`: a difference of both cells. `by_draw`: the same on each draw; fewer than two if that is unknown.
    """
    if first.draws == second.draws == 1:
        return ""
    numbers = dict.fromkeys((first.draws, second.draws))
    note = f"means over {' and '.join(map(str, numbers))} draws; the interval is over problems only"
    is_noise = len(by_draw) >= FEWEST_DRAWS and noise(effect, by_draw).within_noise
    return f"{note}; {BELOW_DRAWS}" if is_noise else note


TestSetName = tuple[str, str]  # (problem set, perturbation)


def rates_of(rows: Iterable[ProblemScore]) -> dict[TestSetName, ProblemRates]:
    """Return one cell's rates by problem set and perturbation; problems without a verdict are left out."""
    shares: dict[TestSetName, dict[str, list[float]]] = {}
    completions: dict[TestSetName, int] = {}
    for name, of_set in groupby(rows, lambda row: (row.problem_set, row.perturbation)):
        judged = [row for row in of_set if row.n]
        if judged:
            by_task = shares.setdefault(name, {})
            for row in judged:
                by_task.setdefault(row.task_id, []).append(row.passed / row.n)
            completions[name] = max(completions.get(name, 0), max(row.n for row in judged))
    means = {
        name: {task: s[0] if len(s) == 1 else sum(s) / len(s) for task, s in tasks.items()}
        for name, tasks in shares.items()
    }
    draws = {name: max(map(len, tasks.values())) for name, tasks in shares.items()}
    return {
        name: ProblemRates(
            rates,
            {} if name[1] == CLEAN else means.get((name[0], CLEAN), {}),
            completions[name],
            draws[name],
            {task: s for task, s in shares[name].items() if FEWEST_DRAWS <= draws[name] == len(s)},
        )
        for name, rates in means.items()
    }


class Comparison(ABC):
    """Computes numbers from two cells on one test set. Equal cells give equal numbers, intervals included.

    Only problems with a verdict of both cells count (`shared_values`). A comparison that doesn't apply (of RD on the
    clean set) returns no measurement. Undefined numbers and errors are treated as a metric's. The numbers are in
    `raysweep.load_differences(sweep)`.
    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, first: ProblemRates, second: ProblemRates) -> list[Measurement]:
        """Return the numbers, second minus first where they are differences; the list may be empty."""


COMPARISONS: Registry[Comparison] = Registry("comparison", "raysweep.analysis.comparisons", Comparison)
