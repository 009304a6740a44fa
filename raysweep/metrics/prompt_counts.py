"""Counts the prompts that a perturbation left unchanged or broke."""

from __future__ import annotations

from math import nan

from typing_extensions import override

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric
from raysweep.records import CLEAN

_NOTE = "a count, no interval"


@METRICS.register("prompt_rows")
class PromptRows(Metric):
    """``rows_unchanged`` and ``rows_not_compiling``: rows of a perturbed test set (mean over perturbation samples)."""

    @override
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        rows = evaluation.prompts
        if evaluation.perturbation == CLEAN or not rows:
            return []
        draws = (rows, *evaluation.more_prompts)
        unchanged = sum(not row.changed for draw in draws for row in draw)
        broken = sum(not row.compiles for draw in draws for row in draw)
        counts = (("rows_unchanged", unchanged), ("rows_not_compiling", broken))
        return [Measurement(name, count / len(draws), nan, nan, len(rows), _NOTE) for name, count in counts]
