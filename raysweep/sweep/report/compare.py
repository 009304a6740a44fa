"""Compares sweeps: cell by cell, with printed numbers, or twins that differ in one setting.

Only the verdicts by problem are read, which an analysis has written into each sweep's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName, rates_of
from raysweep.analysis.comparisons.sums import PartRates
from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.published.reference import (
    COMPARABLE,
    SOURCES,
    citation,
    published_averages,
    published_claims,
    published_scores,
)
from raysweep.analysis.published.sums import without_doubles
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.pooling import SeedGroups, have_several_seeds, scores_over_seeds
from raysweep.analysis.tables.printed_averages import SweptSums, averages_table
from raysweep.analysis.tables.table import Table
from raysweep.analysis.tables.twin_tables import Twins, published_table, twin_tables
from raysweep.config.changes import changes_in_words
from raysweep.config.models import AROUND, ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName, UsageError
from raysweep.hashing import canonical_json
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE, CLEAN, PromptRow, Score
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report.answers import SweepAnswers
from raysweep.sweep.report.facts import choices, trainings
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import limit_text
from raysweep.units import count

NAMES = ("name", "resources", "accelerator", "pin_group", "recipes", "sets")
"""Settings of a model that don't change what it says."""
DECODING = ("max_new_tokens", "samples", "temperature", "top_p", "beams", "early_stopping", "generator")
"""Settings of an evaluation that say how completions are drawn."""
ELSEWHERE = ("pairs", "audit", "batch_tokens", "quality", "perturbations")
"""Settings of an evaluation that change no verdict of a cell."""

V = TypeVar("V")

Prompts = Mapping[str, Mapping[str, str]]
"""Clean prompts by problem set and task id."""


@dataclass(frozen=True)
class JudgedCell:
    """A cell of a sweep with its verdicts. `prompts`: the sweep's clean prompts, by problem set and task id."""

    sweep: str
    config: SweepConfig
    labels: CellLabels
    rates: Mapping[TestSetName, ProblemRates]
    prompts: Prompts

    @property
    def model(self) -> ModelConfig:
        return next(model for model in self.config.models if model.name == self.labels.model)

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


def compared(
    sweep: str, other: str | None, by: str | None, storage: str | None, *, each_seed: bool = False
) -> list[Table]:
    """Return the tables of `raysweep compare`; raise UsageError for unknown names, or if there is nothing to compare.

    `other`: another sweep's, or a study's with printed numbers; None: only twins in `sweep` are looked for. `by`: the
    setting in which twins differ; None: equal cells of both are compared.
    """
    folder = open_folder(sweep, storage)
    if other is None and by is None:
        raise UsageError(
            "name what to compare with: another sweep, `paper`, `fait`, `apr`, or --by precision|recipe|decoding"
        )
    if by is not None and other in SOURCES:
        raise UsageError(f"--by compares verdicts, and {other} has printed numbers only; leave one of both out")
    if other == sweep and other not in SOURCES:  # a sweep may have the name of the study that it repeats
        raise UsageError(
            f"{sweep!r} is compared with itself; name another sweep, `paper`, `fait`, `apr`, or --by for matched "
            "models in it"
        )
    others = [open_folder(other, storage, SOURCES)] if other and other not in SOURCES else []
    if by is not None:
        tables = compare_twins([folder, *others], by, each_seed=each_seed)
    elif others:
        tables = compare_sweeps(folder, *others, each_seed=each_seed)
    else:
        tables = compare_with_study(folder, str(other), each_seed=each_seed)
    signatures = {swept.name: text for swept in (folder, *others) if (text := SavedNumbers(swept).signature())}
    signature = ". ".join(f"{name}: {text}" for name, text in signatures.items())
    return [replace(table, signature=signature) for table in tables]


def compare_sweeps(first: SweepFolder, second: SweepFolder, *, each_seed: bool = False) -> list[Table]:
    """Compare the cells that two sweeps share; raise UsageError if they share no cell or problem, or lack verdicts."""
    cells = {cell.labels: cell for cell in judged_cells(first)}
    others = {cell.labels: cell for cell in judged_cells(second)}
    shared = [(cell, others[labels]) for labels, cell in cells.items() if labels in others]
    twins = [_twins(*both) for both in shared]
    tables = twin_tables(twins, first.name, second.name, each_seed=each_seed)
    if not tables:
        what = "problem" if twins else "cell (model, recipe, training set and seed)"
        facts = _problems_in_words if twins else _cells_in_words
        by_id = [Twins(cell.label, cell.rates, other.rates) for cell, other in shared]
        prompts_differ = bool(twin_tables(by_id, first.name, second.name))
        raise UsageError(
            f"the sweeps {first.name!r} and {second.name!r} have no {what} in common: {first.name} has "
            f"{facts(list(cells.values()))}; {second.name} has {facts(list(others.values()))}"
            + (", and problems of one id have other prompts there" if prompts_differ else "")
        )
    changes = changes_in_words(first.config(), second.config())
    also = f" From {first.name} to {second.name}: {changes}." if changes else ""
    return [replace(table, caption=f"{table.caption}{also}") for table in tables]


