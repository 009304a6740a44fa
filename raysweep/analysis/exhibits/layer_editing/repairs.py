"""Kind ``repairs``: what each method restores of a category, and what it does to clean prompts.

The methods are editors, each with a row for a category, and Self-Denoising, which changes prompts and no weights. The
share restored is G-RIR, see `raysweep.metrics.restoration`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import ClassVar, Literal

from typing_extensions import override

from raysweep.analysis.comparisons.estimate import Estimate, defined, pool
from raysweep.analysis.exhibits.base import (
    EDITED_MODELS,
    EDITS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Need,
    NothingToDraw,
)
from raysweep.analysis.exhibits.edits import Rates, ReportedEdit, RewrittenPrompts, rates_change
from raysweep.analysis.exhibits.layer_editing.sums import (
    ALL,
    CLEAN_CHANGE,
    RELATIVE_GAIN,
    RESTORED,
    WITHIN_COLUMN,
    WITHIN_RULE,
    EditGroup,
    base_cell,
    by_seed,
    change_cells,
    clean_cells,
    gain_cell,
    grouped,
    judged,
    judged_cell,
    no_evidence,
    on_shared_pairs,
    over_categories,
    over_seeds,
    repaired_cell,
    restored_cell,
    with_spread,
)
from raysweep.analysis.tables.quantities import PASS, number_cell, share_cell
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
    "Each edit is from one edit example, a pair of prompts, and evaluated without its problem on the category's other "
    "prompts and on clean ones. Restored (G-RIR): (repaired − perturbed) / (original − perturbed), the mean over edits "
    "with its 95 % interval over edit examples, where those of one problem in several categories are one cluster; it "
    "is undefined where the base loses nothing. Relative gain: (repaired − perturbed) / perturbed, likewise. Pass@1: "
    "means over edits. Clean: the edited models minus the base, the mean over edits, with a paired interval over "
    "problems."
)
SHARED = (
    "Methods without an edited model from some edit examples have their other numbers over other ones; on shared "
    "pairs: the share restored over the examples from which each of these methods has one; another seed's are other "
    "examples."
)
PLAIN_LORA = "{}: plain LoRA; what EasyEdit calls LoRA is AdaLoRA, with a rate of 5e-3 for 70 steps."
SEEDS = "Of several seeds a number is the mean over the seeds' numbers, and its interval is over seeds, too."
REWRITES = "A method that rewrites prompts has no edits; its interval of the share restored is over problems."


@EXHIBITS.register("repairs")
class Repairs(Exhibit):
    """A table for each problem set, with a row for each model and method, or for each of their categories."""

    subject: ClassVar[Need] = EDITED_MODELS

    group: Group = EDITS

    by: Literal["method", "category"]
    """What has a row: each method of a model, over all its categories, or each of them."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        groups = grouped(evidence.edits.made, over_seeds=evidence.pools_seeds)
        rewritten = _by_category(evidence.edits.rewritten, together=evidence.pools_seeds)
        if self.by == "method":
            groups, rewritten = over_categories(groups), _over_categories(rewritten)
        shared = on_shared_pairs(groups, over_seeds=evidence.pools_seeds)
        rows = {group: Row(group.labels, _cells(edits, shared.get(group, ()))) for group, edits in groups.items()}
        rows |= {group: Row(group.labels, _rewriting_cells(seeds)) for group, seeds in rewritten.items()}
        if not rows:
            raise NothingToDraw("it has no edited models and no rewritten prompts")
        unlike = {group.problem_set for group, edits in shared.items() if len(edits) < len(judged(groups[group]))}
        of_sets = dict.fromkeys(group.problem_set for group in rows)
        tables = (self._table(evidence, name, rows, bool(rewritten), name in unlike) for name in of_sets)
        return Drawn(tuple(tables))

    def _table(
        self, evidence: Evidence, problems: str, rows: Mapping[EditGroup, Row], rewrites: bool, unlike: bool
    ) -> Table:
        groups = [group for group in rows if group.problem_set == problems]
        lora = dict.fromkeys(edit.cell.recipe for edit in evidence.edits.made if edit.editor == "lora_edit")
        plain = PLAIN_LORA.format(", ".join(lora)) if lora else ""
        seeds = SEEDS if any(cell.seeds for group in groups for cell in rows[group].cells) else ""
        said = (
            SHARED if unlike else "",
            REWRITES if rewrites else "",
            seeds,
            plain,
            WITHIN_RULE,
            no_evidence([problems]),
        )
        table = Table(
            title=self.titled(evidence.frame, problems),
            caption=self.captioned(HOW, *said),
            stub=("model", *(["category"] if self.by == "category" else []), "method"),
            columns=COLUMNS,
            rows=tuple(rows[group] for group in _in_order(groups)),
            row_words=evidence.frame.order.words,
            label=f"{self.id}-{problems}",
            problem_set=problems,
        )
        return table if unlike else _without(table, ON_SHARED)


def _without(table: Table, column: Column) -> Table:
    at = table.columns.index(column)
    rows = (replace(row, cells=(*row.cells[:at], *row.cells[at + 1 :])) for row in table.rows)
    return replace(table, columns=(*table.columns[:at], *table.columns[at + 1 :]), rows=tuple(rows))


