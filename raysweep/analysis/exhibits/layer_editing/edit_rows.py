"""Kinds ``edit-rows``, ``edit-ends`` and ``edit-costs``: a row for each edit, how edits ended, and what they took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EDIT_ROWS,
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
from raysweep.analysis.exhibits.edits import EditWork, ReportedEdit
from raysweep.analysis.exhibits.layer_editing.sums import CLEAN_CHANGE, RESTORED, ends, grouped, mean_of, sum_cell
from raysweep.analysis.tables.quantities import share_cell
from raysweep.analysis.tables.records import Field, Labels, one_each, record_table
from raysweep.analysis.tables.table import TableCell

NOTHING = "this sweep edits no models"
MEBI = 2**20
Edits = Sequence[ReportedEdit]


@EXHIBITS.register("edit-rows")
class EditRows(Exhibit):
    """A table for each problem set and model with a row for each edit: its block, what it restored, what it took."""

    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/07-edits"

    id: Id = "edits"
    title: Text = "Edit by edit"
    group: Group = EDIT_ROWS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        tables: dict[tuple[str, str], list[tuple[Labels, ReportedEdit]]] = {}
        for group, edits in grouped(evidence.edits.made).items():
            rows = tables.setdefault((group.model, group.problem_set), [])
            rows += [((group.method, edit.cell.training_set, edit.task_id or "–"), edit) for edit in edits]
        if not tables:
            raise NothingToDraw(NOTHING)
        said = [
            "Block: the one that was changed, counted from 0, of how many. Eligible: edit examples of the category, "
            "whose clean prompt this model solves more often. Pass@1 on the category and restored (G-RIR): without the "
            "edited problem. Clean: pass@1 minus the base's. Both have intervals over problems."
        ]
        fields: list[Field[ReportedEdit]] = [
            Field("eligible", lambda edit: TableCell() if edit.eligible is None else TableCell.counted(edit.eligible)),
            Field("block", _block),
            Field("||dW|| (%)", _of_made(lambda edit, work: _number(100 * work.relative_change, "{:.2f}"))),
            Field("perturbed (%)", _of_made(lambda edit, work: share_cell(edit.accuracy.perturbed))),
            Field("repaired (%)", _of_made(lambda edit, work: share_cell(edit.accuracy.repaired))),
            Field(
                RESTORED.heading,
                _of_made(lambda edit, work: sum_cell(edit.restored if edit.is_judged else None, RESTORED)),
            ),
            Field(CLEAN_CHANGE.heading, _of_made(lambda edit, work: sum_cell(edit.clean_change, CLEAN_CHANGE))),
            Field("seconds", _of_made(lambda edit, work: _number(seconds_of(work), "{:,.1f}"))),
        ]
        stub = ("method", "pair", "problem")
        return Drawn(
            tuple(
                record_table(
                    **self.head(evidence.frame, *place, said=said),
                    stub=stub,
                    rows=one_each(rows),
                    fields=fields,
                    problem_set=place[1],
                )
                for place, rows in tables.items()
            )
        )


def _of_made(cell: Callable[[ReportedEdit, EditWork], TableCell]) -> Callable[[ReportedEdit], TableCell]:
    """Return the cell of edits that gave a model, and an empty one of others."""
    return lambda edit: TableCell() if edit.ended or edit.work is None else cell(edit, edit.work)


def _block(edit: ReportedEdit) -> TableCell:
    if edit.ended:
        return TableCell.said(edit.ended.partition(":")[0], edit.ended if ":" in edit.ended else "")
    if (work := edit.work) is None:
        return TableCell("not made", state="missing")
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

    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/06-edit-ends"

    id: Id = "edit-ends"
    title: Text = "How the edits ended"
    group: Group = EDIT_ROWS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        groups = grouped(evidence.edits.made, over_seeds=evidence.pools_seeds)
        if not groups:
            raise NothingToDraw(NOTHING)

        def made(edits: Edits) -> int:
            return sum(edit.work is not None for edit in edits)

        def eligible(edits: Edits) -> TableCell:
            known = {edit.eligible for edit in edits if edit.eligible is not None}
            return TableCell.counted(max(known)) if known else TableCell()

        def ended(reason: str, edits: Edits) -> TableCell:
            return TableCell.counted(ends(edits).get(reason, 0))

        fields: list[Field[Edits]] = [
            Field("eligible pairs", eligible),
            Field("asked for", lambda edits: TableCell.counted(len(edits))),
            Field("made", lambda edits: TableCell.counted(made(edits))),
            Field(
                "without effect",
                lambda edits: TableCell.counted(sum(bool(e.work and e.work.changes_nothing) for e in edits)),
            ),
            *(Field(reason, partial(ended, reason)) for reason in ends(evidence.edits.made)),
            Field(
                "failed or not done",
                lambda edits: TableCell.counted(len(edits) - made(edits) - sum(ends(edits).values())),
            ),
        ]
        said = [
            "Eligible pairs: edit examples, whose clean prompt the base model solves more often. "
            "An edit without effect gives its base's very logits. An edit that ended without a model is "
            "neither a failure nor a 0: it is left out of all means."
        ]
        table = record_table(
            **self.head(evidence.frame, said=said),
            stub=("problem set", "model", "category", "method"),
            rows=one_each(((g.problem_set, g.model, g.category, g.method), edits) for g, edits in groups.items()),
            fields=fields,
            row_words=evidence.frame.order.words,
        )
        return Drawn((table,))


@EXHIBITS.register("edit-costs")
class EditCosts(Exhibit):
    """A table of the seconds and the memory of an edit, by model and method."""

    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/04-edit-costs"

    id: Id = "edit-costs"
    title: Text = "Seconds and memory of an edit"
    group: Group = EDITS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        methods: dict[Labels, list[EditWork]] = {}
        for group, edits in grouped(evidence.edits.made, over_seeds=evidence.pools_seeds).items():
            works = methods.setdefault((group.model, group.method), [])
            works += [edit.work for edit in edits if edit.work is not None]
        if not any(methods.values()):
            raise NothingToDraw(NOTHING)

        def mean(heading: str, part: Callable[[EditWork], float], group: str = "") -> Field[Sequence[EditWork]]:
            return Field(heading, lambda works: _number(mean_of(works, part), "{:,.2f}"), group=group)

        def most(
            heading: str, part: Callable[[EditWork], float], form: str, group: str = ""
        ) -> Field[Sequence[EditWork]]:
            def cell(works: Sequence[EditWork]) -> TableCell:
                known = [number for work in works if not math.isnan(number := part(work))]
                return _number(max(known, default=math.nan), form)

            return Field(heading, cell, group=group)

        fields: list[Field[Sequence[EditWork]]] = [
            Field("edits", lambda works: TableCell.counted(len(works))),
            mean("localization", lambda work: work.localization_seconds, "seconds"),
            mean("edit", lambda work: work.edit_seconds, "seconds"),
            mean("checks", lambda work: work.check_seconds, "seconds"),
            most("slowest", seconds_of, "{:,.2f}", "seconds"),
            most("memory (MiB)", lambda work: work.memory_bytes / MEBI, "{:,.0f}"),
            mean("||dW|| (%)", lambda work: 100 * work.relative_change),
        ]
        said = [
            "Means over edits, of the clock: to find the block, to change it, and to compare weights and "
            "logits before and after; the base was loaded before. Memory: the most in use meanwhile, of "
            "the accelerator, or without one of the whole process. ||dW||: of the changed matrix, as a "
            "share of ||W||."
        ]
        rows = one_each((labels, works) for labels, works in methods.items() if works)
        table = record_table(**self.head(evidence.frame, said=said), stub=("model", "method"), rows=rows, fields=fields)
        return Drawn((table,))