def compare_with_study(folder: SweepFolder, study: str, *, each_seed: bool = False) -> list[Table]:
    """Return the tables of a sweep's scores and averages beside the numbers that a study printed, and of its claims.

    Raises UsageError if the sweep has none of the study's models, training sets and test sets, and none of its recipes.
    """
    if not published_scores(study):
        return _compared_with_claims(folder, study)
    printed, limit = published_scores(study), limit_text(folder.config())
    scores = SavedNumbers(folder).scores()
    scores = scores if each_seed else _over_seeds(folder, scores)
    tables = [published_table(scores, printed, citation(study), limit)]
    if averages := published_averages(study):
        sweep = _swept_sums(folder, {name for one in averages for name in (one.recipe, one.baseline)})
        if any(cell.training_set != BASE for cell in sweep.cells):
            tables.append(averages_table(averages, without_doubles(printed), sweep, citation(study), limit))
    if published_claims(study):
        with suppress(NothingToDraw):
            tables += _claims(folder, study)
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


def _compared_with_claims(folder: SweepFolder, study: str) -> list[Table]:
    try:
        return _claims(folder, study)
    except NothingToDraw as reason:
        raise UsageError(f"the sweep {folder.name!r} can't be compared with {study!r}: {reason}") from None


def _claims(folder: SweepFolder, study: str) -> list[Table]:
    config = folder.config()
    evidence = Evidence(
        ScoreFrame.of(SavedNumbers(folder).scores(), order_of(config)),
        trainings=trainings(folder, config),
        answers=SweepAnswers(folder),
        choices=choices(folder),
    )
    exhibit = next(one for one in read_exhibits().values() if getattr(one, "study", None) == study)
    tables, limit = exhibit.draw(evidence).tables, limit_text(config)
    return [
        replace(table, caption=f"{table.caption} The sweep is limited: {limit}" if limit else table.caption)
        for table in tables
    ]


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


def compare_twins(folders: Sequence[SweepFolder], by: str, *, each_seed: bool = False) -> list[Table]:
    """Return tables of the cells that differ in one setting only, side by side; raise UsageError without any.

    `folders`: twins may come from two of them. `by`: ``precision``, ``recipe`` or ``decoding``.
    """
    if by not in FIELDS:
        raise UnknownName("field", by, sorted(FIELDS))
    groups: dict[str, dict[str, JudgedCell]] = {}
    for cell in (cell for folder in folders for cell in judged_cells(folder)):
        if (described := _described(cell, by)) is not None:
            value, rest = map(canonical_json, described)
            groups.setdefault(rest, {}).setdefault(value, cell)
    pairs: dict[tuple[str, str], list[Twins]] = {}
    for twins in groups.values():
        for first, second in combinations(sorted(twins.values(), key=FIELDS[by].words), 2):
            twin = _twins(first, second) if len(folders) == 1 else _placed(_twins(first, second), first, second)
            pairs.setdefault(_unlike(first, second, FIELDS[by].words), []).append(twin)
    tables = [
        table for values, alike in sorted(pairs.items()) for table in twin_tables(alike, *values, each_seed=each_seed)
    ]
    if not tables:
        names = " and ".join(repr(folder.name) for folder in folders)
        raise UsageError(f"no two models of {names} differ in {by} only; {FIELDS[by].hint}")
    return tables


@dataclass(frozen=True)
class TwinField:
    """A setting that twins may differ in."""

    words: Callable[[JudgedCell], str]  # returns a cell's value of it
    hint: str  # says what a sweep with such twins has
    model: tuple[str, ...] = ()  # settings of a model that belong to it
    recipe: tuple[str, ...] | None = ()  # settings of a recipe; None: all of them
    decoding: bool = False  # whether the settings of decoding belong to it


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
        cells.append(JudgedCell(folder.name, config, labels, rates_of(rows), clean))
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


def _twins(first: JudgedCell, second: JudgedCell) -> Twins:
    return Twins(first.label, first.rates, same_problems(second.rates, second.prompts, first.prompts), first.alike)


def _placed(twins: Twins, first: JudgedCell, second: JudgedCell) -> Twins:
    """Return twins that were looked for in several sweeps, with the names of theirs: cells of two are no two seeds."""
    where = f" ({first.sweep})" if first.sweep == second.sweep else f" ({first.sweep}, {second.sweep})"
    return replace(twins, label=f"{twins.label}{where}", alike=f"{twins.alike}{where}")


