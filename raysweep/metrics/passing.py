"""Estimates pass@k, the probability that at least one of k completions passes.

Source: Chen et al. 2021, https://arxiv.org/abs/2107.03374, equation 1. With several draws of a perturbation a
problem's pass@k is the mean over the draws, and the interval is over problems and draws. The order of completions
doesn't count: pass@1 of ten beams is the mean of the ten, not the first one (`repair.py` has that).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import comb, nan
from typing import TYPE_CHECKING, NamedTuple

from raysweep.errors import UsageError
from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.verdicts import Tally, Verdicts
from raysweep.records import Result
from raysweep.stats.intervals import draw_means, drawn_mean_interval, interval_note, mean_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

USUAL_KS = (1, 10, 100)
WHERE_SOLVABLE = "where references pass"
"""Stands behind the name of pass@k over the problems whose reference solution passes here."""


def checked_ks(k: Sequence[int], metric: str) -> tuple[int, ...]:
    """Return the values of k for a metric; raise UsageError if there are none, or one is below 1."""
    if not k or min(k) < 1:
        raise UsageError(f"metric {metric}: k is {list(k)}; give numbers from 1 on")
    return tuple(k)


@lru_cache(maxsize=65536)
def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate 1 - C(n-c, k) / C(n, k), rounded once from exact integers.

    Args:
        n: number of completions of one problem.
        c: number of them that pass.
        k: number of completions that may be tried.

    Raises:
        UsageError: k isn't between 1 and n, or c isn't between 0 and n.
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
class PassRate:
    """pass@k as the mean over problems; NaN if no problem has k verdicts."""

    value: float
    problems: int  # number of problems in the mean
    harness_errors: int  # completions without a verdict
    left_out: int  # problems with fewer than k verdicts on each draw

    @property
    def note(self) -> str:
        parts = []
        if self.harness_errors:
            parts.append(f"{self.harness_errors} harness errors left out")
        if self.left_out:
            parts.append(f"{self.left_out} problems with too few verdicts left out")
        if not self.problems:
            parts.append("no problem has enough verdicts")
        return "; ".join(parts)


def by_problem(results: Iterable[Result], k: int, part: str = "") -> dict[str, float]:
    """Return pass@k by task id, for the tasks with at least k verdicts; `part` as for `Verdicts.tallies`."""
    return task_rates(Verdicts.of(results).tallies(part), k)


class DrawnRates(NamedTuple):
    """pass@k of each task that has k verdicts on a draw."""

    tasks: Sequence[str]
    values: NDArray[np.float64]  # (tasks, draws); NaN where a task has fewer than k verdicts

    def of(self, tasks: Sequence[str]) -> NDArray[np.float64]:
        """Return (tasks, draws): the values of some of the tasks, in their order."""
        if tasks == self.tasks:
            return self.values
        place = {task: row for row, task in enumerate(self.tasks)}
        return self.values[[place[task] for task in tasks]]


def over_draws(draws: Sequence[Iterable[Result]], k: int, part: str = "") -> DrawnRates:
    """Return pass@k on each draw, of the tasks with k verdicts on any; `part` as for `Verdicts.tallies`."""
    if len(draws) > 1 or not isinstance(draws[0], Verdicts):
        return _over_draws(draws, k, part)
    kept, key = draws[0].kept, ("pass@k", k, part)  # the clean results are asked for with each perturbed test set
    if key not in kept:
        kept[key] = _over_draws(draws, k, part)
        kept[key].values.flags.writeable = False
    rates: DrawnRates = kept[key]
    return rates


def _over_draws(draws: Sequence[Iterable[Result]], k: int, part: str) -> DrawnRates:
    import numpy as np

    rates = [by_problem(results, k, part) for results in draws]
    tasks = list(rates[0] if len(rates) == 1 else dict.fromkeys(chain.from_iterable(rates)))
    values = np.empty((len(tasks), len(rates)))
    for draw, of_draw in enumerate(rates):
        values[:, draw] = [of_draw.get(task, nan) for task in tasks]
    return DrawnRates(tasks, values)


def task_rates(counted: Mapping[str, Tally], k: int) -> dict[str, float]:
    """Return pass@k by task id from tallies, for the tasks with at least k verdicts."""
    return {task: pass_at_k(t.n, t.c, k) for task, t in counted.items() if t.n >= k}


def rate_of(counted: Mapping[str, Tally], k: int) -> PassRate:
    """Return mean pass@k from tallies by task id; raise UsageError if k is below 1."""
    rates = list(task_rates(counted, k).values())
    return PassRate(
        mean_of(rates), len(rates), sum(t.harness_errors for t in counted.values()), len(counted) - len(rates)
    )


@METRICS.register("pass_at_k")
class PassAtK(Metric):
    """``pass@1``, ``pass@10``... for 1, 10 and 100 up to the number of completions per problem, or for the k given.

    A k that is given and that no problem has as many completions for is NaN, with that reason.

    Where the tests of a set report parts, such as `base` and `plus`, ``pass@1 base`` is the rate of completions that
    pass at least that part. The last part completes the tests, so ``pass@1`` is its rate.

    Where programs run in an environment in which some reference solutions fail, ``pass@1 where references pass`` is the
    rate over the other problems.
    """

    def __init__(self, k: Sequence[int] | None = None) -> None:
        self.given = None if k is None else checked_ks(k, self.name)

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return one measurement for each k, then one for each part and k, then those over solvable problems."""
        draws, solvable = evaluation.draws, evaluation.solvable
        numbers = [number for part in ("", *evaluation.parts[:-1]) for number in self._of_part(draws, part, part)]
        if solvable is not None:
            of_them = [Verdicts(result for result in draw if result.task_id in solvable) for draw in draws]
            numbers += self._of_part(of_them, "", WHERE_SOLVABLE)
        return numbers

    def _of_part(self, draws: Sequence[Iterable[Result]], part: str, words: str) -> list[Measurement]:
        counted = [Verdicts.of(results).tallies(part) for results in draws]
        most = max((tally.n + tally.harness_errors for tally in counted[0].values()), default=0)
        errors = sum(tally.harness_errors for draw in counted for tally in draw.values())
        measurements = []
        for k in self.given or [k for k in USUAL_KS if k <= max(1, most)]:
            name = f"pass@{k} {words}".strip()
            if k > max(1, most):
                note = f"pass@{k} needs {k} completions of a problem; there are {most} (`evaluation.samples`)"
                measurements.append(Measurement(name, nan, nan, nan, 0, note))
                continue
            rates = over_draws(draws, k, part)
            left_out = len(counted[0].keys() - set(rates.tasks))
            rate = PassRate(mean_of(draw_means(rates.values)), len(rates.tasks), errors, left_out)
            low, high = drawn_mean_interval(rates.values)
            note = "; ".join(filter(None, (rate.note, interval_note(rate.problems))))
            measurements.append(Measurement(name, rate.value, low, high, rate.problems, note))
        return measurements
