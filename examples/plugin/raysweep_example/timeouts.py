"""Metric `timeouts`: how many completions ran into their time limit."""

from __future__ import annotations

from math import nan

from raysweep.metrics.base import CellLabels, Evaluation, Measurement, Metric
from raysweep.programs import Outcome
from raysweep.stats.intervals import mean_interval


class Timeouts(Metric):
    """``timeouts``: the share of completions whose program ran into its time limit, as the mean over problems."""

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the share with its 95 % interval; NaN, with the reason, when there is no verdict at all."""
        verdicts: dict[str, list[bool]] = {}
        for result in evaluation.results:
            if result.outcome != Outcome.HARNESS_ERROR:
                verdicts.setdefault(result.task_id, []).append(result.outcome == Outcome.TIMEOUT)
        if not verdicts:
            return [Measurement("timeouts", nan, nan, nan, 0, "there are no verdicts")]
        shares = [sum(hits) / len(hits) for hits in verdicts.values()]
        low, high = mean_interval(shares)
        return [Measurement("timeouts", sum(shares) / len(shares), low, high, len(shares))]