def _in_order(groups: Sequence[EditGroup]) -> list[EditGroup]:
    models = list(dict.fromkeys(group.model for group in groups))
    categories = list(dict.fromkeys(group.category for group in groups))
    return sorted(groups, key=lambda group: (models.index(group.model), categories.index(group.category)))


def _cells(edits: Sequence[ReportedEdit], shared: Sequence[ReportedEdit]) -> tuple[TableCell, ...]:
    """Return the cells of a method's row; `shared`: those of its edits whose pairs all methods have."""
    done = judged(edits)
    return (
        judged_cell(edits),
        base_cell(done, lambda edit: edit.accuracy.original),
        base_cell(done, lambda edit: edit.accuracy.perturbed),
        repaired_cell(done),
        gain_cell(done),
        restored_cell(done),
        _on_shared(done, shared),
        *clean_cells(done),
    )


def _on_shared(done: Sequence[ReportedEdit], shared: Sequence[ReportedEdit]) -> TableCell:
    if not done:
        return TableCell()
    if not shared:
        return TableCell.dash("no pair has an edited model of each method")
    cell = restored_cell(shared)
    pairs = len({(edit.cell.training_set, edit.cell.seed) for edit in shared})
    lost = ", ".join(str(seed) for seed in sorted(by_seed(done).keys() - by_seed(shared).keys()))
    without = f"without the seed {lost}: not all methods share a pair" if lost else ""
    return replace(cell, note="; ".join(filter(None, (f"over {count(pairs, 'shared pair')}", without, cell.note))))


@dataclass(frozen=True)
class _Rewriting:
    categories: Sequence[RewrittenPrompts]
    clean: RewrittenPrompts | None

    @cached_property
    def rates(self) -> tuple[Rates, Rates, Rates]:
        found: tuple[dict[str, list[float]], ...] = ({}, {}, {})
        for one in self.categories:
            own = (one.base.clean, one.base.perturbed, one.rates)
            for task in (task for task in one.rates if all(task in rates for rates in own)):
                for values, rates in zip(found, own, strict=True):
                    values.setdefault(task, []).append(rates[task])
        original, perturbed, repaired = ({task: fmean(of) for task, of in values.items()} for values in found)
        return original, perturbed, repaired

    @property
    def means(self) -> tuple[float, ...]:
        return tuple(fmean(rates.values()) if rates else math.nan for rates in self.rates)

    @property
    def change(self) -> Estimate | None:
        return rates_change([self.clean.rates], [self.clean.base.clean]) if self.clean is not None else None

    @property
    def changes(self) -> dict[str, float]:
        if self.clean is None:
            return {}
        base = self.clean.base.clean
        return {task: rate - base[task] for task, rate in self.clean.rates.items() if task in base}


def _rewriting_cells(seeds: Sequence[_Rewriting]) -> tuple[TableCell, ...]:
    gains, restorations = ([of(*one.rates) for one in seeds] for of in (gained, restored))
    original, perturbed, repaired = (
        share_cell(_mean(values)) for values in zip(*(s.means for s in seeds), strict=True)
    )
    number, within = change_cells(over_seeds([one.change for one in seeds], [one.changes for one in seeds]))
    differences = (change.value for one in seeds if (change := one.change) is not None)
    several = len(seeds) > 1
    return (
        TableCell(),
        original,
        perturbed,
        with_spread(repaired, (one.means[-1] for one in seeds), PASS),
        number_cell(pool(defined(gains), asked=len(seeds)) if several else gains[0], RELATIVE_GAIN),
        number_cell(pool(defined(restorations), asked=len(seeds)) if several else restorations[0], RESTORED),
        TableCell(),
        with_spread(number, differences, CLEAN_CHANGE),
        within,
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


Rewritings = Mapping[EditGroup, Sequence[_Rewriting]]
"""What was rewritten, for each of the seeds whose rewriting has one row."""


def _by_category(rewritten: Sequence[RewrittenPrompts], *, together: bool) -> Rewritings:
    clean = {(one.cell, one.problem_set): one for one in rewritten if one.perturbation == CLEAN and one.rates}
    seeds = {one.cell.seed for one in rewritten}
    found: dict[EditGroup, list[_Rewriting]] = {}
    for one in (one for one in rewritten if one.perturbation != CLEAN and one.rates):
        method = one.cell.recipe + ("" if together or len(seeds) == 1 else f" · seed {one.cell.seed}")
        group = EditGroup(one.problem_set, one.cell.model, one.perturbation, method)
        found.setdefault(group, []).append(_Rewriting([one], clean.get((one.cell, one.problem_set))))
    return found


def _over_categories(rewritten: Rewritings) -> Rewritings:
    together: dict[EditGroup, dict[int, _Rewriting]] = {}
    for group, seeds in rewritten.items():
        of_all = together.setdefault(replace(group, category=ALL), {})
        for one in seeds:
            seed = one.categories[0].cell.seed
            before = of_all[seed].categories if seed in of_all else ()
            of_all[seed] = _Rewriting([*before, *one.categories], one.clean)
    return {group: list(of_all.values()) for group, of_all in together.items()}