def _clean_prompts(folder: SweepFolder) -> dict[str, dict[str, str]]:
    clean = {row.problem_set: row.test_set for row in folder.grid() if row.perturbation == CLEAN}
    return {
        name: {row.task_id: row.clean_prompt for row in folder.store.rows(test_set, PromptRow)}
        for name, test_set in clean.items()
        if folder.store.has(test_set)
    }


def _described(cell: JudgedCell, by: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return a cell's value of a setting, and all else that makes its verdicts; None where it has no such setting."""
    field, config, labels = FIELDS[by], cell.config, cell.labels
    is_base = labels.training_set == BASE
    if is_base and field.recipe is None:
        return None
    everything = config.model_dump(mode="json", include={"execution", "language", "perturbations", "strengths", "seed"})
    everything["evaluation"] = config.evaluation.model_dump(mode="json", exclude={*DECODING, *ELSEWHERE})
    everything["model"] = cell.model.model_dump(mode="json", exclude={*NAMES})
    if cell.model.pretrain:
        everything["pre-trained by"] = config.recipes[cell.model.pretrain.recipe].model_dump(mode="json")
    decoding = config.evaluation.model_dump(mode="json", include={*DECODING})
    recipe: dict[str, Any] = {}
    if not is_base:
        sets = config.training.sets if config.training is not None else ()
        trained_on = next((choice for choice in sets if choice.name == labels.training_set), None)
        if config.training is None or trained_on is None:
            everything["training set"] = labels.training_set  # an edit example
        else:
            everything["training"] = config.training.model_dump(mode="json", include={"decontaminate"})
            rows = config.training.source_of(labels.training_set).rows
            everything["rows"] = rows.model_dump(mode="json")
            teacher = rows.rejected.teacher if rows.rejected else None
            everything["taught by"] = [
                model.model_dump(mode="json", exclude={*NAMES}) for model in config.models if model.name == teacher
            ]
            everything["training set"] = trained_on.model_dump(mode="json", exclude={"source"})
        everything["trained with seed"] = labels.seed
        recipe = _settings_of(config, labels.recipe)
    belongs = set(recipe) if field.recipe is None else set(field.recipe)
    value = {name: everything["model"].pop(name) for name in field.model}
    value["recipe"] = {name: setting for name, setting in recipe.items() if name in belongs}
    everything["recipe"] = {name: setting for name, setting in recipe.items() if name not in belongs}
    (value if field.decoding else everything)["decoding"] = decoding
    return value, everything


def _settings_of(config: SweepConfig, name: str) -> dict[str, Any]:
    """Return what a recipe says of training; of a group from which one is chosen, lists where its recipes differ."""
    named = [recipe for key, recipe in config.recipes.items() if name in (key, recipe.group)]
    each = [recipe.model_dump(mode="json", exclude={*AROUND}) for recipe in named]
    return {
        key: value if all(one[key] == value for one in each) else [one[key] for one in each]
        for key, value in each[0].items()
    }


def _unlike(first: JudgedCell, second: JudgedCell, words: Callable[[JudgedCell], str]) -> tuple[str, str]:
    if words(first) != words(second):
        return words(first), words(second)
    return f"{words(first)} ({first.sweep})", f"{words(second)} ({second.sweep})"


def _precision(cell: JudgedCell) -> str:
    loaded = ", ".join(filter(None, [cell.model.dtype, cell.model.quantize]))
    if cell.labels.training_set == BASE:
        return loaded
    trained = _settings_of(cell.config, cell.labels.recipe)["precision"]
    return loaded if trained == cell.model.dtype else f"{loaded}, trained in {trained}"


def _decoding(cell: JudgedCell) -> str:
    evaluation, generator = cell.config.evaluation, cell.config.evaluation.generator.name
    drawn = f"temperature {evaluation.temperature:g}, top_p {evaluation.top_p:g}"
    if evaluation.temperature == 0:
        drawn = evaluation.searched
    return f"{drawn}, {count(evaluation.samples, 'sample')}, {evaluation.max_new_tokens:,} tokens, {generator}"


FIELDS: Mapping[str, TwinField] = {
    "precision": TwinField(
        _precision,
        "give two models of one `path` another `dtype` or `quantize`, or recipes of another `precision`",
        model=("dtype", "quantize"),
        recipe=("precision",),
    ),
    "recipe": TwinField(lambda cell: cell.labels.recipe, "give a model two `recipes`", recipe=None),
    "decoding": TwinField(_decoding, "name two sweeps that differ in `evaluation.temperature`", decoding=True),
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
