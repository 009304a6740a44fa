"""The table record, and its Markdown, CSV and LaTeX forms.

Markdown is for reading, LaTeX for papers: rounded numbers with their intervals. CSV is for other programs: numbers
of 12 significant digits, with the ends of intervals in separate columns. All mark cells that failed or are missing.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count as count_from
from itertools import groupby
from typing import Any, Protocol, TypeVar

from raysweep.analysis.tables.order import labelled
from raysweep.errors import UnknownName
from raysweep.units import count

FORMATS = {"md": "md", "csv": "csv", "latex": "tex"}
"""Forms of a table, each with the ending of its files."""
LATEX_COLUMN = 60
"""Characters of a row in LaTeX that one column of a two-column paper holds, about."""
ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after the end of a row it would begin an argument
    "]": "{]}",
    "*": "{*}",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"$\cdot$",
    "→": r"$\rightarrow$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
}
"""Characters that LaTeX reads as commands, or that its fonts lack, each with what prints it."""


@dataclass(frozen=True)
class TableCell:
    """One cell of a table: `text` and `interval` as shown; `value`, `low`, `high` unrounded, in the table's unit.

    `n` and `seeds` are shown once a table where they are the same for all cells, else beside each number.

    `state`: value | text | undefined | failed | missing | empty. `value` is NaN in all states but the first.
    """

    text: str = ""
    interval: str = ""
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    note: str = ""  # becomes a footnote
    state: str = "empty"
    n: int = 0  # number of problems, or of `n_of`, behind the value; 0: it is no number over any
    n_of: str = "problem"
    sd: float = math.nan  # standard deviation between seeds, in the table's unit; NaN: the value is of one
    spread: str = ""  # the same as shown
    seeds: int = 0  # number of seeds behind a value that is a mean over them; 0: it is none
    curve: tuple[tuple[float, float], ...] = ()  # (step, loss): the HTML page draws it beside the text

    @classmethod
    def number(cls, value: float, text: str, note: str = "", **more: Any) -> TableCell:
        """Return the cell of a defined number; `more`: other attributes."""
        return cls(text, value=value, note=note, state="value", **more)

    @classmethod
    def counted(cls, number: float, note: str = "") -> TableCell:
        """Return the cell of a whole number: ``1,234``."""
        return cls.number(float(number), f"{number:,.0f}", note)

    @classmethod
    def said(cls, text: str, note: str = "") -> TableCell:
        return cls(text, note=note, state="text")

    @classmethod
    def dash(cls, why: str, **more: Any) -> TableCell:
        """Return the cell of a number that is undefined or unknown."""
        return cls("–", note=why, state="undefined", **more)


@dataclass(frozen=True)
class Column:
    """A column of numbers. `group`: the heading that neighbouring columns share, with the unit."""

    name: str
    group: str = ""

    @property
    def full_name(self) -> str:
        """Return group and name, which together are unique in a table."""
        return f"{self.group} {self.name}".strip()


@dataclass(frozen=True)
class Row:
    """One row: its labels, one per entry of `Table.stub`, and its cells, one per column."""

    labels: tuple[str, ...]
    cells: tuple[TableCell, ...]

    @property
    def spanning_cell(self) -> TableCell | None:
        first = self.cells[0] if self.cells else TableCell()
        all_equal = all(cell.text == first.text for cell in self.cells)
        return first if all_equal and first.state in ("failed", "missing") else None


@dataclass(frozen=True)
class Table:
    """A table as shown to readers.

    `stub`: the headings of the label columns at its left. `row_words` and `column_words`: plain words for the codes of
    perturbations and training sets among labels and columns. HTML shows them beside the codes, Markdown once a table.
    """

    title: str
    caption: str
    stub: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    row_words: Mapping[str, str] = field(default_factory=dict)
    column_words: Mapping[str, str] = field(default_factory=dict)
    label: str = ""  # names the table in file names and references; empty: its title does
    signature: str = ""  # settings and versions that all numbers rest on
    problem_set: str = ""  # that all numbers are of; empty: of several, or unsaid
    column_kind: str = ""  # what all columns are: "training set"; it stands above them, but not in names of columns

    @property
    def problems(self) -> str:
        problems = f"n = {count(*next(iter(self._counted)))}" if len(self._counted) == 1 else ""
        seeds = count(next(iter(self._seeds)), "training seed") if len(self._seeds) == 1 else ""
        return ", ".join(filter(None, (problems, seeds)))

    def size(self, cell: TableCell) -> str:
        """Return ``n = 238`` or ``2 seeds`` for a cell of a table whose numbers don't rest on equally many.

        What `n` counts is named where it isn't problems.
        """
        number = f"{cell.n:,}" if cell.n_of == "problem" else count(cell.n, cell.n_of)
        problems = f"n = {number}" if cell.n and len(self._counted) > 1 else ""
        seeds = count(cell.seeds, "seed") if cell.seeds and len(self._seeds) > 1 else ""
        return ", ".join(filter(None, (problems, seeds)))

    @cached_property
    def sizes(self) -> set[int]:
        return {cell.n for row in self.rows for cell in row.cells if cell.n}

    @cached_property
    def _counted(self) -> set[tuple[int, str]]:
        return {(cell.n, cell.n_of) for row in self.rows for cell in row.cells if cell.n}

    @property
    def over_seeds(self) -> str:
        cells = [cell for row in self.rows for cell in row.cells if cell.seeds]
        if not cells:
            return ""
        spread = " (SD: standard deviation between these)" if any(cell.spread for cell in cells) else ""
        intervals = ", with intervals over problems and seeds" if any(cell.interval for cell in cells) else ""
        names = [*(column.full_name for column in self.columns), *(label for row in self.rows for label in row.labels)]
        of_rd = "; RD is the mean of the seeds' RDs" if any(re.match(r"RD\b", name) for name in names) else ""
        return f"Fine-tuned models: means over training seeds{spread}{intervals}{of_rd}."

    @cached_property
    def _seeds(self) -> set[int]:
        return {cell.seeds for row in self.rows for cell in row.cells if cell.seeds}

    @property
    def column_groups(self) -> list[tuple[str, int]]:
        """Return the heads above those of the columns, with how many columns each spans; empty if there are none."""
        groups = [
            (name, len(list(members))) for name, members in groupby(self.columns, key=lambda column: column.group)
        ]
        if any(name for name, _ in groups):
            return groups
        return [(self.column_kind, len(self.columns))] if self.column_kind and self.columns else []

    @property
    def codes(self) -> str:
        """Return the codes among labels and columns with their words: ``neighbouring keys (C1), typos (C)``."""
        rows = [(label, self.row_words) for row in self.rows for label in row.labels]
        columns = [(column.name, self.column_words) for column in self.columns]
        return ", ".join(dict.fromkeys(labelled(name, words) for name, words in rows + columns if name in words))

    @property
    def full_caption(self) -> str:
        signed = f"Signature: {self.signature}." if self.signature else ""
        kind = f"Columns: the {self.column_kind}." if self.column_kind and "Columns: " not in self.caption else ""
        return " ".join(filter(None, (self.problems and f"{self.problems}.", kind, self.explanation, signed)))

    @property
    def explanation(self) -> str:
        return " ".join(filter(None, (self.caption, self.over_seeds, f"Codes: {self.codes}." if self.codes else "")))

    def shown(self, row: Row) -> list[tuple[str, str]]:
        texts = [
            " ".join(
                filter(None, (cell.text, cell.interval, cell.spread, f"({size})" if (size := self.size(cell)) else ""))
            )
            for cell in row.cells
        ]
        pairs = [(text, self.mark(cell)) for text, cell in zip(texts, row.cells, strict=True)]
        return pairs[:1] + [("", "")] * (len(pairs) - 1) if row.spanning_cell else pairs

    @property
    def name(self) -> str:
        return safe_name(self.label or self.title)

    @property
    def footnotes(self) -> tuple[str, ...]:
        return tuple(self._marks)

    @cached_property
    def _marks(self) -> dict[str, str]:
        notes = dict.fromkeys(cell.note for row in self.rows for cell in row.cells if cell.note)
        return {note: str(number) for number, note in enumerate(notes, 1)}

    def mark(self, cell: TableCell) -> str:
        return self._marks[cell.note] if cell.note else ""


def to_markdown(table: Table) -> str:
    headings = [*table.stub, *(column.full_name for column in table.columns)]
    lines = [_pipes(headings), _pipes(["---"] * len(table.stub) + ["---:"] * len(table.columns))]
    for row in table.rows:
        shown = [" ".join(filter(None, (text, f"[{mark}]" * bool(mark)))) for text, mark in table.shown(row)]
        lines.append(_pipes([*row.labels, *shown]))
    notes = "".join(f"\n[{number}] {_one_line(note)}  " for number, note in enumerate(table.footnotes, 1))
    head = f"### {_one_line(table.title)}\n\n{_one_line(table.full_caption)}\n\n"
    return head + "\n".join(lines) + f"\n{notes}".rstrip()


def to_csv(table: Table) -> str:
    """Return a table as CSV with one header line.

    Numbers have up to 12 significant digits, undefined ones are empty, and notes stand in the last column. The
    number of problems stands in the column `n`; where it differs between numbers, in a column for each of them. The
    signature, if there is one, has a column too.
    """
    counted = [any(row.cells[i].n for row in table.rows) for i in range(len(table.columns))]
    one_size = len(table.sizes) == 1
    bounded = [any(not math.isnan(row.cells[i].low) for row in table.rows) for i in range(len(table.columns))]
    seeded = [any(row.cells[i].seeds for row in table.rows) for i in range(len(table.columns))]
    header = list(table.stub)
    for column, has_bounds, has_n, has_seeds in zip(table.columns, bounded, counted, seeded, strict=True):
        header += [column.full_name]
        header += [f"{column.full_name} low", f"{column.full_name} high"] if has_bounds else []
        header += [f"{column.full_name} SD", f"{column.full_name} seeds"] if has_seeds else []
        header += [f"{column.full_name} n"] if has_n and not one_size else []
    header += ["n"] if one_size else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    signed = [table.signature] if table.signature else []
    writer.writerow([*header, *(["signature"] if signed else []), "notes"])
    for row in table.rows:
        fields = list(row.labels)
        for cell, has_bounds, has_n, has_seeds in zip(row.cells, bounded, counted, seeded, strict=True):
            fields.append(cell.text if cell.state in ("text", "failed", "missing") else _exact(cell.value))
            fields += [_exact(cell.low), _exact(cell.high)] if has_bounds else []
            fields += [_exact(cell.sd), str(cell.seeds or "")] if has_seeds else []
            fields += [str(cell.n or "")] if has_n and not one_size else []
        fields += [str(max(cell.n for cell in row.cells) or "")] if one_size else []
        notes = dict.fromkeys(cell.note for cell in row.cells if cell.note)
        writer.writerow([*fields, *signed, "; ".join(notes)])
    return out.getvalue()


def safe_name(text: str) -> str:
    """Return a text reduced to characters that are safe in a file name: ``rd-on-minicode`` for `RD on minicode`."""
    return "-".join("".join(char if char.isalnum() or char in "@." else " " for char in text).split()).lower()


def to_latex(table: Table) -> str:
    """Return a table as an environment of LaTeX, with caption, label and footnotes.

    The caption is one sentence: the title and the number of problems. The table's own caption stands below, and the
    signature is a comment. A table that is wider than a column of a two-column paper is a ``table*`` over both; one
    that is wider than the text or higher than a page is shrunk. It needs booktabs, and adjustbox, which shrinks it.
    """
    from pandas import DataFrame, Index, MultiIndex

    names = [escape_latex(column.name) for column in table.columns]
    groups = [escape_latex(name) for name, size in table.column_groups for _ in range(size)]
    cells = [
        [escape_latex(text) + f"\\textsuperscript{{{mark}}}" * bool(mark) for text, mark in table.shown(row)]
        for row in table.rows
    ]
    labels = [[escape_latex(row.labels[at]) for row in table.rows] for at in range(len(table.stub))]
    frame = DataFrame(
        cells,
        MultiIndex.from_arrays(labels, names=list(map(escape_latex, table.stub))),
        MultiIndex.from_arrays([groups, names]) if groups else Index(names),
    )
    aligned = "l" * len(table.stub) + "r" * len(names)
    tabular = frame.style.to_latex(column_format=aligned, hrules=True, multicol_align="c", multirow_align="naive")
    shown = [[*row.labels, *(text for text, _ in table.shown(row))] for row in table.rows]
    texts = [[*table.stub, *(column.name for column in table.columns)], *shown]
    environment = "table*" if max(len("  ".join(one)) for one in texts) > LATEX_COLUMN else "table"
    sentence = f"{table.title}{f', {table.problems}' if table.problems else ''}."
    label = re.sub(r"[^a-z0-9@.-]", lambda char: f"{ord(char[0]):x}", table.name)
    marked = [f"\\textsuperscript{{{mark}}} {escape_latex(note)}" for mark, note in enumerate(table.footnotes, 1)]
    notes = [escape_latex(_one_line(table.explanation)), *marked]
    return "\n".join(
        [
            f"\\begin{{{environment}}} % needs \\usepackage{{booktabs,adjustbox}}",
            *([f"% {_one_line(table.signature)}"] if table.signature else []),
            f"\\caption{{{escape_latex(_one_line(sentence))}}}",
            f"\\label{{tab:{label}}}",
            r"\footnotesize\setlength{\tabcolsep}{4pt}",
            r"\begin{adjustbox}{max width=\linewidth,max totalheight=.8\textheight,center}",
            f"{tabular}\\end{{adjustbox}}",
            *(f"\\par\\smallskip\\noindent {note}" for note in notes if note),
            f"\\end{{{environment}}}",
        ]
    )


def escape_latex(text: str) -> str:
    """Return a text in ASCII and accented letters, which every engine of LaTeX prints without more packages."""
    escaped: list[str] = []
    for before, char in zip(f" {text}", text, strict=False):
        if char == before == "-":
            escaped.append("{}")  # two hyphens would be a dash
        if char in ESCAPES:
            escaped.append(ESCAPES[char])
        elif char.isspace():
            escaped.append(" ")
        elif " " <= char <= "~" or ("À" <= char <= "ÿ" and char.isalpha() and char not in "ÐðÞþ"):  # these need T1
            escaped.append(char)
        else:
            escaped.append(f"({unicodedata.name(char, f'U+{ord(char):04X}').lower()})")
    return "".join(escaped)


class Named(Protocol):
    """A table or figure: it has a name that is safe in a file name."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def by_file_name(things: Iterable[N]) -> dict[str, N]:
    """Return tables or figures by the names of their files; of equal names the later ones get a number."""
    named: dict[str, N] = {}
    for thing in things:
        again = (f"{thing.name}-{number}" for number in count_from(2))
        name = thing.name if thing.name not in named else next(name for name in again if name not in named)
        named[name] = thing
    return named


