"""How much of its clean pass@1 a model loses: relative degradation and the plain difference.

RD = (P_clean - P_pert) / P_clean (https://arxiv.org/abs/2212.10264, ReCode's relative drop). It rewards a lower clean
score, so the paired difference stands beside it (study.md section 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan, nan
from typing import NamedTuple

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.metrics.intervals import paired_interval
from raysweep.metrics.passing import by_problem
from raysweep.programs import Outcome
from raysweep.records import Result


class Degradation(NamedTuple):
    """A relative degradation, NaN where undefined; the reason."""

    value: float
    note: str


def relative_degradation(clean: float, perturbed: float) -> Degradation:
    """Return (clean - perturbed) / clean, negative when the perturbed score is higher.

    Args:
        clean: pass@k on clean prompts, 0 to 1.
        perturbed: pass@k on perturbed prompts, 0 to 1.
    """
    if isnan(clean) or isnan(perturbed):
        return Degradation(nan, "a score it rests on is undefined")
    if clean == 0:
        return Degradation(nan, "the clean score is 0")
    return Degradation((clean - perturbed) / clean, "")


class Paired(NamedTuple):
    """pass@1 of the problems that have verdicts on both prompts, in the same order."""

    clean: list[float]
    perturbed: list[float]

    @property
    def means(self) -> tuple[float, float]:
        """The two mean scores; NaN without problems."""
        n = len(self.clean)
        return (sum(self.clean) / n, sum(self.perturbed) / n) if n else (nan, nan)


def pair(clean: Iterable[Result], perturbed: Iterable[Result], tasks: frozenset[str] | None = None) -> Paired:
    """Pair two sets of results by task id; `tasks` restricts them."""
    before, after = by_problem(clean, 1), by_problem(perturbed, 1)
    shared = [task for task in before if task in after and (tasks is None or task in tasks)]
    return Paired([before[task] for task in shared], [after[task] for task in shared])


@METRICS.register("relative_degradation")
class RelativeDegradation(Metric):
    """``RD``, ``RD_changed`` (over the rows whose prompt changed and compiles) and ``drop`` (P_pert - P_clean)."""

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the three numbers for a perturbed test set whose clean one was evaluated too."""
        if evaluation.clean is None:
            return []
        everything = pair(evaluation.clean, evaluation.results)
        note = _left_out(evaluation)
        found = [measure_rd("RD", everything, note)]
        if evaluation.prompts:
            changed = frozenset(row.task_id for row in evaluation.prompts if row.changed and row.compiles)
            found.append(measure_rd("RD_changed", pair(evaluation.clean, evaluation.results, changed), note))
        before, after = everything.means
        low, high = paired_interval(*everything, lambda x, y: y - x)
        found.append(Measurement("drop", after - before, low, high, len(everything.clean), note))
        return found


def measure_rd(metric: str, scores: Paired, note: str) -> Measurement:
    """Return a relative degradation with its interval; `note` is said beside it."""
    import numpy as np

    value, reason = relative_degradation(*scores.means)
    low, high = paired_interval(*scores, lambda x, y: (x - y) / np.where(x == 0, np.nan, x))
    if isnan(value):
        low = high = nan
    return Measurement(metric, value, low, high, len(scores.clean), "; ".join(filter(None, (reason, note))))


def _left_out(evaluation: Evaluation) -> str:
    """Say how many completions on either side have no verdict."""
    both = (*(evaluation.clean or ()), *evaluation.results)
    count = sum(result.outcome == Outcome.HARNESS_ERROR for result in both)
    return f"{count} harness errors left out" if count else ""
