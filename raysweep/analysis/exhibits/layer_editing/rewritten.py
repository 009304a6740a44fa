"""Kind ``rewritten-prompts``: how many prompts a model rewrote (Self-Denoising), and why others stayed as they were."""

from __future__ import annotations

from raysweep.analysis.exhibits.base import EDITS, EXHIBITS, Drawn, Evidence, Exhibit, Group, NothingToDraw
from raysweep.analysis.tables.table import Column, Row, Table, TableCell


@EXHIBITS.register("rewritten-prompts")
class RewrittenPromptCounts(Exhibit):
    """A table with a row for each model and test set, and a column for each reason."""

    group: Group = EDITS

    def draw(self, evidence: Evidence) -> Drawn:
        """Return the table."""
        rewritten = [one for one in evidence.edits.rewritten if one.reasons]
        if not rewritten:
            raise NothingToDraw("no model rewrote prompts")
        reasons = list(dict.fromkeys(reason for one in rewritten for reason in one.reasons))
        rows = tuple(
            Row(
                (one.problem_set, one.cell.model, one.perturbation),
                tuple(
                    TableCell(f"{number:,}", value=float(number), state="value")
                    for number in (sum(one.reasons.values()), *(one.reasons.get(reason, 0) for reason in reasons))
                ),
            )
            for one in rewritten
        )
        return Drawn(
            (
                Table(
                    title=self.titled(evidence.book),
                    caption=self.captioned(
                        "The model itself rewrote the natural language of each prompt. A rewritten text is accepted if "
                        "it passes all rules; otherwise the perturbed text stayed, for the first reason that holds."
                    ),
                    stub=("problem set", "model", "test prompts"),
                    columns=(Column("prompts"), *map(Column, reasons)),
                    rows=rows,
                    row_words=evidence.book.order.words,
                    label=self.id,
                ),
            )
        )
