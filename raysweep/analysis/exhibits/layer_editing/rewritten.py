"""Kind ``rewritten-prompts``: how many prompts a model rewrote (Self-Denoising), and why others stayed as they were."""

from __future__ import annotations

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
from raysweep.analysis.tables.records import COUNT, cells_over_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell


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
        rewritten = [one for one in evidence.edits.rewritten if one.reasons]
        if not rewritten:
            raise NothingToDraw("no model rewrote prompts")
        reasons = list(dict.fromkeys(reason for one in rewritten for reason in one.reasons))
        several = len({one.cell.seed for one in rewritten}) > 1
        found: dict[tuple[tuple[str, str, str], str], dict[int | None, tuple[TableCell, ...]]] = {}
        for one in rewritten:
            apart = f" · seed {one.cell.seed}" if several and not evidence.pools_seeds else ""
            labels = (one.problem_set, f"{one.cell.model}{apart}", one.perturbation)
            found.setdefault((labels, one.cell.recipe), {})[one.cell.seed] = tuple(
                TableCell.counted(number)
                for number in (sum(one.reasons.values()), *(one.reasons.get(reason, 0) for reason in reasons))
            )
        asked = max(map(len, found.values()))
        formats = [COUNT] * (1 + len(reasons))
        rows = tuple(Row(labels, cells_over_seeds(seeds, formats, asked)) for (labels, _), seeds in found.items())
        return Drawn(
            (
                Table(
                    title=self.titled(evidence.frame),
                    caption=self.captioned(
                        "The model itself rewrote the natural language of each prompt. A rewritten text is accepted if "
                        "it passes all rules; otherwise the perturbed text stayed, for the first reason that holds."
                    ),
                    stub=("problem set", "model", "test prompts"),
                    columns=(Column("prompts"), *map(Column, reasons)),
                    rows=rows,
                    row_words=evidence.frame.order.words,
                    label=self.id,
                ),
            )
        )
