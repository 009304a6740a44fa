"""Compares a sweep with another one, cell by cell, or with printed numbers.

Only the verdicts by problem are read, which an analysis has written into each sweep's folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName, rates_of
from raysweep.analysis.comparisons.sums import PartRates
from raysweep.analysis.published.reference import (
    COMPARABLE,
    SOURCES,
    citation,
    published_averages,
    published_scores,
)
from raysweep.analysis.published.sums import without_doubles
from raysweep.analysis.tables.compared_tables import ComparedCells, compared_tables, published_table
from raysweep.analysis.tables.pooling import SeedGroups, have_several_seeds, scores_over_seeds
from raysweep.analysis.tables.printed_averages import SweptSums, averages_table
from raysweep.analysis.tables.table import Table
from raysweep.config.changes import changes_in_words
from raysweep.errors import UsageError
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE, CLEAN, PromptRow, Score
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report.answers import SweepAnswers
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import limit_text
from raysweep.units import count

V = TypeVar("V")

Prompts = Mapping[str, Mapping[str, str]]
"""Clean prompts by problem set and task id."""


@dataclass(frozen=True)
class JudgedCell:
    """A cell of a sweep with its verdicts. `prompts`: the sweep's clean prompts, by problem set and task id."""

    labels: CellLabels
    rates: Mapping[TestSetName, ProblemRates]
    prompts: Prompts

    @property
    def label(self) -> str:
        """The cell in words: ``llama · full · C1 · seed 42``."""
        return self.alike if self.labels.training_set == BASE else f"{self.alike} · seed {self.labels.seed}"

    @property
    def alike(self) -> str:
        labels = self.labels
        return " · ".join(
            (labels.model, *([] if labels.training_set == BASE else [labels.recipe]), labels.training_set)
        )


def compared(sweep: str, other: str, storage: str | None, *, each_seed: bool = False) -> list[Table]:
    """Return the tables of `raysweep compare`; raise UsageError for unknown names, or if there is nothing to compare.

    `other`: another sweep's name, or that of a study with printed numbers.
    """
    folder = open_folder(sweep, storage)
    if other == sweep and other not in SOURCES:  # a sweep may have the name of the study that it repeats
        raise UsageError(f"{sweep!r} is compared with itself; name another sweep, or {' or '.join(SOURCES)}")
    others = [] if other in SOURCES else [open_folder(other, storage, SOURCES)]
    if others:
        tables = compare_sweeps(folder, *others, each_seed=each_seed)
    else:
        tables = compare_with_study(folder, other, each_seed=each_seed)
    signatures = {swept.name: text for swept in (folder, *others) if (text := SavedNumbers(swept).signature())}
    signature = ". ".join(f"{name}: {text}" for name, text in signatures.items())
    return [replace(table, signature=signature) for table in tables]


def compare_sweeps(first: SweepFolder, second: SweepFolder, *, each_seed: bool = False) -> list[Table]:
    """Compare the cells that two sweeps share; raise UsageError if they share no cell or problem, or lack verdicts."""
    cells = {cell.labels: cell for cell in judged_cells(first)}
    others = {cell.labels: cell for cell in judged_cells(second)}
    shared = [(cell, others[labels]) for labels, cell in cells.items() if labels in others]
    pairs = [_compared_cells(*both) for both in shared]
    tables = compared_tables(pairs, first.name, second.name, each_seed=each_seed)
    if not tables:
        what = "problem" if pairs else "cell (model, recipe, training set and seed)"
        facts = _problems_in_words if pairs else _cells_in_words
        by_id = [ComparedCells(cell.label, cell.rates, other.rates) for cell, other in shared]
        prompts_differ = bool(compared_tables(by_id, first.name, second.name))
        raise UsageError(
            f"the sweeps {first.name!r} and {second.name!r} have no {what} in common: {first.name} has "
            f"{facts(list(cells.values()))}; {second.name} has {facts(list(others.values()))}"
            + (", and problems of one id have other prompts there" if prompts_differ else "")
        )
    changes = changes_in_words(first.config(), second.config())
    also = f" From {first.name} to {second.name}: {changes}." if changes else ""
    return [replace(table, caption=f"{table.caption}{also}") for table in tables]


def compare_with_study(folder: SweepFolder, study: str, *, each_seed: bool = False) -> list[Table]:
    """Return the tables of a sweep's scores and averages beside the numbers that a study printed.

    Raises UsageError if the sweep has none of the study's models, training sets and test sets, and none of its recipes.
    """
    printed, limit = published_scores(study), limit_text(folder.config())
    scores = SavedNumbers(folder).scores()
    scores = scores if each_seed else _over_seeds(folder, scores)
    tables = [published_table(scores, printed, citation(study), limit)]
    if averages := published_averages(study):
        sweep = _swept_sums(folder, {name for one in averages for name in (one.recipe, one.baseline)})
        if any(cell.training_set != BASE for cell in sweep.cells):
            tables.append(averages_table(averages, without_doubles(printed), sweep, citation(study), limit))
    shown = [table for table in tables if table.rows]
    if not shown:
        cells = judged_cells(folder)
        models, problems = (sorted({getattr(score, name) for score in printed}) for name in ("model", "problem_set"))
        problems += [name for name, theirs in COMPARABLE.items() if theirs in problems]
        recipes = sorted({one.recipe for one in averages})
        or_recipes = f", or fine-tuned by {' or '.join(recipes)}" if recipes else ""
        raise UsageError(
            f"no model or problem set of the sweep {folder.name!r} has a name that the study uses: expected the models "
            f"{', '.join(models)}, evaluated on {' or '.join(problems)}{or_recipes}; found {_cells_in_words(cells)}, "
            f"evaluated on {_problems_in_words(cells)}"
        )
    if not tables[0].rows:
        why = (
            "No model and problem set of the sweep has a name that the study uses, so its printed scores aren't shown."
        )
        shown = [replace(table, caption=f"{why} {table.caption}") for table in shown]
    return shown


