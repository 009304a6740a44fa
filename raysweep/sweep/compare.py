"""Compares sweeps: cell by cell, with printed numbers, or twins that differ in one setting.

Only the verdicts by problem are read, which an analysis has written into each sweep's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName, rates_of
from raysweep.analysis.published.reference import SOURCES, citation, published_scores
from raysweep.analysis.table import Table
from raysweep.analysis.twin_tables import Twins, published_table, twin_tables
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName, UsageError
from raysweep.hashing import canonical_json
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.units import count

NAMES = ("name", "resources", "accelerator", "pin_group", "recipes")
"""Settings of a model that don't change what it says."""


@dataclass(frozen=True)
class JudgedCell:
    """A cell of a sweep with its verdicts."""

    config: SweepConfig
    labels: CellLabels
    rates: Mapping[TestSetName, ProblemRates]

    @property
    def label(self) -> str:
        """The cell in words: ``llama · full · C1 · seed 42``."""
        one = self.labels
        if one.training_set == BASE:
            return f"{one.model} · {BASE}"
        return f"{one.model} · {one.recipe} · {one.training_set} · seed {one.seed}"


def compared(sweep: str, other: str | None, by: str | None, storage: str | None) -> list[Table]:
    """Return the tables of `raysweep compare`.

    Args:
        sweep: a sweep's name.
        other: another sweep's, or a study's with printed numbers; None: only twins in `sweep` are looked for.
        by: the setting in which twins differ; None: equal cells of both are compared.
        storage: the store of the sweeps; None: the default one.

    Raises:
        UsageError: a name is unknown, or there is nothing to compare.
    """
    folder = open_folder(sweep, storage)
    if by is not None:
        return compare_twins([folder, *([open_folder(other, storage)] if other else [])], by)
    if other is None:
        raise UsageError("name what to compare with: another sweep, `paper`, or --by precision|recipe|decoding")
    if other in SOURCES:
        return compare_with_study(folder, other)
    return compare_sweeps(folder, open_folder(other, storage))


def compare_sweeps(first: SweepFolder, second: SweepFolder) -> list[Table]:
    """Return tables of the cells that two sweeps have in common, side by side.

    Raises:
        UsageError: they have no cell or no problem in common, or one of them has no verdicts yet.
    """
    cells = {cell.labels: cell for cell in judged_cells(first)}
    others = {cell.labels: cell for cell in judged_cells(second)}
    twins = [Twins(cell.label, cell.rates, others[one].rates) for one, cell in cells.items() if one in others]
    tables = twin_tables(twins, first.name, second.name)
    if not tables:
        what = "problem" if twins else "model"
        facts = _problems_in_words if twins else _cells_in_words
        raise UsageError(
            f"the sweeps {first.name!r} and {second.name!r} have no {what} in common: {first.name} has "
            f"{facts(list(cells.values()))}; {second.name} has {facts(list(others.values()))}"
        )
    return tables


def compare_with_study(folder: SweepFolder, study: str) -> list[Table]:
    """Return the table of a sweep's scores beside the numbers that a study printed.

    Raises:
        UsageError: the sweep has none of the study's models, training sets and test sets.
    """
    printed = published_scores(study)
    table = published_table(folder.scores(), printed, citation(study))
    if not table.rows:
        models, problems = ({getattr(one, name) for one in printed} for name in ("model", "problem_set"))
        raise UsageError(
            f"the sweep {folder.name!r} has no number that the study printed: it needs models named as there "
            f"({', '.join(sorted(models))}), judged on {', '.join(sorted(problems))}; the sweep has "
            f"{_cells_in_words(judged_cells(folder))}"
        )
    return [table]


def compare_twins(folders: Sequence[SweepFolder], by: str) -> list[Table]:
    """Return tables of the cells that differ in one setting only, side by side.

    Args:
        folders: the sweeps to look for twins in; twins may come from two of them.
        by: ``precision``, ``recipe`` or ``decoding``.

    Raises:
        UsageError: there is no such setting, or there are no twins.
    """
    if by not in FIELDS:
        raise UnknownName("field", by, sorted(FIELDS))
    groups: dict[str, list[JudgedCell]] = {}
    for cell in (cell for folder in folders for cell in judged_cells(folder)):
        if (rest := _description(cell, by)) is not None:
            groups.setdefault(canonical_json(rest), []).append(cell)
    pairs: dict[tuple[str, str], list[Twins]] = {}
    for cells in groups.values():
        values = {FIELDS[by].value(cell): cell for cell in reversed(cells)}
        for one, other in _in_pairs(sorted(values)):
            twins = Twins(values[one].label, values[one].rates, values[other].rates)
            pairs.setdefault((one, other), []).append(twins)
    tables = [table for (one, other), twins in sorted(pairs.items()) for table in twin_tables(twins, one, other)]
    if not tables:
        names = " and ".join(repr(folder.name) for folder in folders)
        raise UsageError(f"no two models of {names} differ in {by} only; {FIELDS[by].hint}")
    return tables


