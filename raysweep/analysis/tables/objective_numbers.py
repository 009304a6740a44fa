"""Builds the table of the numbers that objectives report beside their losses, such as the mean of FAIT's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.tables.table import Column, Row, Table, TableCell

CAPTION = (
    "What an objective counts beside its loss: at the first step, over the last steps, and over the whole training. A "
    "curve shows the number step by step; its bottom is 0, or the smallest number where that is negative."
)
Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ReportedNumber:
    """A number that an objective reported.

    Attributes:
        text: what it is, with its unit.
        share_of: the things that it is a share of; empty for a mean.
        points: (step, mean since the point before).
        total: its sum over the training.
        count: what the sum is divided by.
    """

    text: str
    share_of: str
    points: Points
    total: float
    count: float


def numbers_table(
    numbers: Sequence[tuple[tuple[str, ...], Sequence[ReportedNumber]]], row_words: Mapping[str, str]
) -> Table | None:
    """Return the table of trainings whose objectives count something; None without any.

    Args:
        numbers: model, training set and recipe of each training, with its numbers.
        row_words: words for the codes of training sets.
    """
    rows = tuple(Row((*labels, number.text), _cells(number)) for labels, each in numbers for number in each)
    if not rows:
        return None
    stub = ("model", "training set", "recipe", "number")
    columns = tuple(map(Column, ("first step", "last steps", "whole training", "counted")))
    return Table("Numbers of the objectives", CAPTION, stub, columns, rows, row_words=row_words)


def _cells(number: ReportedNumber) -> tuple[TableCell, ...]:
    is_first = bool(number.points) and number.points[0][0] == 1
    curve = tuple((float(step), value) for step, value in number.points)
    first = _cell(number, number.points[0][1] if is_first else None)
    last = _cell(number, number.points[-1][1] if number.points else None)
    whole = _cell(number, number.total / number.count if number.count else None)
    counted = f"{number.total:,.0f} of {number.count:,.0f} {number.share_of}" if number.share_of else ""
    return replace(first, curve=curve), last, whole, TableCell(counted, state="text" if counted else "empty")


def _cell(number: ReportedNumber, value: float | None) -> TableCell:
    if value is None:
        return TableCell("–", note="nothing to count", state="undefined")
    if number.share_of:
        return TableCell(f"{100 * value:.3g} %", value=100 * value, state="value")
    return TableCell(f"{value:.3g}", value=value, state="value")