def by_problem_set(tables: Iterable[Table]) -> list[Table]:
    groups: dict[str, list[Table]] = {}
    for table in tables:
        groups.setdefault(table.problem_set, []).append(table)
    return [table for group in groups.values() for table in group]


def to_text(tables: Iterable[Table], format: str) -> str:
    """Join tables as Markdown, CSV or LaTeX; raise UnknownName if the format is none of `FORMATS`."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if format == "csv":
        return "\n\n".join(f"# {name}\n{to_csv(table)}" for name, table in by_file_name(tables).items())
    return "\n\n".join(written(table, format) for table in tables)


def written(table: Table, format: str) -> str:
    return {"md": to_markdown, "csv": to_csv, "latex": to_latex}[format](table)


def as_record(table: Table) -> dict[str, Any]:
    """Return a table as plain values, for JSON: numbers unrounded in the table's unit, undefined ones null."""
    return {
        "title": table.title,
        "caption": table.explanation,
        "signature": table.signature,
        "columns": [column.full_name for column in table.columns],
        "rows": [
            {
                "labels": dict(zip(table.stub, row.labels, strict=True)),
                "cells": {
                    column.full_name: _cell_record(cell)
                    for column, cell in zip(table.columns, row.cells, strict=True)
                    if cell.state != "empty"
                },
            }
            for row in table.rows
        ],
    }


def _cell_record(cell: TableCell) -> dict[str, Any]:
    note = {"note": cell.note} if cell.note else {}
    if cell.state in ("text", "failed", "missing"):
        return {"text": cell.text, **note}
    bounds = {} if math.isnan(cell.low) else {"low": cell.low, "high": cell.high}
    return {
        "value": None if math.isnan(cell.value) else cell.value,
        **bounds,
        **({} if math.isnan(cell.sd) else {"sd": cell.sd}),
        **({"seeds": cell.seeds} if cell.seeds else {}),
        **({"n": cell.n} if cell.n else {}),
        **note,
    }


def _pipes(fields: list[str]) -> str:
    return "| " + " | ".join(_one_line(field).replace("\\", "\\\\").replace("|", "\\|") for field in fields) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _exact(value: float) -> str:
    """Return a number with 12 significant digits, so that a small p isn't 0; empty for NaN."""
    return "" if math.isnan(value) else repr(float(f"{value:.12g}") if isinstance(value, float) else value)
