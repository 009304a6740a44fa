"""Kinds ``edit-rows``, ``edit-ends`` and ``edit-costs``: a row for each edit, how edits ended, and what they took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EDIT_ROWS,
    EDITS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.edits import EditWork, ReportedEdit
from raysweep.analysis.exhibits.layer_editing.sums import (
    CLEAN_CHANGE,
    RESTORED,
    ends,
    grouped,
    mean_of,
)
from raysweep.analysis.tables.quantities import number_cell, share_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell

NOTHING = "this sweep edits no models"
MEBI = 2**20


@EXHIBITS.register("edit-rows")
class EditRows(Exhibit):
    """A table for each problem set and model with a row for each edit: its block, what it restored, what it took."""

    place: ClassVar[str] = "layer_editing/07-edits"

    id: Id = "edits"
    title: Text = "Edit by edit"
    group: Group = EDIT_ROWS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        tables: dict[tuple[str, str], list[Row]] = {}
        for group, edits in grouped(evidence.edits.made).items():
            place = group.problem_set, group.model
            tables.setdefault(place, []).extend(
                Row((group.method, edit.cell.training_set, edit.task_id or "–"), _edit_cells(edit)) for edit in edits
            )
        if not tables:
            raise NothingToDraw(NOTHING)
        return Drawn(tuple(self._table(evidence, *place, rows) for place, rows in tables.items()))

    def _table(self, evidence: Evidence, problems: str, model: str, rows: Sequence[Row]) -> Table:
        return Table(
            title=self.titled(evidence.book, model, problems),
            caption=self.captioned(
                "Block: the one that was changed, counted from 0, of how many. Eligible: edit examples of the "
                "category, whose clean prompt this model solves more often. Pass@1 on the category and "
                "restored (G-RIR): without the edited problem. Clean: pass@1 minus the base's. Both have intervals "
                "over problems."
            ),
            stub=("method", "pair", "problem"),
            columns=tuple(
                map(
                    Column,
                    (
                        "eligible",
                        "block",
                        "||dW|| (%)",
                        "perturbed (%)",
                        "repaired (%)",
                        RESTORED.heading,
                        CLEAN_CHANGE.heading,
                        "seconds",
                    ),
                )
            ),
            rows=tuple(rows),
            label=f"{self.id}-{model}-{problems}",
            problem_set=problems,
        )


def _edit_cells(edit: ReportedEdit) -> tuple[TableCell, ...]:
    eligible = TableCell() if edit.eligible is None else _number(edit.eligible, "{:,.0f}")
    if edit.ended:
        rest = TableCell.said(edit.ended.partition(":")[0], edit.ended if ":" in edit.ended else "")
        return eligible, rest, *[TableCell()] * 6
    if edit.work is None:
        return eligible, TableCell("not made", state="missing"), *[TableCell()] * 6
    change = edit.clean_change
    return (
        eligible,
        _block_cell(edit.work),
        _number(100 * edit.work.relative_change, "{:.2f}"),
        share_cell(edit.accuracy.perturbed),
        share_cell(edit.accuracy.repaired),
        number_cell(edit.restored, RESTORED) if edit.is_judged else TableCell(),
        TableCell() if change is None else number_cell(change, CLEAN_CHANGE),
        _number(seconds_of(edit.work), "{:,.1f}"),
    )


def _block_cell(work: EditWork) -> TableCell:
    if work.block is None:
        return TableCell.said("adapter", work.changes_nothing)
    text = f"{work.block} of {work.blocks}" if work.blocks else str(work.block)
    return TableCell.number(float(work.block), text, work.changes_nothing)


def _number(value: float, form: str) -> TableCell:
    return TableCell() if math.isnan(value) else TableCell.number(float(value), form.format(value))


def seconds_of(work: EditWork) -> float:
    """Return the seconds of localization, edit and checks, as far as they are known; NaN if none is."""
    parts = [work.localization_seconds, work.edit_seconds, work.check_seconds]
    known = [part for part in parts if not math.isnan(part)]
    return sum(known) if known else math.nan


@EXHIBITS.register("edit-ends")
class EditEnds(Exhibit):
    """A table of how edits ended: made, made without effect, no such pair, not reproduced."""

    place: ClassVar[str] = "layer_editing/06-edit-ends"

    id: Id = "edit-ends"
    title: Text = "How the edits ended"
    group: Group = EDIT_ROWS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        groups = grouped(evidence.edits.made, over_seeds=evidence.pools_seeds)
        if not groups:
            raise NothingToDraw(NOTHING)
        reasons = list(ends(evidence.edits.made))
        rows = []
        for group, edits in groups.items():
            found, eligible = ends(edits), {edit.eligible for edit in edits if edit.eligible is not None}
            made = sum(edit.work is not None for edit in edits)
            without = sum(bool(edit.work and edit.work.changes_nothing) for edit in edits)
            left = len(edits) - made - sum(found.values())
            numbers = [len(edits), made, without, *(found.get(reason, 0) for reason in reasons), left]
            cells = [_number(float(number), "{:,.0f}") for number in numbers]
            least = _number(float(max(eligible)), "{:,.0f}") if eligible else TableCell()
            rows.append(Row((group.problem_set, *group.labels), (least, *cells)))
        names = ("eligible pairs", "asked for", "made", "without effect", *reasons, "failed or not done")
        return Drawn(
            (
                Table(
                    title=self.titled(evidence.book),
                    caption=self.captioned(
                        "Eligible pairs: edit examples, whose clean prompt the base model solves more often. "
                        "An edit without effect gives its base's very logits. An edit that ended without a model is "
                        "neither a failure nor a 0: it is left out of all means."
                    ),
                    stub=("problem set", "model", "category", "method"),
                    columns=tuple(map(Column, names)),
                    rows=tuple(rows),
                    row_words=evidence.book.order.words,
                    label=self.id,
                ),
            )
        )


@EXHIBITS.register("edit-costs")
class EditCosts(Exhibit):
    """A table of the seconds and the memory of an edit, by model and method."""

    place: ClassVar[str] = "layer_editing/04-edit-costs"

    id: Id = "edit-costs"
    title: Text = "Seconds and memory of an edit"
    group: Group = EDITS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        methods: dict[tuple[str, str], list[ReportedEdit]] = {}
        for group, edits in grouped(evidence.edits.made, over_seeds=evidence.pools_seeds).items():
            methods.setdefault((group.model, group.method), []).extend(e for e in edits if e.work is not None)
        rows = [Row(labels, _cost_cells(edits)) for labels, edits in methods.items() if edits]
        if not rows:
            raise NothingToDraw(NOTHING)
        return Drawn(
            (
                Table(
                    title=self.titled(evidence.book),
                    caption=self.captioned(
                        "Means over edits, of the clock: to find the block, to change it, and to compare weights and "
                        "logits before and after; the base was loaded before. Memory: the most in use meanwhile, of "
                        "the accelerator, or without one of the whole process. ||dW||: of the changed matrix, as a "
                        "share of ||W||."
                    ),
                    stub=("model", "method"),
                    columns=(
                        Column("edits"),
                        Column("localization", "seconds"),
                        Column("edit", "seconds"),
                        Column("checks", "seconds"),
                        Column("slowest", "seconds"),
                        Column("memory (MiB)"),
                        Column("||dW|| (%)"),
                    ),
                    rows=tuple(rows),
                    label=self.id,
                ),
            )
        )


def _cost_cells(edits: Sequence[ReportedEdit]) -> tuple[TableCell, ...]:
    def mean(part: Callable[[EditWork], float]) -> float:
        return mean_of(edits, lambda edit: part(edit.work) if edit.work is not None else math.nan)

    works = [edit.work for edit in edits if edit.work is not None]
    slowest = max((s for work in works if not math.isnan(s := seconds_of(work))), default=math.nan)
    most = max((work.memory_bytes for work in works if not math.isnan(work.memory_bytes)), default=math.nan)
    return (
        _number(float(len(edits)), "{:,.0f}"),
        _number(mean(lambda work: work.localization_seconds), "{:,.2f}"),
        _number(mean(lambda work: work.edit_seconds), "{:,.2f}"),
        _number(mean(lambda work: work.check_seconds), "{:,.2f}"),
        _number(slowest, "{:,.2f}"),
        _number(most / MEBI, "{:,.0f}"),
        _number(100 * mean(lambda work: work.relative_change), "{:.2f}"),
    )
