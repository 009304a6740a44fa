"""The tables of a sweep: scores in, frozen `Table`s out, ready for Markdown, CSV and the report.

Everything is in percent or percentage points, and says so. RD (ReCode's relative drop, study.md section 7) never stands
without the perturbed pass@1 and its paired difference. A place without a number says why: a cell that failed or is
missing, a number that is undefined (a dash and a footnote), nothing where the sweep did not evaluate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.layout import CLEAN, Failure, Line, Order, Place, ScoreBook
from raysweep.analysis.table import Cell, Column, Row, Table, to_csv, to_markdown
from raysweep.records import Score

__all__ = ["Failure", "Order", "Table", "tables", "to_csv", "to_markdown"]


@dataclass(frozen=True)
class _Quantity:
    """A metric that is a share, and how it is written: x 100, in percent or, for differences, in points."""

    metric: str
    label: str
    unit: str = "%"
    signed: bool = False

    @property
    def heading(self) -> str:
        return f"{self.label} ({self.unit})"

    def write(self, value: float) -> str:
        text = f"{100 * value:{'+' if self.signed else ''}.1f}"
        return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


_PASS = _Quantity("pass@1", "pass@1")
_DROP = _Quantity("drop", "difference", "points", signed=True)
_RD = _Quantity("RD", "RD")
_RD_CHANGED = _Quantity("RD_changed", "RD")


def tables(scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> list[Table]:
    """Return all tables of a sweep: for each problem set the summary per model, then the comparisons over models."""
    book = ScoreBook.of(scores, order, failures)
    made: list[Table] = []
    for problems in book.problem_sets:
        made += [_summary(book, line, problems) for line in book.lines]
        made.append(_clean_table(book, problems))
        if book.perturbations:
            made += [_perturbed_table(book, problems), _rd_table(book, problems)]
        if robust := _robust_metrics(book, problems):
            made.append(_robust_table(book, problems, robust))
        if any(book.everywhere(problems, name, _RD_CHANGED.metric) for name in book.perturbations):
            made.append(_rd_changed_table(book, problems))
        if _test_set_rows(book, problems):
            made.append(_test_sets_table(book, problems))
    return made


def _summary(book: ScoreBook, line: Line, problems: str) -> Table:
    columns = [(_PASS, CLEAN)] + [(quantity, name) for quantity in (_PASS, _DROP, _RD) for name in book.perturbations]
    rows = []
    for training_set in book.training_sets:
        places = [(Place(line, training_set, problems, name), quantity) for quantity, name in columns]
        cells = [replace(_cell(book, place, quantity), interval="") for place, quantity in places]
        rows.append(Row((training_set,), tuple(cells)))
    caption = (
        "Rows: what the model was fine-tuned on. Columns: how the test prompts were perturbed. "
        "Difference: perturbed minus clean pass@1 on the same problems. RD: the share of its clean pass@1 a model "
        "loses. The intervals stand in the comparisons over models."
    )
    headings = tuple(Column(name, quantity.heading) for quantity, name in columns)
    return Table(f"{line.label} on {problems}", caption, ("training set",), headings, tuple(rows))


def _clean_table(book: ScoreBook, problems: str) -> Table:
    rows = tuple(Row((line.label,), _over_sets(book, line, (problems, CLEAN), _PASS)) for line in book.lines)
    title = f"pass@1 clean on {problems} (%)"
    return Table(title, "Models by training set, on unperturbed prompts.", ("model",), _set_columns(book), rows)


def _perturbed_table(book: ScoreBook, problems: str) -> Table:
    caption = "Models by training set, one block per perturbation of the test prompts."
    stub = ("perturbation", "model")
    rows = _blocks(book, problems, _PASS)
    return Table(f"pass@1 perturbed on {problems} (%)", caption, stub, _set_columns(book), rows)


def _rd_table(book: ScoreBook, problems: str) -> Table:
    rows = tuple(
        Row((name, line.label, quantity.heading), _over_sets(book, line, (problems, name), quantity))
        for name in book.perturbations
        for line in book.lines
        for quantity in (_RD, _PASS, _DROP)
    )
    caption = (
        "RD = (clean − perturbed) / clean pass@1. It also falls when clean pass@1 falls, so the perturbed pass@1 and "
        "its paired difference to the clean one stand below it."
    )
    counts = [f"{row.labels[0]} {row.cells[1].text}/{row.cells[2].text}" for row in _test_set_rows(book, problems)]
    if counts:
        caption += f" Prompts left unchanged / no longer compiling: {', '.join(counts)}."
    stub = ("perturbation", "model", "quantity")
    return Table(f"RD on {problems}", caption, stub, _set_columns(book), rows)


def _rd_changed_table(book: ScoreBook, problems: str) -> Table:
    title = f"RD over the prompts that changed and compile, {problems} (%)"
    caption = "As RD, without the problems whose prompt the perturbation left as it was or broke."
    rows = _blocks(book, problems, _RD_CHANGED)
    return Table(title, caption, ("perturbation", "model"), _set_columns(book), rows)


def _robust_table(book: ScoreBook, problems: str, metrics: Sequence[str]) -> Table:
    caption = (
        "ReCode's robust metrics: a completion counts where it passes on all s draws of the perturbation. RP: robust "
        "pass_s@k. RD: the share of clean pass@k lost. RR: the share of completions that pass on one side only, clean "
        "or worst case."
    )
    rows = tuple(
        Row((name, line.label, quantity.heading), _over_sets(book, line, (problems, name), quantity))
        for name in book.perturbations
        for line in book.lines
        for quantity in (_Quantity(metric, metric) for metric in metrics)
    )
    stub = ("perturbation", "model", "quantity")
    return Table(f"Robust pass over draws, {problems}", caption, stub, _set_columns(book), rows)


def _robust_metrics(book: ScoreBook, problems: str) -> list[str]:
    return [name for name in book.metrics(problems) if re.fullmatch(r"R[PDR]_\d+@\d+", name)]


def _test_sets_table(book: ScoreBook, problems: str) -> Table:
    caption = "What the perturbations did to the prompts: how many stayed equal, how many no longer compile."
    columns = (Column("problems"), Column("unchanged"), Column("not compiling"))
    rows = tuple(_test_set_rows(book, problems))
    return Table(f"Test sets of {problems}", caption, ("perturbation",), columns, rows)


def _test_set_rows(book: ScoreBook, problems: str) -> list[Row]:
    rows = []
    for name in book.perturbations:
        counts = [book.everywhere(problems, name, metric) for metric in ("rows_unchanged", "rows_not_compiling")]
        if any(counts):
            sizes = [float(score.n) for scores in counts for score in scores]
            values = [[score.value for score in scores] for scores in counts]
            rows.append(Row((name,), (_count_cell(sizes), *(_count_cell(found) for found in values))))
    return rows


def _count_cell(values: Sequence[float]) -> Cell:
    """A count that all models share; a range where they were not evaluated on the same problems."""
    finite = sorted({value for value in values if not math.isnan(value)})
    if not finite:
        return Cell("–", note="not counted", state="undefined")
    text = f"{finite[0]:g}" if len(finite) == 1 else f"{finite[0]:g}–{finite[-1]:g}"
    return Cell(text, value=finite[-1], state="value")


def _set_columns(book: ScoreBook) -> tuple[Column, ...]:
    return tuple(Column(name) for name in book.training_sets)


def _blocks(book: ScoreBook, problems: str, quantity: _Quantity) -> tuple[Row, ...]:
    return tuple(
        Row((name, line.label), _over_sets(book, line, (problems, name), quantity))
        for name in book.perturbations
        for line in book.lines
    )


def _over_sets(book: ScoreBook, line: Line, test_set: tuple[str, str], quantity: _Quantity) -> tuple[Cell, ...]:
    return tuple(_cell(book, Place(line, name, *test_set), quantity) for name in book.training_sets)


def _cell(book: ScoreBook, place: Place, quantity: _Quantity) -> Cell:
    score = book.score(place, quantity.metric)
    if score is not None:
        return _score_cell(score, quantity)
    failure = book.failure(place)
    if failure is not None:
        return Cell(f"failed: {failure.first_line}", state="failed")
    return Cell("missing", state="missing") if book.is_missing(place) else Cell()


def _score_cell(score: Score, quantity: _Quantity) -> Cell:
    if math.isnan(score.value):
        return Cell("–", note=score.note or f"{quantity.label} is undefined, no reason recorded", state="undefined")
    bounded = not (math.isnan(score.low) or math.isnan(score.high))
    return Cell(
        text=quantity.write(score.value),
        interval=f"[{quantity.write(score.low)}, {quantity.write(score.high)}]" if bounded else "",
        value=100 * score.value,
        low=100 * score.low,
        high=100 * score.high,
        note=score.note,
        state="value",
    )
