"""The contract of a comparison, which turns two cells' verdicts on one test set into numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from raysweep.metrics.base import Measurement
from raysweep.records import CLEAN, ProblemScore
from raysweep.registry import Registry


@dataclass(frozen=True)
class ProblemRates:
    """One cell's verdicts on one test set, problem by problem.

    Attributes:
        rates: pass@1 by task id, from 0 to 1: the mean over the draws of the perturbation.
        clean: pass@1 on the clean prompts by task id; empty if they were not evaluated, or `rates` are the clean ones.
        completions: most completions of a problem that have a verdict, on one draw.
        draws: of the perturbation.
    """

    rates: Mapping[str, float]
    clean: Mapping[str, float]
    completions: int
    draws: int


def draws_note(first: ProblemRates, second: ProblemRates) -> str:
    """Return what an interval of means over several draws leaves out; empty for one draw of each."""
    if first.draws == second.draws == 1:
        return ""
    numbers = dict.fromkeys((first.draws, second.draws))
    return f"means over {' and '.join(map(str, numbers))} draws; the interval is over problems only"


TestSetName = tuple[str, str]  # (problem set, perturbation)


def rates_of(rows: Iterable[ProblemScore]) -> dict[TestSetName, ProblemRates]:
    """Return one cell's rates by problem set and perturbation; problems without a verdict are left out."""
    shares: dict[TestSetName, dict[str, list[float]]] = {}
    completions: dict[TestSetName, int] = {}
    for row in rows:
        if row.n:
            name = row.problem_set, row.perturbation
            shares.setdefault(name, {}).setdefault(row.task_id, []).append(row.passed / row.n)
            completions[name] = max(row.n, completions.get(name, 0))
    means = {name: {task: sum(s) / len(s) for task, s in tasks.items()} for name, tasks in shares.items()}
    return {
        name: ProblemRates(
            rates,
            {} if name[1] == CLEAN else means.get((name[0], CLEAN), {}),
            completions[name],
            max(map(len, shares[name].values())),
        )
        for name, rates in means.items()
    }


class Comparison(ABC):
    """Computes numbers from two cells on one test set. Equal cells give equal numbers, intervals included.

    Only problems with a verdict of both cells count. A comparison that doesn't apply (of RD on the clean set) returns
    no measurement.
    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, first: ProblemRates, second: ProblemRates) -> list[Measurement]:
        """Return the numbers, second minus first where they are differences; the list may be empty."""


COMPARISONS: Registry[Comparison] = Registry("comparison", "raysweep.analysis.comparisons", Comparison)
