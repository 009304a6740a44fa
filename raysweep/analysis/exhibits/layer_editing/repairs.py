"""Kind ``repairs``: what each method restores of a category, and what it does to clean prompts.

The methods are editors, each with a row for a category, and Self-Denoising, which changes prompts and no weights. The
share restored is G-RIR, see `raysweep.metrics.restoration`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from raysweep.analysis.exhibits.base import EDITS, EXHIBITS, Drawn, Evidence, Exhibit, Group, NothingToDraw
from raysweep.analysis.exhibits.edits import Rates, ReportedEdit, RewrittenPrompts, rates_change
from raysweep.analysis.exhibits.layer_editing.sums import (
    ALL,
    RELATIVE_GAIN,
    RESTORED,
    WITHIN_COLUMN,
    WITHIN_RULE,
    EditGroup,
    change_cells,
    clean_change,
    gain_cell,
    grouped,
    judged,
    judged_cell,
    mean_of,
    no_evidence,
    on_shared_pairs,
    over_categories,
    restored_cell,
    share_cell,
)
from raysweep.analysis.tables.quantities import number_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.restoration import gained, restored
from raysweep.records import CLEAN
from raysweep.units import count

ON_SHARED = Column("restored, shared pairs (%)")
"""Is left out where all methods have edited models from the same pairs."""
COLUMNS = (
    Column("edits"),
    Column("base, original", "pass@1 (%)"),
    Column("base, perturbed", "pass@1 (%)"),
    Column("repaired", "pass@1 (%)"),
    Column("relative gain (%)"),
    Column("restored (%)"),
    ON_SHARED,
    Column("change (points)", "clean pass@1"),
    Column(WITHIN_COLUMN, "clean pass@1"),
)
HOW = (
    "Each edit is from one prompt pair, and judged without its problem on the category's other prompts and on clean "
    "ones. Restored (G-RIR): (repaired − perturbed) / (original − perturbed), the mean over edits with its 95 % "
    "interval over pairs, where pairs of one problem in several categories are one cluster; it is undefined where the "
    "base loses nothing. Relative gain: (repaired − perturbed) / perturbed, likewise. Pass@1: means over edits. Clean: "
    "the edited models minus the base, the mean over edits, with a paired interval over problems."
)
SHARED = (
    "Methods without an edited model from some pairs have their other numbers over other pairs; on shared pairs: the "
    "share restored over the pairs from which each of these methods has one."
)
PLAIN_LORA = "{}: plain LoRA; what EasyEdit calls LoRA is AdaLoRA, with a rate of 5e-3 for 70 steps."
REWRITES = "A method that rewrites prompts has no edits; its interval of the share restored is over problems."


@EXHIBITS.register("repairs")
class Repairs(Exhibit):
    """A table for each problem set, with a row for each model and method, or for each of their categories."""

    group: Group = EDITS

    by: Literal["method", "category"]
    """What has a row: each method of a model, over all its categories, or each of them."""

    def draw(self, evidence: Evidence) -> Drawn:
        """Return the tables."""
        groups = grouped(evidence.edits.made)
        rewritten = _by_category(evidence.edits.rewritten)
        if self.by == "method":
            groups, rewritten = over_categories(groups), _over_categories(rewritten)
        shared = on_shared_pairs(groups)
        rows = {group: Row(group.labels, _cells(edits, shared.get(group, ()))) for group, edits in groups.items()}
        rows |= {group: Row(group.labels, one.cells()) for group, one in rewritten.items()}
        if not rows:
            raise NothingToDraw("it has no edited models and no rewritten prompts")
        unlike = {group.problem_set for group, edits in shared.items() if len(edits) < len(judged(groups[group]))}
        of_sets = dict.fromkeys(group.problem_set for group in rows)
        tables = (self._table(evidence, name, rows, bool(rewritten), name in unlike) for name in of_sets)
        return Drawn(tuple(tables))

    def _table(
        self, evidence: Evidence, problems: str, rows: Mapping[EditGroup, Row], rewrites: bool, unlike: bool
    ) -> Table:
        """Return the table of a problem set; `unlike`: whether its methods have edited models from different pairs."""
        groups = [group for group in rows if group.problem_set == problems]
        lora = dict.fromkeys(edit.cell.recipe for edit in evidence.edits.made if edit.editor == "lora_edit")
        plain = PLAIN_LORA.format(", ".join(lora)) if lora else ""
        said = (SHARED if unlike else "", REWRITES if rewrites else "", plain, WITHIN_RULE, no_evidence([problems]))
        table = Table(
            title=self.titled(evidence.book, problems),
            caption=self.captioned(HOW, *said),
            stub=("model", *(["category"] if self.by == "category" else []), "method"),
            columns=COLUMNS,
            rows=tuple(rows[group] for group in _in_order(groups)),
            row_words=evidence.book.order.words,
            label=f"{self.id}-{problems}",
            problem_set=problems,
        )
        return table if unlike else _without(table, ON_SHARED)


def _without(table: Table, column: Column) -> Table:
    at = table.columns.index(column)
    rows = (replace(row, cells=(*row.cells[:at], *row.cells[at + 1 :])) for row in table.rows)
    return replace(table, columns=(*table.columns[:at], *table.columns[at + 1 :]), rows=tuple(rows))


def _in_order(groups: Sequence[EditGroup]) -> list[EditGroup]:
    """Return groups with those of a model and category together, in the order in which these appear first."""
    models = list(dict.fromkeys(group.model for group in groups))
    categories = list(dict.fromkeys(group.category for group in groups))
    return sorted(groups, key=lambda group: (models.index(group.model), categories.index(group.category)))


def _cells(edits: Sequence[ReportedEdit], shared: Sequence[ReportedEdit]) -> tuple[TableCell, ...]:
    """Return the cells of a method's row; `shared`: those of its edits whose pairs all methods have."""
    done = judged(edits)
    return (
        judged_cell(edits),
        share_cell(mean_of(done, lambda edit: edit.accuracy.original)),
        share_cell(mean_of(done, lambda edit: edit.accuracy.perturbed)),
        share_cell(mean_of(done, lambda edit: edit.accuracy.repaired)),
        gain_cell(done),
        restored_cell(done),
        _on_shared(done, shared),
        *change_cells(clean_change(done)),
    )


