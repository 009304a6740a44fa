"""Builds the tables of a sweep from its scores.

All numbers are in percent or percentage points, as headings say. RD (ReCode's relative drop, study.md section 7) is
always shown with the perturbed pass@1 and the paired difference. A table cell without a number gives the reason:
the sweep's cell failed (the errors have a table of their own) or is missing, or the number is undefined (a dash and a
footnote). It is empty if the sweep doesn't evaluate this combination.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from raysweep.analysis.tables.quantities import DROP, PASS, RD, Quantity, number_cell, over_part
from raysweep.analysis.tables.score_book import Failure, ModelVariant, Order, ScoreBook, ScoreKey
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.metrics.flips import LOST, LOST_RATE, WON, WON_RATE
from raysweep.records import CLEAN, Score

WHOLE_TESTS = "all"
"""The label of pass@1 of the whole tests, beside that of a part of them."""
_DEGRADATION = (RD, PASS, DROP)
"""What every table of RD shows: RD never stands alone."""
_OF_CHANGED, _OF_VALID, _OF_LEVEL = (
    tuple(over_part(quantity, part) for quantity in _DEGRADATION) for part in ("changed", "valid", "level")
)
_FLIPS = tuple(
    Quantity(metric, label)
    for metric, label in (
        (LOST, "lost, of all"),
        (WON, "won, of all"),
        (LOST_RATE, "lost, of those that pass clean"),
        (WON_RATE, "won, of those that fail clean"),
    )
)


def tables(scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> list[Table]:
    """Return all tables of a sweep: for each problem set the summary per model, then the comparisons over models."""
    book = ScoreBook.of(scores, order, failures)
    result: list[Table] = []
    for problems in book.problem_sets:
        result += [_summary(book, variant, problems) for variant in book.variants]
        result.append(_clean_table(book, problems))
        if book.perturbations:
            result += [_perturbed_table(book, problems), _rd_table(book, problems)]
        if book.levels(problems):
            result.append(_level_table(book, problems))
        if any(book.all_scores(problems, name, LOST) for name in book.perturbations):
            result.append(_flips_table(book, problems))
        if robust := _robust_metrics(book, problems):
            result.append(_robust_table(book, problems, robust))
        if any(book.all_scores(problems, name, _OF_CHANGED[0].metric) for name in book.perturbations):
            result.append(_rd_changed_table(book, problems))
        if any(book.all_scores(problems, name, _OF_VALID[0].metric) for name in book.perturbations):
            result.append(_rd_valid_table(book, problems))
        if _test_set_rows(book, problems):
            result.append(_test_sets_table(book, problems))
    return result


def failure_table(failures: Sequence[Failure]) -> Table:
    """Return the table of failed cells: each error once, with the cells that it ended."""
    rows = tuple(
        Row((cells,), (TableCell(error.strip() or "no message", state="failed"),))
        for cells, error in failures_by_error(failures)
    )
    return Table("Failed cells", "Each error once, with the cells that it ended.", ("cells",), (Column("error"),), rows)


def failures_by_error(failures: Sequence[Failure]) -> list[tuple[str, str]]:
    """Return (cells, error) for each distinct error; the cells' names are joined by semicolons."""
    cells: dict[str, list[str]] = {}
    for failure in failures:
        cells.setdefault(failure.error, []).append(failure.cell)
    return [("; ".join(names), error) for error, names in cells.items()]


def _summary(book: ScoreBook, variant: ModelVariant, problems: str) -> Table:
    columns = [(quantity, CLEAN) for quantity in (PASS, *_part_quantities(book, problems).values())]
    columns += [(quantity, name) for quantity in (PASS, DROP, RD) for name in book.perturbations]
    rows = []
    for training_set in book.training_sets:
        keys = [(ScoreKey(variant, training_set, problems, name), quantity) for quantity, name in columns]
        cells = [replace(score_cell(book, key, quantity), interval="") for key, quantity in keys]
        rows.append(Row((training_set,), tuple(cells)))
    caption = (
        "Rows: the training set. Columns: the perturbation of the test prompts. "
        "Difference: perturbed minus clean pass@1 on the same problems. RD: the share of its clean pass@1 that a model "
        f"loses. The comparisons over models give the intervals.{draws_sentence(book)}"
    )
    headings = tuple(Column(name, quantity.heading) for quantity, name in columns)
    words = _Words(row_words=book.order.training_words, column_words=book.order.words)
    return Table(f"{variant.label} on {problems}", caption, ("training set",), headings, tuple(rows), **words)


def _clean_table(book: ScoreBook, problems: str) -> Table:
    rows = _pass_rows(book, problems, CLEAN)
    title = f"pass@1 clean on {problems} (%)"
    caption = f"Models by training set, on unperturbed prompts.{_parts_text(book, problems)}"
    stub = ("model", "tests") if _part_quantities(book, problems) else ("model",)
    return Table(title, caption, stub, _set_columns(book), rows, **_words(book))


