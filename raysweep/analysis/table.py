"""The table record, and how it is written as Markdown and as CSV.

Markdown shows rounded numbers with their intervals, for reading. CSV holds every number in full, its interval's ends in
columns of their own, for other programs; a cell that failed or is missing says so in both.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One place of a table: `text` and `interval` as shown; `value`, `low`, `high` in the table's unit.

    `state`: value | undefined | failed | missing | empty. `value` is NaN in all but the first.
    """

    text: str = ""
    interval: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    note: str = ""  # becomes a footnote
    state: str = "empty"


@dataclass(frozen=True)
class Column:
    """A column of numbers. `group`: the heading it shares with its neighbours, with the unit."""

    name: str
    group: str = ""

    @property
    def full_name(self) -> str:
        """Group and name: unique in its table."""
        return f"{self.group} {self.name}".strip()


@dataclass(frozen=True)
class Row:
    """One row: its labels, one per entry of `Table.stub`, and its cells, one per column."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]

    @property
    def whole(self) -> Cell | None:
        """The failed or missing cell that all cells of this row are, or None."""
        first = self.cells[0] if self.cells else Cell()
        alike = all(cell.text == first.text for cell in self.cells)
        return first if alike and first.state in ("failed", "missing") else None


@dataclass(frozen=True)
class Table:
    """A table as a reader sees it. `stub`: the headings of the label columns."""

    title: str
    caption: str
    stub: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The title in letters, digits and hyphens: a file's name."""
        words = "".join(char if char.isalnum() or char in "@." else " " for char in self.title).split()
        return "-".join(words).lower()

    @property
    def footnotes(self) -> tuple[str, ...]:
        """The notes of all cells, each once, in reading order."""
        return tuple(dict.fromkeys(cell.note for row in self.rows for cell in row.cells if cell.note))

    def mark(self, cell: Cell) -> str:
        """Return the number of a cell's footnote, from 1; empty without one."""
        return str(self.footnotes.index(cell.note) + 1) if cell.note else ""


def to_markdown(table: Table) -> str:
    """Return a table as GitHub Markdown: heading, caption, pipe table, footnotes."""
    headings = [*table.stub, *(column.full_name for column in table.columns)]
    lines = [_pipes(headings), _pipes(["---"] * len(table.stub) + ["---:"] * len(table.columns))]
    for row in table.rows:
        marks = [f"[{table.mark(cell)}]" if cell.note else "" for cell in row.cells]
        shown = [" ".join(filter(None, (c.text, c.interval, m))) for c, m in zip(row.cells, marks, strict=True)]
        shown[1:] = [""] * (len(shown) - 1) if row.whole else shown[1:]
        lines.append(_pipes([*row.labels, *shown]))
    notes = "".join(f"\n[{number}] {_one_line(note)}  " for number, note in enumerate(table.footnotes, 1))
    return f"### {_one_line(table.title)}\n\n{_one_line(table.caption)}\n\n" + "\n".join(lines) + f"\n{notes}".rstrip()


def to_csv(table: Table) -> str:
    """Return a table as CSV with one header line; numbers in full, "" where undefined, notes in the last column."""
    bounded = [any(not math.isnan(row.cells[i].low) for row in table.rows) for i in range(len(table.columns))]
    header = list(table.stub)
    for column, has_bounds in zip(table.columns, bounded, strict=True):
        header += [column.full_name]
        header += [f"{column.full_name} low", f"{column.full_name} high"] if has_bounds else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "notes"])
    for row in table.rows:
        fields = list(row.labels)
        for cell, has_bounds in zip(row.cells, bounded, strict=True):
            fields.append(cell.text if cell.state in ("failed", "missing") else _exact(cell.value))
            fields += [_exact(cell.low), _exact(cell.high)] if has_bounds else []
        notes = dict.fromkeys(cell.note for cell in row.cells if cell.note)
        writer.writerow([*fields, "; ".join(notes)])
    return out.getvalue()


def _pipes(fields: list[str]) -> str:
    return "| " + " | ".join(_one_line(field).replace("\\", "\\\\").replace("|", "\\|") for field in fields) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _exact(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