def _on_shared(done: Sequence[ReportedEdit], shared: Sequence[ReportedEdit]) -> TableCell:
    """Return the share restored on shared pairs, with their number as a note where others were left out."""
    if not done:
        return TableCell()
    if not shared:
        return TableCell("–", note="no pair has an edited model of each method", state="undefined")
    cell = restored_cell(shared)
    return replace(cell, note="; ".join(filter(None, (f"over {count(len(shared), 'shared pair')}", cell.note))))


@dataclass(frozen=True)
class _Rewriting:
    """What a model's rewriting of prompts does to some categories, and to clean prompts where these were judged."""

    categories: Sequence[RewrittenPrompts]
    clean: RewrittenPrompts | None

    def cells(self) -> tuple[TableCell, ...]:
        """Return the cells of its row."""
        original, perturbed, repaired = (rates.values() for rates in self._rates())
        change = rates_change([self.clean.rates], [self.clean.base.clean]) if self.clean is not None else None
        shares = (share_cell(fmean(values)) if values else TableCell() for values in (original, perturbed, repaired))
        gain = number_cell(gained(*self._rates()), RELATIVE_GAIN)
        restoration = number_cell(restored(*self._rates()), RESTORED)
        return TableCell(), *shares, gain, restoration, TableCell(), *change_cells(change)

    def _rates(self) -> tuple[Rates, Rates, Rates]:
        """Return the rates on original, perturbed and rewritten prompts, the means over categories."""
        found: tuple[dict[str, list[float]], ...] = ({}, {}, {})
        for one in self.categories:
            own = (one.base.clean, one.base.perturbed, one.rates)
            for task in (task for task in one.rates if all(task in rates for rates in own)):
                for values, rates in zip(found, own, strict=True):
                    values.setdefault(task, []).append(rates[task])
        original, perturbed, repaired = ({task: fmean(of) for task, of in values.items()} for values in found)
        return original, perturbed, repaired


def _by_category(rewritten: Sequence[RewrittenPrompts]) -> dict[EditGroup, _Rewriting]:
    """Return what was rewritten and judged by model and category."""
    clean = {(one.cell, one.problem_set): one for one in rewritten if one.perturbation == CLEAN and one.rates}
    seeds = {one.cell.seed for one in rewritten}
    found = {}
    for one in (one for one in rewritten if one.perturbation != CLEAN and one.rates):
        method = one.cell.recipe if len(seeds) == 1 else f"{one.cell.recipe} · seed {one.cell.seed}"
        group = EditGroup(one.problem_set, one.cell.model, one.perturbation, method)
        found[group] = _Rewriting([one], clean.get((one.cell, one.problem_set)))
    return found


def _over_categories(rewritten: Mapping[EditGroup, _Rewriting]) -> dict[EditGroup, _Rewriting]:
    """Return what was rewritten by model, over all categories."""
    together: dict[EditGroup, _Rewriting] = {}
    for group, one in rewritten.items():
        all_of_it = replace(group, category=ALL)
        before = together[all_of_it].categories if all_of_it in together else ()
        together[all_of_it] = _Rewriting([*before, *one.categories], one.clean)
    return together