def _pass_rows(book: ScoreBook, problems: str, perturbation: str) -> tuple[Row, ...]:
    """Return pass@1 of each model; for tests in parts, that of the whole tests and below it that of each part."""
    parts = _part_quantities(book, problems)
    quantities = {WHOLE_TESTS: PASS, **parts} if parts else {"": PASS}
    return tuple(
        Row((variant.label, *([tests] if parts else [])), _cells_of(book, variant, (problems, perturbation), quantity))
        for variant in book.variants
        for tests, quantity in quantities.items()
    )


def _part_quantities(book: ScoreBook, problems: str) -> dict[str, Quantity]:
    """Return pass@1 of each part of the tests, by the part's name; none where tests have no parts."""
    metrics = [name for name in book.metrics(problems) if name.startswith(f"{PASS.metric} ")]
    return {name.removeprefix(f"{PASS.metric} "): Quantity(name, name) for name in metrics}


def _parts_text(book: ScoreBook, problems: str) -> str:
    """Return the sentence on parts of the tests, with a space before it; empty where tests have no parts."""
    parts = ", ".join(_part_quantities(book, problems))
    return f" Tests: {WHOLE_TESTS} of them, or only the part {parts}." if parts else ""


def _perturbed_table(book: ScoreBook, problems: str) -> Table:
    caption = f"Models by training set, one block per perturbation of the test prompts.{draws_sentence(book)}"
    caption += _parts_text(book, problems)
    stub = ("perturbation", "model", *(["tests"] if _part_quantities(book, problems) else []))
    rows = tuple(
        Row((name, *row.labels), row.cells) for name in book.perturbations for row in _pass_rows(book, problems, name)
    )
    title = f"pass@1 perturbed on {problems} (%)"
    return Table(title, caption, stub, _set_columns(book), rows, **_words(book))


def _rd_table(book: ScoreBook, problems: str) -> Table:
    rows = _rows_of(book, problems, book.perturbations, _DEGRADATION)
    caption = (
        "RD = (clean − perturbed) / clean pass@1. It also falls when clean pass@1 falls, so the rows below it give the "
        f"perturbed pass@1 and its paired difference to the clean one.{draws_sentence(book)}"
    )
    label = book.order.test_label
    counts = [
        f"{label(row.labels[0])} {row.cells[1].text}/{row.cells[2].text}" for row in _test_set_rows(book, problems)
    ]
    if counts:
        caption += f" Prompts left unchanged / no longer compiling: {', '.join(counts)}."
    stub = ("perturbation", "model", "quantity")
    return Table(f"RD on {problems}", caption, stub, _set_columns(book), rows, **_words(book))


def _level_table(book: ScoreBook, problems: str) -> Table:
    caption = (
        "RD, perturbed pass@1 and its difference to the clean one over all methods of a level together, each of which "
        "counts alike. Models that were not evaluated on all of them have no number. The test set of a mix has one "
        "method for each prompt instead."
    )
    rows = _rows_of(book, problems, book.levels(problems), _OF_LEVEL)
    stub = ("level", "model", "quantity")
    return Table(f"RD by level on {problems}", caption, stub, _set_columns(book), rows, **_words(book))


def _flips_table(book: ScoreBook, problems: str) -> Table:
    caption = (
        "Completions whose verdict the perturbation flips. Lost: the i-th completion passes on the clean prompt and "
        "fails on the perturbed one. Won: the reverse. Won minus lost is the difference of pass@1."
    )
    rows = _rows_of(book, problems, book.perturbations, _FLIPS)
    stub = ("perturbation", "model", "completions")
    title = f"Flipped verdicts on {problems} (%)"
    return Table(title, f"{caption}{draws_sentence(book)}", stub, _set_columns(book), rows, **_words(book))


def _rd_changed_table(book: ScoreBook, problems: str) -> Table:
    title = f"RD over the prompts that changed and compile, {problems} (%)"
    caption = (
        "RD, perturbed pass@1 and its difference to the clean one, without the problems whose prompt the perturbation "
        f"left unchanged or broke.{draws_sentence(book)}"
    )
    rows = _rows_of(book, problems, book.perturbations, _OF_CHANGED)
    return Table(title, caption, ("perturbation", "model", "quantity"), _set_columns(book), rows, **_words(book))


