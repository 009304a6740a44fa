"""Builds the tables of code quality: scores, tiers and codes by model and training set.

Messages are counted for 100 files. A training set of a large sweep has few files in the sample, so each table says how
many, and has groups of training sets too. Base models are a stratum of their own and in no group with others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.analysis.tables.quality_groups import (
    ALL_MODELS,
    FileGroup,
    LintedModel,
    linted_models,
    training_groups,
)
from raysweep.analysis.tables.score_book import Order
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.quality.reports import CellReports, LintedStratum
from raysweep.quality.sampling import TUNED
from raysweep.quality.summary import GroupSummary, code_table
from raysweep.quality.taxonomy import CAUSED_BY_CUTTING, Severity, tiers
from raysweep.records import BASE
from raysweep.units import count, decimal

TUNED_MODELS = "all fine-tuned"
"""The row of all training sets of a model."""
CUTTING = "by cutting"
"""The column of messages that only cutting out files causes."""
NO_FILE = "no completion of it is in the sample"
NOT_LINTED = "the linter reached no end with any file of it"
_MESSAGES = "messages per 100 files"


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
    columns = [Column("files"), Column("mean score"), Column("no score")]
    columns += [Column(severity.name.lower(), _MESSAGES) for severity in Severity]
    rows = [
        Row((model.label, group.name), _score_cells(model.summary(group)))
        for model in linted_models(cells, problems, order)
        for group in _row_groups(model, order)
    ]
    caption = (
        f"{_sample_text(strata, problems)} The score is pylint's, of 10, for files that have one: a file that can't be "
        "parsed has none. Brackets are 95 % intervals of the mean over files, taken as a random sample of very many. "
        f"Messages that only cutting out files causes ({', '.join(CAUSED_BY_CUTTING)}) are listed apart, but count in "
        "the score."
    )
    title = f"Code quality on {problems}"
    columns.append(Column(CUTTING, _MESSAGES))
    return Table(title, caption, ("model", "training set"), tuple(columns), tuple(rows), order.training_words)


def tier_table(cells: Sequence[CellReports], order: Order, problems: str) -> Table:
    rows = [
        (model.label, model.summary(group))
        for model in linted_models(cells, problems, order)
        for group in _row_groups(model, order)
    ]
    shown = [tier for tier in tiers() if any(summary.tiers[tier] > 0 for _, summary in rows)]
    caption = (
        "Tiers of pylint's codes are those of the study's table 12, and of raysweep's reading of it for codes that it "
        "doesn't name. Messages that only cutting out files causes are left out."
    )
    return Table(
        f"pylint messages by tier on {problems} (per 100 files)",
        caption,
        ("model", "training set"),
        (Column("files"), *(Column(tier.name, tier.severity.name.lower()) for tier in shown)),
        tuple(
            Row(
                (label, summary.group),
                (_number(summary.files), *(_per_100(summary.tiers[tier], files=summary.files) for tier in shown)),
            )
            for label, summary in rows
        ),
        order.training_words,
    )


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
        rows.append(Row((model.label, "files", ""), tuple(_number(summary.files) for summary in summaries)))
        rows.append(Row((model.label, "mean score", ""), tuple(_mean_cell(summary) for summary in summaries)))
        for code in code_table(summaries):
            words[code.code] = code.symbol
            note = f"{code.code}: {CAUSED_BY_CUTTING[code.code]}" if code.caused_by_cutting else ""
            tier = f"{code.tier.severity.name.lower()}, {code.tier.name}"
            cells_of = tuple(_per_100(value, note) for value in code.per_100_files)
            rows.append(Row((model.label, code.code, tier), cells_of))
    sentences = [
        caption,
        "Most frequent codes first; at the end those that only cutting out files causes. The mean score is of 10.",
    ]
    return Table(
        title,
        " ".join(filter(None, sentences)),
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


def _sample_text(strata: Sequence[LintedStratum], problems: str) -> str:
    strata_of_set = [stratum for stratum in strata if stratum.problem_set == problems]
    parts = [
        f"{stratum.files:,} of {stratum.population:,} completions of "
        f"{'fine-tuned' if stratum.name == TUNED else 'base'} models"
        for stratum in strata_of_set
    ]
    lost = sum(stratum.cells_without for stratum in strata_of_set)
    without = f"; of {count(lost, 'cell')} no file could be linted" if lost else ""
    linter = f" Linted by {strata_of_set[0].linter}." if strata_of_set and strata_of_set[0].linter else ""
    text = f"A simple random sample: {' and '.join(parts)} (sample 0, clean prompts){without}.{linter}"
    return text if parts else ""


def _score_cells(summary: GroupSummary) -> tuple[TableCell, ...]:
    cutting = sum(code.per_100_files for code in summary.cutting_codes) if summary.linted else math.nan
    unscored = ", ".join(f"{number} {reason}" for reason, number in summary.unscored.items())
    missing = _number(sum(summary.unscored.values()), f"without a score: {unscored}" if unscored else "")
    severities = (_per_100(summary.severities[severity], files=summary.files) for severity in Severity)
    return (_number(summary.files), _mean_cell(summary), missing, *severities, _per_100(cutting, files=summary.files))


def _mean_cell(summary: GroupSummary) -> TableCell:
    if math.isnan(summary.mean_score):
        return TableCell("–", note="no file with a score" if summary.files else NO_FILE, state="undefined")
    low, high = summary.interval
    return TableCell(
        text=decimal(summary.mean_score, 2),
        interval="" if math.isnan(low) else f"[{decimal(low, 2)}, {decimal(high, 2)}]",
        value=summary.mean_score,
        low=low,
        high=high,
        state="value",
    )


def _per_100(value: float, note: str = "", files: int = 0) -> TableCell:
    if math.isnan(value):
        return TableCell("–", note=NOT_LINTED if files else NO_FILE, state="undefined")
    return TableCell(decimal(value), value=value, note=note, state="value")


def _number(value: int, note: str = "") -> TableCell:
    return TableCell(f"{value:,}", value=float(value), note=note, state="value")
