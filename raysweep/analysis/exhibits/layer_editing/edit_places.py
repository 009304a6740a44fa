"""Kind ``edit-places``: the same edit at other blocks, each beside the edit of a random one, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from raysweep.analysis.exhibits.edits import AUTO, ReportedEdit
from raysweep.analysis.exhibits.layer_editing.sums import (
    ALL,
    MORE_RESTORED,
    WITHIN_COLUMN,
    WITHIN_RULE,
    PairValue,
    clean_cells,
    judged,
    judged_cell,
    no_evidence,
    pairs_cell,
    restored_cell,
)
from raysweep.analysis.tables.table import Column, Row, Table, TableCell

RANDOM = "random"
PLACES = (AUTO, RANDOM, "first", "middle", "last", "dinm")
WORDS = {AUTO: "found (l*)", RANDOM: "random", "dinm": "DINM's"}
HOW = (
    "One edit, all its settings alike, at other blocks: the one that the localization finds (l*), a random one, the "
    "first, the middle, the last, the one that DINM chooses. Difference: the share restored minus that of the edit "
    "from the same example at a random block, with its 95 % interval over edit examples, where those of one problem "
    "are one cluster, and over seeds where there are several."
)


@EXHIBITS.register("edit-places")
class EditPlaces(Exhibit):
    """A table for each problem set, with a row for each model, category and block."""

    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/03-edit-places"

    id: Id = "edit-places"
    title: Text = "The same edit at other blocks"
    group: Group = EDITS

    beside: Text = RANDOM
    """The value of `edit_at` that the others are compared with."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        rows: dict[str, list[Row]] = {}
        made = evidence.edits.made
        several = not evidence.pools_seeds and len({edit.cell.seed for edit in made}) > 1
        for edits in _alike(made, over_seeds=evidence.pools_seeds).values():
            found = {edit.edit_at for edit in edits}
            names = dict.fromkeys([*(name for name in PLACES if name in found), *(edit.edit_at for edit in edits)])
            places = {name: [edit for edit in edits if edit.edit_at == name] for name in names}
            if len(places) > 1:
                seed = f" · seed {edits[0].cell.seed}" if several else ""
                rows.setdefault(edits[0].problem_set, []).extend(self._rows(edits[0], places, seed))
        if not rows:
            raise NothingToDraw("it has no editor with two values of `edit_at`")
        return Drawn(tuple(self._table(evidence, problems, of_set) for problems, of_set in rows.items()))

    def _rows(self, first: ReportedEdit, places: Mapping[str, Sequence[ReportedEdit]], seed: str) -> list[Row]:
        categories = list(dict.fromkeys(edit.perturbation for edits in places.values() for edit in edits))
        rows = []
        for category in [*categories, *([ALL] if len(categories) > 1 else [])]:
            of_category = {
                place: [edit for edit in edits if category in (ALL, edit.perturbation)]
                for place, edits in places.items()
            }
            beside = judged(of_category.get(self.beside, ()))
            for place, edits in of_category.items():
                done = judged(edits)
                difference = TableCell() if place == self.beside else _difference(done, beside)
                cells = (judged_cell(edits), restored_cell(done), difference, *clean_cells(done))
                labels = (first.cell.model, category, f"{first.editor}, {WORDS.get(place, place)}{seed}")
                rows.append(Row(labels, cells))
        return rows

    def _table(self, evidence: Evidence, problems: str, rows: Sequence[Row]) -> Table:
        return Table(
            title=self.titled(evidence.frame, problems),
            caption=self.captioned(HOW, WITHIN_RULE, no_evidence([problems])),
            stub=("model", "category", "edit at"),
            columns=(
                Column("edits"),
                Column("restored (%)"),
                Column(f"minus {WORDS.get(self.beside, self.beside)} (points)"),
                Column("change (points)", "clean pass@1"),
                Column(WITHIN_COLUMN, "clean pass@1"),
            ),
            rows=tuple(rows),
            row_words=evidence.frame.order.words,
            label=f"{self.id}-{problems}",
            problem_set=problems,
        )


def _alike(edits: Sequence[ReportedEdit], *, over_seeds: bool) -> dict[tuple[object, ...], list[ReportedEdit]]:
    """Group the edits of one problem set, model, seed and editor whose settings differ in the block alone."""
    groups: dict[tuple[object, ...], list[ReportedEdit]] = {}
    for edit in edits:
        if edit.edit_at:
            seed = None if over_seeds else edit.cell.seed
            key = (edit.problem_set, edit.cell.model, seed, edit.editor, edit.settings)
            groups.setdefault(key, []).append(edit)
    return groups


def _difference(edits: Sequence[ReportedEdit], beside: Sequence[ReportedEdit]) -> TableCell:
    others = {(edit.cell.training_set, edit.cell.seed): edit.accuracy.restored.value for edit in beside}
    known = []
    for edit in edits:
        value = edit.accuracy.restored.value - others.get((edit.cell.training_set, edit.cell.seed), math.nan)
        if not math.isnan(value):
            known.append(PairValue.of(edit, value))
    if not known:
        return TableCell.dash("no pair was edited at both blocks")
    return pairs_cell(known, MORE_RESTORED)