def _rd_valid_table(book: ScoreBook, problems: str) -> Table:
    rows = tuple(
        Row((name, variant.label, quantity.heading, prompts), _cells_of(book, variant, (problems, name), measured))
        for name in book.perturbations
        if book.all_scores(problems, name, _OF_VALID[0].metric)
        for variant in book.variants
        for quantity, of_valid in zip(_DEGRADATION, _OF_VALID, strict=True)
        for prompts, measured in (("all", quantity), ("valid", of_valid))
    )
    caption = (
        "RD, perturbed pass@1 and its difference to the clean one over all prompts, and over those that still ask for "
        "the task: prompts that stayed as they were, and those that the raters of `evaluation.audit` judged valid. "
        f"Prompts that nobody rated count in the first only.{draws_sentence(book)}"
    )
    title = f"RD over prompts that still ask for the task, {problems} (%)"
    stub = ("perturbation", "model", "quantity", "prompts")
    return Table(title, caption, stub, _set_columns(book), rows, **_words(book))


def _robust_table(book: ScoreBook, problems: str, metrics: Sequence[str]) -> Table:
    caption = (
        "ReCode's robust metrics. In the worst case over s draws of the perturbation, a completion passes only if it "
        "passes on all draws. RP: pass@k in the worst case. RD: the share of clean pass@k lost there. RR: the share "
        "of completions that pass either on the clean prompt only or in the worst case only."
    )
    rows = _rows_of(book, problems, book.perturbations, [Quantity(metric, metric) for metric in metrics])
    stub = ("perturbation", "model", "quantity")
    return Table(f"Robust pass over draws, {problems}", caption, stub, _set_columns(book), rows, **_words(book))


def _robust_metrics(book: ScoreBook, problems: str) -> list[str]:
    return [name for name in book.metrics(problems) if re.fullmatch(r"R[PDR]_\d+@\d+", name)]


def _test_sets_table(book: ScoreBook, problems: str) -> Table:
    caption = "Number of prompts that each perturbation left unchanged, and of prompts that no longer compile."
    caption += f" Means over {text}." if (text := book.order.draws_text) else ""
    columns = (Column("problems"), Column("unchanged"), Column("not compiling"))
    rows = tuple(_test_set_rows(book, problems))
    return Table(f"Test sets of {problems}", caption, ("perturbation",), columns, rows, **_words(book))


def _test_set_rows(book: ScoreBook, problems: str) -> list[Row]:
    rows = []
    for name in book.perturbations:
        counts = [book.all_scores(problems, name, metric) for metric in ("rows_unchanged", "rows_not_compiling")]
        if any(counts):
            sizes = [float(score.n) for scores in counts for score in scores]
            values = [[score.value for score in scores] for scores in counts]
            rows.append(Row((name,), (_count_cell(sizes), *(_count_cell(counts) for counts in values))))
    return rows


def _count_cell(values: Sequence[float]) -> TableCell:
    """Return the count, or a range if it differs between models, which may be evaluated on different problems."""
    finite = sorted({value for value in values if not math.isnan(value)})
    if not finite:
        return TableCell("–", note="not counted", state="undefined")
    text = "–".join(f"{round(value, 1):g}" for value in dict.fromkeys((finite[0], finite[-1])))
    return TableCell(text, value=finite[-1], state="value")


class _Words(TypedDict):
    """The words of a table for codes among its labels and columns."""

    row_words: Mapping[str, str]
    column_words: Mapping[str, str]


def _words(book: ScoreBook) -> _Words:
    """Return the words for a table of perturbations by training sets."""
    return _Words(row_words=book.order.words, column_words=book.order.training_words)


def draws_sentence(book: ScoreBook) -> str:
    """Return the sentence on several draws of a perturbation, with a space before it; empty for one draw."""
    return f" Perturbed numbers are means over {text}." if (text := book.order.draws_text) else ""


def _set_columns(book: ScoreBook) -> tuple[Column, ...]:
    return tuple(Column(name) for name in book.training_sets)


def _rows_of(book: ScoreBook, problems: str, names: Sequence[str], quantities: Sequence[Quantity]) -> tuple[Row, ...]:
    """Return a row for each perturbation or level in `names`, model and quantity."""
    return tuple(
        Row((name, variant.label, quantity.heading), _cells_of(book, variant, (problems, name), quantity))
        for name in names
        for variant in book.variants
        for quantity in quantities
    )


def _cells_of(
    book: ScoreBook, variant: ModelVariant, test_set: tuple[str, str], quantity: Quantity
) -> tuple[TableCell, ...]:
    return tuple(score_cell(book, ScoreKey(variant, name, *test_set), quantity) for name in book.training_sets)


def score_cell(book: ScoreBook, key: ScoreKey, quantity: Quantity) -> TableCell:
    """Return the cell of a score; without one it says that the cell failed or is missing, or it is empty."""
    score = book.score(key, quantity.metric)
    if score is not None:
        return number_cell(score, quantity)
    failure = book.failure(key)
    if failure is not None:
        return TableCell("failed", state="failed")
    return TableCell("missing", state="missing") if book.is_missing(key) else TableCell()