def _over_seeds(folder: SweepFolder, scores: list[Score]) -> list[Score]:
    if not have_several_seeds(scores):
        return scores
    groups = SeedGroups()
    for cell in judged_cells(folder):
        if cell.labels.training_set != BASE:
            groups.add(cell.labels, cell.rates, {})
    return scores_over_seeds(scores, groups.shared)


def _swept_sums(folder: SweepFolder, recipes: Collection[str]) -> SweptSums:
    """Return the rates of a sweep's base models and of those that were fine-tuned by some recipes on clean rows."""
    order, answers = order_of(folder.config()), SweepAnswers(folder)
    sets = [name for name, trained in order.trained_with.items() if trained == CLEAN and name not in order.partial]
    cells: dict[CellLabels, dict[str, PartRates]] = {}
    for row in folder.grid():
        cell = row.labels
        is_asked = cell.training_set == BASE or (cell.recipe in recipes and cell.training_set in sets)
        if is_asked and row.perturbation == CLEAN and (rates := answers.rates(cell, (row.problem_set, CLEAN))):
            cells.setdefault(cell, {})[row.problem_set] = rates
    return SweptSums(cells, sets)


def judged_cells(folder: SweepFolder) -> list[JudgedCell]:
    """Raise UsageError if a sweep has no verdicts yet, or those of another config than its present one."""
    config, clean = folder.config(), _clean_prompts(folder)
    models = {model.name for model in config.models}
    cells = []
    for rows in SavedNumbers(folder).problems_by_cell():
        labels = CellLabels(rows[0].model, rows[0].recipe, rows[0].training_set, rows[0].seed)
        if labels.model not in models or (labels.training_set != BASE and not config.recipe_of(labels.recipe)):
            raise UsageError(
                f"the config of the sweep {folder.name!r} no longer has the model {labels.model} with the recipe "
                f"{labels.recipe}; run `raysweep report {folder.name}` to rewrite its numbers"
            )
        cells.append(JudgedCell(labels, rates_of(rows), clean))
    if not cells:
        raise UsageError(
            f"the sweep {folder.name!r} has no verdicts by problem yet; `raysweep report {folder.name}` writes those "
            "of the cells that have ended"
        )
    return cells


def same_problems(
    rates: Mapping[TestSetName, ProblemRates], ours: Prompts, theirs: Prompts
) -> dict[TestSetName, ProblemRates]:
    """Return one cell's rates without the problems that are other ones in another sweep, though they share the id.

    `ours`: the clean prompts of the cell's sweep, by problem set and task id, as far as they are known.
    """

    def is_same(problem_set: str, task: str) -> bool:
        prompts = ours.get(problem_set, {}).get(task), theirs.get(problem_set, {}).get(task)
        return None in prompts or prompts[0] == prompts[1]

    def kept(problem_set: str, values: Mapping[str, V]) -> dict[str, V]:
        return {task: value for task, value in values.items() if is_same(problem_set, task)}

    return {
        name: replace(
            rate, rates=kept(name[0], rate.rates), clean=kept(name[0], rate.clean), by_draw=kept(name[0], rate.by_draw)
        )
        for name, rate in rates.items()
    }


def _compared_cells(first: JudgedCell, second: JudgedCell) -> ComparedCells:
    return ComparedCells(
        first.label, first.rates, same_problems(second.rates, second.prompts, first.prompts), first.alike
    )


def _clean_prompts(folder: SweepFolder) -> dict[str, dict[str, str]]:
    clean = {row.problem_set: row.test_set for row in folder.grid() if row.perturbation == CLEAN}
    return {
        name: {row.task_id: row.clean_prompt for row in folder.store.rows(test_set, PromptRow)}
        for name, test_set in clean.items()
        if folder.store.has(test_set)
    }


def _problems_in_words(cells: Sequence[JudgedCell]) -> str:
    tasks: dict[str, set[str]] = {}
    for cell in cells:
        for (problem_set, _), rates in cell.rates.items():
            tasks.setdefault(problem_set, set()).update(rates.rates)
    return ", ".join(f"{name} ({count(len(problems), 'problem')})" for name, problems in sorted(tasks.items()))


def _cells_in_words(cells: Sequence[JudgedCell]) -> str:
    models = dict.fromkeys(cell.labels.model for cell in cells)
    sets = dict.fromkeys(cell.labels.training_set for cell in cells)
    tuned = [cell.labels for cell in cells if cell.labels.training_set != BASE]
    recipes, seeds = (
        dict.fromkeys(labels.recipe for labels in tuned),
        dict.fromkeys(str(labels.seed) for labels in tuned),
    )
    trained = f", fine-tuned by {', '.join(recipes)} with seed {', '.join(seeds)}" if tuned else ""
    return f"the models {', '.join(models)} on the training sets {', '.join(sets)}{trained}"
