"""Kind ``block-map``: where the blocks lie that localizations found, by model and category, with tests of both.

The depth of block l of N is l / N. The tests are those of `raysweep.stats.runs_test`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EDITED_MODELS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Id,
    Need,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.edits import AUTO, ReportedEdit
from raysweep.analysis.exhibits.layer_editing.sums import ALL, grouped, no_evidence
from raysweep.analysis.figures.depths import DepthFigure, DepthPanel
from raysweep.analysis.tables.quantities import p_cell, p_text
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BlockAccuracy
from raysweep.stats.runs_test import runs_test

NO_BLOCK = "it has no edit whose block a localization found"
HOW = (
    "Blocks l* that the localization found, one an edit; depth is l / N, from 0, the first of N blocks. Tied: edits in "
    "which several blocks restored most alike, so that the distance of their states decided; the tests leave them out. "
    "Harmed: edits in which each block's patch lowered the pass rate; the least harmful one was edited. Uniform: p of "
    "counts as far from equal ones, by simulation. Runs: of blocks that were found more often than equal counts give, "
    "and of others, in the model's order; p: of so few, if all orders are equally likely. A small p says that these "
    "blocks lie together. Both tests take edits as independent, those of one problem in several categories too."
)
SEEDS = (
    "Edits of several seeds count together: both tests take them as independent, too, so that p is too small where "
    "seeds have the same problems."
)


@dataclass(frozen=True)
class FoundBlocks:
    """The blocks that localizations found for one model (and method, where there are several) and category.

    `of`: number of blocks of the model. `untied`: those of `blocks` that alone restored most. `harmed`: number of
    edits in which no block had an RI of 0 or more.
    """

    model: str
    category: str
    blocks: Sequence[int]
    of: int
    untied: Sequence[int]
    harmed: int

    def counts(self, blocks: Sequence[int]) -> tuple[int, ...]:
        return tuple(sum(block == number for block in blocks) for number in range(self.of))


def has_localization(edit: ReportedEdit) -> bool:
    return edit.edit_at == AUTO and edit.work is not None and edit.work.depth is not None


def best_blocks(edit: ReportedEdit) -> list[int]:
    """Return the blocks that a localization can't tell apart by what chooses: several if distances decided."""
    by_divergence = edit.setting("by", "passes") == "divergence"

    def restored(row: BlockAccuracy) -> float:
        if by_divergence:
            return row.divergence_removed
        return row.accuracy if math.isnan(row.restoration) else row.restoration  # without a loss RI is undefined

    known = {row.block: restored(row) for row in edit.deciding if row.block >= 0 and not math.isnan(restored(row))}
    return [block for block, share in known.items() if share == max(known.values())]


def by_model(
    edits: Iterable[ReportedEdit], *, over_seeds: bool
) -> dict[tuple[str, str], dict[str, list[ReportedEdit]]]:
    """A model has its method where there are several. `over_seeds`: whether those of all seeds are together."""
    groups = grouped(edits, over_seeds=over_seeds)
    several = len({group.method for group in groups}) > 1
    found: dict[tuple[str, str], dict[str, list[ReportedEdit]]] = {}
    for group, of_group in groups.items():
        model = f"{group.model} · {group.method}" if several else group.model
        found.setdefault((group.problem_set, model), {})[group.category] = of_group
    return found


@EXHIBITS.register("block-map")
class BlockMap(Exhibit):
    """A figure and its table for each problem set: histograms of the depth of the blocks that were found."""

    has_figure: ClassVar[bool] = True
    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/figure-block-map"

    id: Id = "block-map"
    title: Text = "Where the blocks lie that localizations found"

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        of_sets: dict[str, list[FoundBlocks]] = {}
        localized = filter(has_localization, evidence.edits.made)
        for (problems, model), categories in by_model(localized, over_seeds=evidence.pools_seeds).items():
            of_sets.setdefault(problems, []).extend(_found(model, categories))
        if not of_sets:
            raise NothingToDraw(NO_BLOCK)
        figures = tuple(self._figure(evidence, problems, found) for problems, found in of_sets.items())
        tables = tuple(self._table(evidence, problems, found) for problems, found in of_sets.items())
        return Drawn(tables, figures)

    def _figure(self, evidence: Evidence, problems: str, found: Sequence[FoundBlocks]) -> DepthFigure:
        return DepthFigure(
            self.titled(evidence.frame, problems),
            self.captioned("Bars: how many edits found a block. Rows: categories.", no_evidence(problems)),
            f"{self.id}-{problems}",
            tuple(sorted(dict.fromkeys(one.category for one in found), key=lambda name: name != ALL)),
            tuple(dict.fromkeys(one.model for one in found)),
            "depth of the block, l / N",
            tuple(DepthPanel(one.category, one.model, one.counts(one.blocks)) for one in found),
        )

    def _table(self, evidence: Evidence, problems: str, found: Sequence[FoundBlocks]) -> Table:
        seeds = {edit.cell.seed for edit in filter(has_localization, evidence.edits.made)}
        several = SEEDS if evidence.pools_seeds and len(seeds) > 1 else ""
        names = ("edits", "tied", "harmed", "median depth", "blocks (edits)", "p, uniform", "runs", "p, runs")
        return Table(
            **self.head(evidence.frame, problems, said=[HOW, several]),
            stub=("model", "category"),
            columns=tuple(map(Column, names)),
            rows=tuple(Row((one.model, one.category), _cells(one)) for one in found),
            row_words=evidence.frame.order.words,
            problem_set=problems,
        )


def _found(model: str, categories: Mapping[str, Sequence[ReportedEdit]]) -> list[FoundBlocks]:
    together = [edit for edits in categories.values() for edit in edits]
    size = max(edit.work.blocks for edit in together if edit.work is not None)
    rows = {**({ALL: together} if len(categories) > 1 else {}), **categories}
    return [
        FoundBlocks(
            model,
            name,
            _edited_blocks(edits),
            size,
            _edited_blocks([edit for edit in edits if len(best_blocks(edit)) == 1]),
            sum(all(row.restoration < 0 for row in edit.deciding if row.block >= 0) for edit in edits),
        )
        for name, edits in rows.items()
    ]


def _edited_blocks(edits: Iterable[ReportedEdit]) -> list[int]:
    return [edit.work.block for edit in edits if edit.work is not None and edit.work.block is not None]


def _cells(found: FoundBlocks) -> tuple[TableCell, ...]:
    often = sorted(((-number, block) for block, number in enumerate(found.counts(found.blocks)) if number))
    depth = median(block / found.of for block in found.blocks)
    edits = TableCell.number(float(len(found.blocks)), str(len(found.blocks)))
    counted = TableCell.counted(len(found.blocks) - len(found.untied)), TableCell.counted(found.harmed)
    middle = TableCell.number(depth, f"{depth:.2f}")
    blocks = TableCell.said(", ".join(f"{block} ({-number})" for number, block in often))
    if found.of < 2:
        return edits, *counted, middle, blocks, *[TableCell()] * 3
    test = runs_test(found.counts(found.untied))
    smallest = f"smallest p that so many blocks can show: {p_text(test.smallest_p_runs)}"
    note = test.note or (smallest if test.smallest_p_runs > 0.05 else "")
    runs = TableCell.number(float(test.runs), str(test.runs))
    return (
        *(edits, *counted, middle, blocks),
        *(p_cell(test.p_uniform, ""), runs, replace(p_cell(test.p_runs, note), note=note)),
    )
