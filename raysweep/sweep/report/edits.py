"""Reads what a report says of edited models, and of prompts that a model rewrote, from the manifests of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName
from raysweep.analysis.exhibits.edits import BaseRates, Edits, Rates, ReportedEdit, RewrittenPrompts
from raysweep.config.schema import SweepConfig
from raysweep.hashing import canonical_json
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE, CLEAN, PromptPair, Score
from raysweep.stages.asking import REASONS
from raysweep.stages.editing import localization_of
from raysweep.stages.scoring import work_of
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow, edited_problems, end_of
from raysweep.sweep.report.names import order_of
from raysweep.trainers.editors.base import EDITORS
from raysweep.trainers.kinds import edits, rewrites

EDIT_AT = "edit_at"
RatesOfCells = Mapping[CellLabels, Mapping[TestSetName, ProblemRates]]


@dataclass(frozen=True)
class EditorChoice:
    """An editor as a recipe names it."""

    editor: str
    edit_at: str = ""  # its block's setting; empty without one
    settings: str = ""  # the others

    @classmethod
    def of(cls, name: str, args: Mapping[str, Any]) -> EditorChoice:
        """Return a recipe's editor with its defaults. `args`: those that the recipe names."""
        known = {key: parameter.default for key, parameter in EDITORS.parameters(name).items()}
        values = {**known, **args}
        edit_at = str(values.pop(EDIT_AT)) if EDIT_AT in values else ""
        return cls(name, edit_at, canonical_json(values))


def edits_of(
    folder: SweepFolder,
    config: SweepConfig,
    rates: RatesOfCells,
    own: Mapping[CellLabels, Mapping[TestSetName, float]],
) -> Edits:
    """Return the edits and the rewritten test sets of a sweep, in the config's order.

    `rates`: verdicts by problem of each cell, those of edited models and of bases among them. `own`: pass@1 of edited
    models on the problem that each was edited from.
    """
    editors = {
        name: EditorChoice.of(recipe.trainer, recipe.edit)
        for name, recipe in config.recipes.items()
        if edits(recipe.trainer)
    }
    rewriters = [name for name, recipe in config.recipes.items() if rewrites(recipe.trainer)]
    order = order_of(config)
    pairs = list(order.pairs)

    def place(row: GridRow) -> tuple[int, int, int, int, int]:
        pair = pairs.index(row.training_set) if row.training_set in order.pairs else -1
        test = order.perturbations.index(row.perturbation)
        return order.models.index(row.model), order.place_of_recipe(row.recipe), row.seed, pair, test

    return EditReader(folder.store, sorted(folder.grid(), key=place), rates, own, order.pairs).edits(editors, rewriters)


def edit_scores(edits: Edits) -> list[Score]:
    found: list[ReportedEdit | RewrittenPrompts] = [*edits.made, *edits.transferred, *edits.rewritten]
    return [
        Score(
            one.cell.model,
            one.cell.recipe,
            one.cell.training_set,
            one.cell.seed,
            one.problem_set,
            perturbation,
            number.metric,
            number.value,
            number.low,
            number.high,
            number.n,
            number.note,
        )
        for one in found
        for perturbation, number in one.measurements()
    ]


class EditReader:
    """Reads the edits of a sweep; see `edits_of`."""

    def __init__(
        self,
        store: Store,
        grid: Iterable[GridRow],
        rates: RatesOfCells,
        own: Mapping[CellLabels, Mapping[TestSetName, float]],
        pairs: Mapping[str, str],
    ) -> None:
        self._store, self._rates, self._own, self._pairs = store, rates, own, pairs
        self._cells: dict[CellLabels, list[GridRow]] = {}
        for row in grid:
            self._cells.setdefault(row.labels, []).append(row)
        self._bases = {cell.model: by_test for cell, by_test in rates.items() if cell.training_set == BASE}

    def edits(self, editors: Mapping[str, EditorChoice], rewriters: Sequence[str]) -> Edits:
        made, transferred = [], list[ReportedEdit]()
        for cell, rows in self._cells.items():
            if cell.recipe in editors:
                made.append(edit := self._edit(cell, rows, editors[cell.recipe]))
                transferred += self._transfers(edit, rows)
        rewritten = [
            self._rewritten(cell, row)
            for cell, rows in self._cells.items()
            if cell.recipe in rewriters
            for row in rows
            if not row.test_draw
        ]
        return Edits(made, rewritten, transferred)

    def _edit(self, cell: CellLabels, rows: Sequence[GridRow], editor: EditorChoice) -> ReportedEdit:
        first = rows[0]
        category = (first.problem_set, self._pairs[cell.training_set])
        ended = end_of(first, self._store)
        of_model = self._store.counts(first.weights) if first.weights is not None else {}
        is_made = bool(of_model) and not ended
        pairs: Sequence[PromptPair] = ()
        if first.prompt_pair is not None and self._store.has(first.prompt_pair):
            pairs = self._store.rows(first.prompt_pair, PromptPair)
        of_pair = self._store.counts(first.prompt_pair) if first.prompt_pair is not None else {}
        return ReportedEdit(
            cell=cell,
            problem_set=category[0],
            perturbation=category[1],
            editor=editor.editor,
            edit_at=editor.edit_at,
            settings=editor.settings,
            ended=ended,
            task_ids=edited_problems(first, self._store),
            eligible=None if of_pair.get("eligible") is None else int(of_pair["eligible"]),
            work=work_of(of_model) if is_made else None,
            pairs=pairs,
            which=cell.training_set.removeprefix(f"{category[0]}-{category[1]}-"),
            localization=localization_of(first.weights, self._store) if is_made and first.weights is not None else (),
            base=self._base(cell.model, category),
            clean=self._of(cell, (category[0], CLEAN)),
            perturbed=self._of(cell, category),
            repaired=self._own.get(cell, {}).get(category, math.nan),
        )

    def _transfers(self, edit: ReportedEdit, rows: Sequence[GridRow]) -> Iterator[ReportedEdit]:
        """Yield a record of an edit for each other category on which its model was evaluated."""
        own = (CLEAN, edit.perturbation)
        for row in (row for row in rows if row.perturbation not in own and not row.test_draw):
            category = (row.problem_set, row.perturbation)
            base, perturbed = self._base(edit.cell.model, category), self._of(edit.cell, category)
            if perturbed:
                other = replace(edit, perturbation=row.perturbation, base=base, perturbed=perturbed, from_others=True)
                yield replace(other, pairs=(), localization=(), repaired=math.nan)

    def _rewritten(self, cell: CellLabels, row: GridRow) -> RewrittenPrompts:
        category = (row.problem_set, row.perturbation)
        reasons = dict(self._store.counts(row.test_set).get(REASONS) or {})
        base = self._base(cell.model, category)
        return RewrittenPrompts(cell, *category, reasons, base, self._of(cell, category))

    def _base(self, model: str, category: TestSetName) -> BaseRates:
        of_model = self._bases.get(model, {})
        names = ((category[0], CLEAN), category)
        clean, perturbed = (of_model[name].rates if name in of_model else {} for name in names)
        return BaseRates(clean, perturbed)

    def _of(self, cell: CellLabels, name: TestSetName) -> Rates:
        by_test = self._rates.get(cell, {})
        return by_test[name].rates if name in by_test else {}
