"""Kind ``repairs``: what each method restores of a category, and what it does to clean prompts.

The methods are editors, each with a row for a category, and Self-Denoising, which changes prompts and no weights. The
share restored is G-RIR, see `raysweep.metrics.restoration`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from raysweep.analysis.exhibits.base import EDITS, EXHIBITS, Drawn, Evidence, Exhibit, Group, NothingToDraw
from raysweep.analysis.exhibits.edits import ReportedEdit, RewrittenPrompts
from raysweep.analysis.exhibits.layer_editing.sums import (
    RESTORED,
    WITHIN_COLUMN,
    WITHIN_RULE,
    EditGroup,
    change_cells,
    clean_change,
    grouped,
    judged,
    judged_cell,
    mean_of,
    no_evidence,
    rates_change,
    restored_cell,
    share_cell,
    with_all,
)
from raysweep.analysis.tables.quantities import number_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.base import Measurement
from raysweep.metrics.restoration import category_accuracy
from raysweep.records import CLEAN
from raysweep.stats.bootstrap import bootstrap_intervals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = (
    Column("edits"),
    Column("base, original", "pass@1 (%)"),
    Column("base, perturbed", "pass@1 (%)"),
    Column("repaired", "pass@1 (%)"),
    Column("restored (%)"),
    Column("change (points)", "clean pass@1"),
    Column(WITHIN_COLUMN, "clean pass@1"),
)
HOW = (
    "Each edit is from one prompt pair, and judged without its problem on the category's other prompts and on clean "
    "ones. Restored (G-RIR): (repaired − perturbed) / (original − perturbed), the mean over edits with its 95 % "
    "interval over pairs; it is undefined where the base loses nothing. Pass@1: means over edits. Clean: the edited "
    "models minus the base, with a paired interval over problems."
)
REWRITES = "A method that rewrites prompts has no edits; its interval of the share restored is over problems."


@EXHIBITS.register("repairs")
class Repairs(Exhibit):
    """A table for each problem set, with a row for each model, category and method."""

    group: Group = EDITS

    def draw(self, evidence: Evidence) -> Drawn:
        """Return the tables."""
        rows: dict[str, dict[EditGroup, Row]] = {}
        for group, edits in with_all(grouped(evidence.edits.made)).items():
            rows.setdefault(group.problem_set, {})[group] = Row(group.labels, _cells(edits))
        for group, row in _rewritten_rows(evidence.edits.rewritten):
            rows.setdefault(group.problem_set, {})[group] = row
        if not rows:
            raise NothingToDraw("it has no edited models and no rewritten prompts")
        return Drawn(tuple(self._table(evidence, problems, of_set) for problems, of_set in rows.items()))

    def _table(self, evidence: Evidence, problems: str, rows: Mapping[EditGroup, Row]) -> Table:
        rewrites = REWRITES if any(group.problem_set == problems for group, _ in _rewritten(evidence)) else ""
        return Table(
            title=self.titled(evidence.book, problems),
            caption=self.captioned(HOW, rewrites, WITHIN_RULE, no_evidence([problems])),
            stub=("model", "category", "method"),
            columns=COLUMNS,
            rows=tuple(rows[group] for group in _in_order(list(rows))),
            row_words=evidence.book.order.words,
            label=f"{self.id}-{problems}",
            problem_set=problems,
        )


def _rewritten(evidence: Evidence) -> list[tuple[EditGroup, Row]]:
    return list(_rewritten_rows(evidence.edits.rewritten))


def _in_order(groups: Sequence[EditGroup]) -> list[EditGroup]:
    """Return groups with those of a model and category together, in the order in which these appear first."""
    models = list(dict.fromkeys(group.model for group in groups))
    categories = list(dict.fromkeys(group.category for group in groups))
    return sorted(groups, key=lambda group: (models.index(group.model), categories.index(group.category)))


def _cells(edits: Sequence[ReportedEdit]) -> tuple[TableCell, ...]:
    done = judged(edits)
    return (
        judged_cell(edits),
        share_cell(mean_of(done, lambda edit: edit.accuracy.original)),
        share_cell(mean_of(done, lambda edit: edit.accuracy.perturbed)),
        share_cell(mean_of(done, lambda edit: edit.accuracy.repaired)),
        restored_cell(done),
        *change_cells(clean_change(done)),
    )


def _rewritten_rows(rewritten: Sequence[RewrittenPrompts]) -> Iterator[tuple[EditGroup, Row]]:
    """Yield the row of each rewritten category, with the change of the same model's clean prompts."""
    clean = {(one.cell, one.problem_set): one for one in rewritten if one.perturbation == CLEAN}
    seeds = {one.cell.seed for one in rewritten}
    for one in rewritten:
        if one.perturbation == CLEAN or not one.rates:
            continue
        recipe = one.cell.recipe
        method = recipe if len(seeds) == 1 else f"{recipe} · seed {one.cell.seed}"
        group = EditGroup(one.problem_set, one.cell.model, one.perturbation, method)
        accuracy = category_accuracy(one.base.clean, one.base.perturbed, one.rates)
        of_clean = clean.get((one.cell, one.problem_set))
        change = rates_change(of_clean.rates, of_clean.base.clean) if of_clean is not None else None
        shares = map(share_cell, (accuracy.original, accuracy.perturbed, accuracy.repaired))
        yield group, Row(group.labels, (TableCell(), *shares, _restored(one), *change_cells(change)))


def _restored(one: RewrittenPrompts) -> TableCell:
    """Return the cell of the share restored by rewriting, with its interval over problems."""
    accuracy = category_accuracy(one.base.clean, one.base.perturbed, one.rates)
    share = accuracy.restored
    if math.isnan(share.value):
        return number_cell(Measurement("G-RIR", share.value, math.nan, math.nan, 0, share.note), RESTORED)
    tasks = [task for task in one.rates if task in one.base.clean and task in one.base.perturbed]
    values = [[[rates[task]] for task in tasks] for rates in (one.base.clean, one.base.perturbed, one.rates)]
    (interval,) = bootstrap_intervals(values, _restored_shares)
    return number_cell(Measurement("G-RIR", share.value, *interval, 0, ""), RESTORED)


def _restored_shares(means: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
    import numpy as np

    original, perturbed, repaired = means
    lost = original - perturbed
    with np.errstate(divide="ignore", invalid="ignore"):
        return [np.where(lost > 0, (repaired - perturbed) / lost, np.nan)]
