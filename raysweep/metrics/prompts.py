"""What a perturbation did to the prompts: rows it left as they were, rows it broke (study.md section 3)."""

from __future__ import annotations

from math import nan

from raysweep.metrics.base import METRICS, CellLabels, Evaluation, Measurement, Metric

_NOTE = "a count, no interval"


@METRICS.register("prompt_rows")
class PromptRows(Metric):
    """``rows_unchanged`` and ``rows_not_compiling``: counts over a perturbed test set's rows."""

    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the two counts for a perturbed test set whose prompts are given."""
        rows = evaluation.prompts
        if evaluation.perturbation == "clean" or not rows:
            return []
        unchanged = sum(not row.changed for row in rows)
        broken = sum(not row.compiles for row in rows)
        counts = (("rows_unchanged", unchanged), ("rows_not_compiling", broken))
        return [Measurement(name, float(count), nan, nan, len(rows), _NOTE) for name, count in counts]
