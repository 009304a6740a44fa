"""Builds the table of the numbers that objectives report beside their losses, such as the mean of FAIT's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.analysis.tables.seed_rows import BY_SEED, PERCENT, cells_over_seeds
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.units import formatted

CAPTION = (
    "What an objective counts beside its loss: at the first step, over the last steps, and over the whole training. A "
    "curve shows the number step by step; its bottom is 0, or the smallest number where that is negative."
)
Points = tuple[tuple[int, float], ...]
MEAN = "{:.3g}"
"""Format of a mean."""


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
    numbers: Sequence[tuple[tuple[str, ...], Mapping[int | None, Sequence[ReportedNumber]]]],
    row_words: Mapping[str, str],
    asked: int = 1,
) -> Table | None:
    """`numbers`: model, training set and recipe of each row, with numbers by seed. `asked`: see `cells_over_seeds`."""
    rows = tuple(
        Row((*labels, text), _over_seeds(by_seed, asked))
        for labels, seeds in numbers
        for text, by_seed in _by_text(seeds).items()
    )
    if not rows:
        return None
    stub = ("model", "training set", "recipe", "number")
    columns = tuple(map(Column, ("first step", "last steps", "whole training", "counted")))
    caption = f"{CAPTION} {BY_SEED} What was counted is all seeds' together." if asked > 1 else CAPTION
    return Table("Numbers of the objectives", caption, stub, columns, rows, row_words=row_words)


def _by_text(seeds: Mapping[int | None, Sequence[ReportedNumber]]) -> dict[str, dict[int | None, ReportedNumber]]:
    numbers: dict[str, dict[int | None, ReportedNumber]] = {}
    for seed, of_seed in seeds.items():
        for number in of_seed:
            numbers.setdefault(number.text, {})[seed] = number
    return numbers


def _over_seeds(by_seed: Mapping[int | None, ReportedNumber], asked: int) -> tuple[TableCell, ...]:
    first = next(iter(by_seed.values()))
    form = PERCENT if first.share_of else MEAN
    cells = cells_over_seeds({seed: _cells(number) for seed, number in by_seed.items()}, [form] * 3, asked)
    total, counted = (sum(of) for of in zip(*((one.total, one.count) for one in by_seed.values()), strict=True))
    return *cells, _counted(replace(first, total=total, count=counted))


def _cells(number: ReportedNumber) -> tuple[TableCell, ...]:
    is_first = bool(number.points) and number.points[0][0] == 1
    curve = tuple((float(step), value) for step, value in number.points)
    first = _cell(number, number.points[0][1] if is_first else None)
    last = _cell(number, number.points[-1][1] if number.points else None)
    whole = _cell(number, number.total / number.count if number.count else None)
    return replace(first, curve=curve), last, whole


def _counted(number: ReportedNumber) -> TableCell:
    counted = f"{number.total:,.0f} of {number.count:,.0f} {number.share_of}" if number.share_of else ""
    return TableCell(counted, state="text" if counted else "empty")


def _cell(number: ReportedNumber, value: float | None) -> TableCell:
    if value is None:
        return TableCell("–", note="nothing to count", state="undefined")
    if number.share_of:
        return TableCell(formatted(100 * value, PERCENT), value=100 * value, state="value")
    return TableCell(formatted(value, MEAN), value=value, state="value")
