"""pass@k: the probability that at least one of k completions passes (Chen et al. 2021, arXiv:2107.03374, eq. 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import comb, nan

from raysweep.errors import UsageError
from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.intervals import mean_interval
from raysweep.programs import Outcome
from raysweep.records import Result


def checked(k: Sequence[int], metric: str) -> tuple[int, ...]:
    """Return the k of a metric; raise UsageError where there are none, or any below 1."""
    if not k or min(k) < 1:
        raise UsageError(f"metric {metric}: k is {list(k)}; give numbers from 1 on")
    return tuple(k)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate 1 - C(n-c, k) / C(n, k), rounded once from exact integers.

    Args:
        n: completions of one problem.
        c: how many of them pass.
        k: completions that may be tried.

    Raises:
        UsageError: not 1 <= k <= n, or not 0 <= c <= n.
    """
    if not 1 <= k <= n:
        raise UsageError(
            f"pass@{k} of {n} completions is undefined; k must lie between 1 and the number of completions"
        )
    if not 0 <= c <= n:
        raise UsageError(f"{c} of {n} completions can't pass; c must lie between 0 and the number of completions")
    total = comb(n, k)
    return (total - comb(n - c, k)) / total


@dataclass(frozen=True, slots=True)
class Tally:
    """The verdicts on one problem's completions, harness errors left out."""

    n: int
    c: int  # passed
    harness_errors: int


@dataclass(frozen=True, slots=True)
class PassRate:
    """pass@k as the mean over problems; NaN when no problem has k verdicts."""

    value: float
    problems: int  # the mean's
    harness_errors: int  # completions without a verdict
    left_out: int  # problems with fewer than k verdicts

    @property
    def note(self) -> str:
        """What was left out and why, or an empty string."""
        parts = []
        if self.harness_errors:
            parts.append(f"{self.harness_errors} harness errors left out")
        if self.left_out:
            parts.append(f"{self.left_out} problems with too few verdicts left out")
        if not self.problems:
            parts.append("no problem has enough verdicts")
        return "; ".join(parts)


def tallies(results: Iterable[Result]) -> dict[str, Tally]:
    """Count verdicts by task id, in the order in which the tasks first come."""
    found: dict[str, Tally] = {}
    for result in results:
        old = found.get(result.task_id, Tally(0, 0, 0))
        if result.outcome == Outcome.HARNESS_ERROR:
            found[result.task_id] = Tally(old.n, old.c, old.harness_errors + 1)
        else:
            passed = result.outcome == Outcome.PASSED
            found[result.task_id] = Tally(old.n + 1, old.c + passed, old.harness_errors)
    return found


def by_problem(results: Iterable[Result], k: int) -> dict[str, float]:
    """Return pass@k by task id, for the tasks with at least k verdicts."""
    return task_rates(tallies(results), k)


def pass_rate(results: Sequence[Result], k: int) -> PassRate:
    """Return pass@k over the problems with at least k verdicts; raise UsageError when k is below 1."""
    return rate_of(tallies(results), k)


def task_rates(counted: Mapping[str, Tally], k: int) -> dict[str, float]:
    """Return pass@k by task id from tallies, for the tasks with at least k verdicts."""
    return {task: pass_at_k(t.n, t.c, k) for task, t in counted.items() if t.n >= k}


def rate_of(counted: Mapping[str, Tally], k: int) -> PassRate:
    """Return pass@k from tallies by task id; raise UsageError when k is below 1."""
    rates = list(task_rates(counted, k).values())
    value = sum(rates) / len(rates) if rates else nan
    return PassRate(value, len(rates), sum(t.harness_errors for t in counted.values()), len(counted) - len(rates))


@METRICS.register("pass_at_k")
class PassAtK(Metric):
    """``pass@1``, ``pass@10``... for those k that some problem has completions enough for."""

    def __init__(self, k: Sequence[int] = (1, 10, 100)) -> None:
        self.k = checked(k, self.name)

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return one measurement for each k."""
        draws = max((t.n + t.harness_errors for t in tallies(evaluation.results).values()), default=0)
        found = []
        for k in self.k:
            if k <= max(1, draws):  # pass@1 even of nothing: NaN with its reason
                rate = pass_rate(evaluation.results, k)
                low, high = mean_interval(list(by_problem(evaluation.results, k).values()))
                found.append(Measurement(f"pass@{k}", rate.value, low, high, rate.problems, rate.note))
        return found
