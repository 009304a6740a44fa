"""Kind ``rewritten-prompts``: how many prompts a model rewrote (Self-Denoising), and why others stayed as they were."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EDITED_MODELS,
    EDITS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    Need,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.edits import RewrittenPrompts
from raysweep.analysis.exhibits.layer_editing.sums import grouped
from raysweep.analysis.tables.records import Field, Rows, most_seeds, record_table
from raysweep.analysis.tables.table import TableCell

HOW = (
    "The model itself rewrote the natural language of each prompt. A rewritten text is accepted if it passes all "
    "rules; otherwise the perturbed text stayed, for the first reason that holds."
)


@EXHIBITS.register("rewritten-prompts")
class RewrittenPromptCounts(Exhibit):
    """A table with a row for each model and test set, and a column for each reason."""

    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/05-rewritten-prompts"

    id: Id = "rewritten-prompts"
    title: Text = "Prompts that the models rewrote"
    group: Group = EDITS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        groups = grouped((one for one in evidence.edits.rewritten if one.reasons), over_seeds=evidence.pools_seeds)
        if not groups:
            raise NothingToDraw("no model rewrote prompts")

        def kept(reason: str, one: RewrittenPrompts) -> TableCell:
            return TableCell.counted(one.reasons.get(reason, 0))

        reasons = dict.fromkeys(reason for of_row in groups.values() for one in of_row for reason in one.reasons)
        rows: Rows[RewrittenPrompts] = [
            ((group.problem_set, f"{group.model}{group.seed}", group.category), {one.cell.seed: one for one in of_row})
            for group, of_row in groups.items()
        ]
        table = record_table(
            **self.head(evidence.frame, said=[HOW]),
            stub=("problem set", "model", "test prompts"),
            rows=rows,
            fields=[
                Field("prompts", lambda one: TableCell.counted(sum(one.reasons.values()))),
                *(Field(reason, partial(kept, reason)) for reason in reasons),
            ],
            asked=most_seeds(rows),
            row_words=evidence.frame.order.words,
        )
        return Drawn((table,))