@dataclass(frozen=True)
class Field:
    """A setting that twins may differ in.

    Attributes:
        value: returns a cell's value of it in words.
        model: names of the settings of a model that belong to it.
        recipe: names of the settings of a recipe that belong to it; None: all of them.
        decoding: whether the settings of decoding belong to it.
        hint: says what a sweep with such twins has.
    """

    value: Callable[[JudgedCell], str]
    hint: str
    model: tuple[str, ...] = ()
    recipe: tuple[str, ...] | None = ()
    decoding: bool = False


def judged_cells(folder: SweepFolder) -> list[JudgedCell]:
    """Return the cells of a sweep with their verdicts; raise UsageError if it has none yet."""
    config = folder.config()
    cells = []
    for rows in folder.problems_by_cell():
        one = rows[0]
        cells.append(JudgedCell(config, CellLabels(one.model, one.recipe, one.training_set, one.seed), rates_of(rows)))
    if not cells:
        raise UsageError(
            f"the sweep {folder.name!r} has no verdicts by problem yet; `raysweep report {folder.name}` writes those "
            "of the cells that have ended"
        )
    return cells


def _description(cell: JudgedCell, by: str) -> dict[str, Any] | None:
    """Return all that makes a cell but one setting; None where the setting means nothing for the cell."""
    field, config, labels = FIELDS[by], cell.config, cell.labels
    model = next(model for model in config.models if model.name == labels.model)
    described: dict[str, Any] = {"training_set": labels.training_set}
    described["model"] = model.model_dump(mode="json", exclude={*NAMES, *field.model})
    if labels.training_set == BASE:
        if field.recipe is None:
            return None
    else:
        recipe = config.recipes[labels.recipe].model_dump(mode="json", exclude={"resources"})
        described["seed"] = labels.seed
        if field.recipe is not None:
            described["recipe"] = {name: value for name, value in recipe.items() if name not in field.recipe}
    if not field.decoding:
        described["decoding"] = asdict(config.evaluation.decoding(config.seed))
        described["generator"] = config.evaluation.generator.model_dump(mode="json")
    return described


def _precision(cell: JudgedCell) -> str:
    model = next(model for model in cell.config.models if model.name == cell.labels.model)
    if cell.labels.training_set == BASE:
        return model.dtype
    trained = cell.config.recipes[cell.labels.recipe].precision
    return model.dtype if trained == model.dtype else f"{model.dtype}, trained in {trained}"


def _decoding(cell: JudgedCell) -> str:
    one, generator = cell.config.evaluation, cell.config.evaluation.generator.name
    drawn = f"temperature {one.temperature:g}, top_p {one.top_p:g}" if one.temperature else "greedy"
    return f"{drawn}, {count(one.samples, 'sample')}, {one.max_new_tokens:,} tokens, {generator}"


FIELDS: Mapping[str, Field] = {
    "precision": Field(
        _precision,
        "give two models of one `path` another `dtype` or recipes of another `precision`",
        model=("dtype",),
        recipe=("precision",),
    ),
    "recipe": Field(lambda cell: cell.labels.recipe, "give a model two `recipes`", recipe=None),
    "decoding": Field(_decoding, "name two sweeps that differ in `evaluation.temperature`", decoding=True),
}


def _in_pairs(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(one, other) for number, one in enumerate(values) for other in values[number + 1 :]]


def _problems_in_words(cells: Sequence[JudgedCell]) -> str:
    tasks: dict[str, set[str]] = {}
    for cell in cells:
        for (problem_set, _), rates in cell.rates.items():
            tasks.setdefault(problem_set, set()).update(rates.rates)
    return ", ".join(f"{name} ({count(len(found), 'problem')})" for name, found in sorted(tasks.items()))


def _cells_in_words(cells: Sequence[JudgedCell]) -> str:
    models = dict.fromkeys(cell.labels.model for cell in cells)
    sets = dict.fromkeys(cell.labels.training_set for cell in cells)
    return f"the models {', '.join(models)} on the training sets {', '.join(sets)}"
