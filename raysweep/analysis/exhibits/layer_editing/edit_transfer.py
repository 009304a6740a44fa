"""Kind ``edit-transfer``: what an edit from an example of one category restores of each other one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, ClassVar

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
from raysweep.analysis.exhibits.edits import ReportedEdit
from raysweep.analysis.exhibits.layer_editing.sums import (
    ALL,
    RESTORED,
    EditGroup,
    grouped,
    mean_restored,
    no_evidence,
    over_categories,
    over_pairs,
    sum_cell,
)
from raysweep.analysis.tables.quantities import Quantity
from raysweep.analysis.tables.records import Field, Labels, one_each, record_table
from raysweep.analysis.tables.table import TableCell
from raysweep.metrics.base import CellLabels

NOTHING = "no edited model is evaluated on another category than its example's (`edits.transfer`)"
MINUS = Quantity("own minus others", "own minus others", "points", signed=True)
UNDEFINED = "one of the two shares is undefined, or no other category has such an edit"
Edits = Sequence[ReportedEdit]


@EXHIBITS.register("edit-transfer")
class EditTransfer(Exhibit):
    """A table for each problem set: rows are models, methods and the example's category, columns the evaluated ones."""

    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/04-edit-transfer"

    id: Id = "edit-transfer"
    title: Text = "What an edit restores of other categories"
    group: Group = EDITS

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        others: dict[CellLabels, list[ReportedEdit]] = {}
        for edit in evidence.edits.transferred:
            others.setdefault(edit.cell, []).append(edit)
        if not others:
            raise NothingToDraw(NOTHING)
        own = grouped((edit for edit in evidence.edits.made if edit.cell in others), over_seeds=evidence.pools_seeds)
        evaluated = {edit.perturbation for of in (*others.values(), *own.values()) for edit in of}
        categories = [name for name in evidence.frame.order.perturbations if name in evaluated]
        several = {all_: of for all_, of in over_categories(own).items() if len({one.perturbation for one in of}) > 1}
        rows = {**own, **several}
        words = evidence.frame.order.words
        fields: list[Field[tuple[str, Edits]]] = [
            Field(words.get(name, name), partial(_on, name, others), group=f"{RESTORED.heading} of")
            for name in categories
        ]
        fields.append(Field(MINUS.heading, partial(_minus, others)))
        said = [
            "Each row: edits from examples of one category, evaluated on it and on the others, without the examples' "
            "problems. Own minus others: what these edits restore of their own category minus what edits by the same "
            "method from the other categories' examples restore of that category; each edit is set beside those of its "
            "number. Where it isn't above 0, an edit mends no category in particular. Intervals are over edit examples."
        ]
        order = sorted(rows, key=lambda group: [one.model for one in own].index(group.model))
        sets = dict.fromkeys(group.problem_set for group in own)
        return Drawn(
            tuple(
                record_table(
                    **self.head(evidence.frame, problems, said=[*said, no_evidence(problems)]),
                    stub=("model", "method", "edited from"),
                    rows=one_each(
                        (_labels(group), (group.category, rows[group]))
                        for group in order
                        if group.problem_set == problems
                    ),
                    fields=fields,
                    row_words=words,
                    problem_set=problems,
                )
                for problems in sets
            )
        )


def _labels(group: EditGroup) -> Labels:
    return group.model, group.method, group.category


def _on(name: str, others: Mapping[CellLabels, Edits], row: tuple[str, Edits]) -> TableCell:
    category, edits = row
    if category == ALL:
        return TableCell()
    on = [edit for own in edits for edit in (own, *others[own.cell]) if edit.perturbation == name and edit.is_judged]
    return sum_cell(mean_restored(on), RESTORED)


def _minus(others: Mapping[CellLabels, Edits], row: tuple[str, Edits]) -> TableCell:
    from_others: dict[tuple[Any, ...], list[float]] = {}
    for edits in others.values():
        for edit in edits:
            if not math.isnan(share := edit.accuracy.restored.value):
                from_others.setdefault(_beside(edit), []).append(share)

    def difference(edit: ReportedEdit) -> float:
        shares = from_others.get(_beside(edit))
        return edit.accuracy.restored.value - fmean(shares) if shares else math.nan

    judged = [edit for edit in row[1] if edit.is_judged]
    return sum_cell(over_pairs(judged, difference, unless=UNDEFINED), MINUS)


def _beside(edit: ReportedEdit) -> tuple[Any, ...]:
    """Return what edits have in common that are compared: all but the category of their examples."""
    cell = edit.cell
    return cell.model, cell.recipe, cell.seed, edit.problem_set, edit.perturbation, edit.which
