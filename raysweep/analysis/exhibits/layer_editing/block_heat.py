"""Kind ``block-heat``: what patching each block restores (RI), by category, as a heat map of its own numbers.

RI of an edit's block: (accuracy with the block patched - perturbed) / (original - perturbed), over samples of the
pair's prompts. Means are over edits whose RI is defined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EDITED_MODELS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Head,
    Id,
    Need,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.edits import ReportedEdit
from raysweep.analysis.exhibits.layer_editing.block_map import NO_BLOCK, by_model
from raysweep.analysis.exhibits.layer_editing.sums import no_evidence
from raysweep.analysis.figures.heat import HeatFigure, HeatPanel
from raysweep.analysis.tables.quantities import Quantity, share_cell
from raysweep.analysis.tables.table import Column, Row, Table
from raysweep.records import BlockAccuracy

EMBEDDINGS = -1
HOW = (
    "RI: the share of the edit example's lost accuracy that comes back while the block's output on the perturbed "
    "prompt is the original's, mean over edits; 100 is all of it. Positions: which ones were patched. With prompts of "
    "equal length and all positions patched, every later block reads the original's states, so that early blocks look "
    "best. Divergence: the same share of KL between what follows both prompts, at the tokens that the model wrote for "
    "the original, in place of pass rates."
)
WORDS = {"all": "all positions", "last": "last position", "diff_span": "positions that differ"}
Patched = tuple[str, str]  # positions, phase
Means = Mapping[str, Mapping[int, float]]  # category -> block -> mean RI


@EXHIBITS.register("block-heat")
class BlockHeat(Exhibit):
    """A figure and its table for each problem set and model: a panel for each choice of patched positions."""

    has_figure: ClassVar[bool] = True
    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/figure-block-heat"

    id: Id = "block-heat"
    title: Text = "What patching a block restores"
    digits: Annotated[int, Field(ge=0, le=2)] = 0

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        figures, tables = [], []
        localized = [edit for edit in evidence.edits.made if edit.localization]
        for (problems, model), categories in by_model(localized, over_seeds=evidence.pools_seeds).items():
            panels = _panels(categories)
            blocks = sorted({block for means in panels.values() for of in means.values() for block in of})
            if blocks:
                said = [HOW, "Emb.: the embeddings." if EMBEDDINGS in blocks else ""]
                head = self.head(evidence.frame, model, problems, said=said)
                figures.append(self._figure(head, problems, blocks, panels))
                tables.append(self._table(evidence, head, problems, blocks, panels))
        if not figures:
            raise NothingToDraw(NO_BLOCK)
        return Drawn(tuple(tables), tuple(figures))

    def _figure(self, head: Head, problems: str, blocks: Sequence[int], panels: Mapping[str, Means]) -> HeatFigure:
        return HeatFigure(
            head["title"],
            " ".join(filter(None, (head["caption"], no_evidence(problems)))),
            head["label"],
            tuple(map(_name, blocks)),
            "category",
            "RI by patched block",
            "%",
            self.digits,
            tuple(
                HeatPanel(
                    name,
                    tuple(means),
                    tuple(tuple(100 * of.get(block, math.nan) for block in blocks) for of in means.values()),
                )
                for name, means in panels.items()
            ),
            full=100.0,
        )

    def _table(
        self,
        evidence: Evidence,
        head: Head,
        problems: str,
        blocks: Sequence[int],
        panels: Mapping[str, Means],
    ) -> Table:
        quantity = Quantity("RI", "RI", digits=self.digits)
        return Table(
            title=f"{head['title']} (%)",
            caption=head["caption"],
            stub=("positions", "category"),
            columns=tuple(Column(_name(block), "block") for block in blocks),
            rows=tuple(
                Row(
                    (name, category),
                    tuple(share_cell(of.get(block, math.nan), quantity) for block in blocks),
                )
                for name, means in panels.items()
                for category, of in means.items()
            ),
            row_words=evidence.frame.order.words,
            label=head["label"],
            problem_set=problems,
        )


def _panels(categories: Mapping[str, Sequence[ReportedEdit]]) -> dict[str, dict[str, dict[int, float]]]:
    patched = restorations([row for edits in categories.values() for edit in edits for row in edit.localization])
    panels: dict[str, dict[str, dict[int, float]]] = {}
    for measure, words in (("restoration", ""), ("divergence_removed", ", divergence")):
        for one in patched:
            means = {name: _means(edits, one, attrgetter(measure)) for name, edits in categories.items()}
            panels[in_words(one) + words] = {name: of for name, of in means.items() if of}
    return {name: means for name, means in panels.items() if means}


def _means(
    edits: Sequence[ReportedEdit], patched: Patched, measured: Callable[[BlockAccuracy], float]
) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for row in (row for edit in edits for row in edit.localization if (row.positions, row.phase) == patched):
        if not math.isnan(measured(row)):
            values.setdefault(row.block, []).append(measured(row))
    return {block: fmean(of_block) for block, of_block in values.items()}


def in_words(patched: Patched) -> str:
    positions, phase = patched
    return WORDS.get(positions, positions) + (", also while decoding" if phase == "all" else "")


def _name(block: int) -> str:
    return "emb." if block == EMBEDDINGS else str(block)


def restorations(rows: Sequence[BlockAccuracy]) -> dict[Patched, list[BlockAccuracy]]:
    patched = dict.fromkeys((row.positions, row.phase) for row in rows)
    return {
        one: sorted((row for row in rows if (row.positions, row.phase) == one), key=lambda row: row.block)
        for one in patched
    }
