"""Builds the tables of code quality: scores, tiers and codes by model and training set.

Messages are counted for 100 files. A training set of a large sweep has few files in the sample, so each table says how
many, and has groups of training sets too. Base models are a stratum of their own and in no group with others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.records import Field, Rows, record_table
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.quality.reports import CellReports, LintedStratum, LintReports
from raysweep.quality.sampling import TUNED
from raysweep.quality.summary import GroupSummary, code_table, pool, summarise
from raysweep.quality.taxonomy import CAUSED_BY_CUTTING, Severity, Tier, tiers
from raysweep.records import BASE, CLEAN
from raysweep.units import count, decimal

TUNED_MODELS = "all fine-tuned"
"""The row of all training sets of a model."""
CUTTING = "by cutting"
"""The column of messages that only cutting out files causes."""
NO_FILE = "no completion of it is in the sample"
NOT_LINTED = "the linter reached no end with any file of it"
_MESSAGES = "messages per 100 files"
STUB = ("model", "training set")
ALL_MODELS = "all models"
PERTURBED = "perturbed"
"""The group of all training sets with perturbed rows."""


@dataclass(frozen=True)
class FileGroup:
    """The files of some training sets, as one column or row. `name`: its heading."""

    name: str
    training_sets: tuple[str, ...]


@dataclass(frozen=True)
class LintedModel:
    """A base model under one recipe, with all its seeds; `ALL_MODELS` has all. The base itself belongs to each."""

    label: str
    cells: tuple[CellReports, ...]  # of one problem set

    def summary(self, group: FileGroup) -> GroupSummary:
        return summarise(group.name, self.reports(group))

    def reports(self, group: FileGroup) -> LintReports:
        return pool(cell for cell in self.cells if cell.training_set in group.training_sets)


def linted_models(cells: Sequence[CellReports], problems: str, order: Order) -> list[LintedModel]:
    cells_of_set = [cell for cell in cells if cell.problem_set == problems]
    models = []
    names = dict.fromkeys((*order.models, *(cell.model for cell in cells_of_set)))
    for name in names:
        of_model = [cell for cell in cells_of_set if cell.model == name]
        bases = [cell for cell in of_model if cell.training_set == BASE]
        recipes = dict.fromkeys(cell.recipe for cell in of_model if cell.training_set != BASE)
        for recipe in recipes or ([""] if bases else []):
            tuned = [cell for cell in of_model if cell.training_set != BASE and cell.recipe == recipe]
            label = f"{name} · {recipe}" if len(recipes) > 1 else name
            models.append(LintedModel(label, (*bases, *tuned)))
    return [*([LintedModel(ALL_MODELS, tuple(cells_of_set))] if len(models) > 1 else []), *models]


def training_groups(order: Order) -> tuple[FileGroup, ...]:
    """Return the groups of the study's table 14: base, clean, the widest mix on all rows, and all perturbed sets."""
    trained = order.trained_with
    clean = tuple(name for name in trained if trained[name] == CLEAN)
    perturbed = tuple(name for name in trained if trained[name] != CLEAN)
    whole = {trained[name]: name for name in reversed(perturbed) if name not in order.partial}
    mix = next((FileGroup(whole[name], (whole[name],)) for name in order.mixes if name in whole), None)
    groups = [FileGroup(BASE, (BASE,)), FileGroup(CLEAN, clean), *([mix] if mix else [])]
    groups += [FileGroup(PERTURBED, perturbed)] if len(perturbed) > 1 or mix is None else []
    return tuple(group for group in groups if group.training_sets)


def quality_tables(cells: Sequence[CellReports], strata: Sequence[LintedStratum], order: Order) -> list[Table]:
    """Return the tables of scores and of tiers, by problem set; none if nothing was linted."""
    return [
        table
        for problems in problem_sets_of(cells, order)
        for table in (score_table(cells, strata, order, problems), tier_table(cells, order, problems))
    ]


def problem_sets_of(cells: Sequence[CellReports], order: Order) -> list[str]:
    there = dict.fromkeys(cell.problem_set for cell in cells)
    return [name for name in dict.fromkeys((*order.problem_sets, *there)) if name in there]


def score_table(cells: Sequence[CellReports], strata: Sequence[LintedStratum], order: Order, problems: str) -> Table:
    fields: list[Field[GroupSummary]] = [
        Field("files", lambda summary: TableCell.counted(summary.files)),
        Field("mean score", _mean_cell),
        Field("no score", _unscored),
        *(
            Field[GroupSummary](severity.name.lower(), partial(_of_severity, severity), group=_MESSAGES)
            for severity in Severity
        ),
        Field(CUTTING, _by_cutting, group=_MESSAGES),
    ]
    of_set = [stratum for stratum in strata if stratum.problem_set == problems]
    parts = [
        f"{one.files:,} of {one.population:,} completions of {'fine-tuned' if one.name == TUNED else 'base'} models"
        for one in of_set
    ]
    lost = sum(one.cells_without for one in of_set)
    without = f"; of {count(lost, 'cell')} no file could be linted" if lost else ""
    sample = f"A simple random sample: {' and '.join(parts)} (sample 0, clean prompts){without}." if parts else ""
    sample += f" Linted by {of_set[0].linter}." if parts and of_set[0].linter else ""
    caption = (
        f"{sample} The score is pylint's, of 10, for files that have one: a file that can't be parsed has none. "
        "Brackets are 95 % intervals of the mean over files, taken as a random sample of very many. Messages that only "
        f"cutting out files causes ({', '.join(CAUSED_BY_CUTTING)}) are listed apart, but count in the score."
    )
    title, rows = f"Code quality on {problems}", _summaries(cells, order, problems)
    return record_table(title, caption, STUB, rows, fields, row_words=order.training_words)


def tier_table(cells: Sequence[CellReports], order: Order, problems: str) -> Table:
    rows = _summaries(cells, order, problems)
    shown = [tier for tier in tiers() if any(row[None].tiers[tier] > 0 for _, row in rows)]
    fields: list[Field[GroupSummary]] = [
        Field("files", lambda summary: TableCell.counted(summary.files)),
        *(Field[GroupSummary](tier.name, partial(_of_tier, tier), group=tier.severity.name.lower()) for tier in shown),
    ]
    caption = (
        "Tiers of pylint's codes are those of the study's table 12, and of raysweep's reading of it for codes that it "
        "doesn't name. Messages that only cutting out files causes are left out."
    )
    title = f"pylint messages by tier on {problems} (per 100 files)"
    return record_table(title, caption, STUB, rows, fields, row_words=order.training_words)


def _summaries(cells: Sequence[CellReports], order: Order, problems: str) -> Rows[GroupSummary]:
    return [
        ((model.label, group.name), {None: model.summary(group)})
        for model in linted_models(cells, problems, order)
        for group in _row_groups(model, order)
    ]


def code_count_table(
    cells: Sequence[CellReports],
    groups: Sequence[FileGroup],
    order: Order,
    problems: str,
    *,
    title: str,
    caption: str = "",
    label: str = "",
) -> Table:
    """A column a group, a block of rows a model: the study's tables 14 to 16, by training sets, ratios and sizes."""
    rows: list[Row] = []
    words: dict[str, str] = {}
    for model in linted_models(cells, problems, order):
        summaries = [model.summary(group) for group in groups]
        rows.append(Row((model.label, "files", ""), tuple(TableCell.counted(summary.files) for summary in summaries)))
        rows.append(Row((model.label, "mean score", ""), tuple(_mean_cell(summary) for summary in summaries)))
        for code in code_table(summaries):
            words[code.code] = code.symbol
            note = f"{code.code}: {CAUSED_BY_CUTTING[code.code]}" if code.caused_by_cutting else ""
            tier = f"{code.tier.severity.name.lower()}, {code.tier.name}"
            cells_of = tuple(_per_100(value, note) for value in code.per_100_files)
            rows.append(Row((model.label, code.code, tier), cells_of))
    order_text = "Most frequent codes first; at the end those that only cutting out files causes."
    return Table(
        title,
        f"{caption} {order_text} The mean score is of 10.".strip(),
        ("model", "code", "tier"),
        tuple(Column(group.name) for group in groups),
        tuple(rows),
        words,
        order.training_words,
        label,
    )


def _row_groups(model: LintedModel, order: Order) -> list[FileGroup]:
    there = {cell.training_set for cell in model.cells}
    if model.label == ALL_MODELS:
        groups = training_groups(order)
        return [group for group in groups if there & set(group.training_sets)]
    sets = [name for name in dict.fromkeys((BASE, *order.trained_with, *sorted(there))) if name in there]
    tuned = tuple(name for name in sets if name != BASE)
    return [
        *(FileGroup(name, (name,)) for name in sets),
        *([FileGroup(TUNED_MODELS, tuned)] if len(tuned) > 1 else []),
    ]


def _unscored(summary: GroupSummary) -> TableCell:
    reasons = ", ".join(f"{number} {reason}" for reason, number in summary.unscored.items())
    return TableCell.counted(sum(summary.unscored.values()), f"without a score: {reasons}" if reasons else "")


def _of_severity(severity: Severity, summary: GroupSummary) -> TableCell:
    return _per_100(summary.severities[severity], files=summary.files)


def _of_tier(tier: Tier, summary: GroupSummary) -> TableCell:
    return _per_100(summary.tiers[tier], files=summary.files)


def _by_cutting(summary: GroupSummary) -> TableCell:
    cutting = sum(code.per_100_files for code in summary.cutting_codes) if summary.linted else math.nan
    return _per_100(cutting, files=summary.files)


def _mean_cell(summary: GroupSummary) -> TableCell:
    if math.isnan(summary.mean_score):
        return TableCell.dash("no file with a score" if summary.files else NO_FILE)
    low, high = summary.interval
    interval = "" if math.isnan(low) else f"[{decimal(low, 2)}, {decimal(high, 2)}]"
    return TableCell.number(summary.mean_score, decimal(summary.mean_score, 2), interval=interval, low=low, high=high)


def _per_100(value: float, note: str = "", files: int = 0) -> TableCell:
    if math.isnan(value):
        return TableCell.dash(NOT_LINTED if files else NO_FILE)
    return TableCell.number(value, decimal(value), note)
