"""Reads users' CSV files, gzipped too: the first line names the columns, and every cell is a text as it is written.

Nothing is guessed: ``007``, ``1e5``, ``True``, ``NA``, empty cells and line ends in quotes stay what they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.rows.json_files import MOST_BYTES, JsonRow, bounded_lines, opened
from raysweep.units import count

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def stream_csv_rows(path: Path, separator: str = ",", **dialect: Any) -> Iterator[JsonRow]:
    """Yield the rows of a file in order, each with the line in which it begins; lines without text are passed over.

    Args:
        path: the file.
        separator: the character between two cells.
        dialect: what csv.reader takes beside it, such as `quoting`.

    Raises:
        UsageError: the file is missing, is no CSV in UTF-8, names a column twice or has no rows, or a row has more or
            fewer cells than there are columns. Rows before it are yielded first.
    """
    with opened(path) as content, io.TextIOWrapper(content, "utf-8-sig", newline="") as text:
        csv.field_size_limit(MOST_BYTES)  # its own limit is 131,072
        reader = csv.reader(bounded_lines(path, text), strict=True, delimiter=separator, **dialect)
        columns: list[str] = []
        line, is_empty = 1, True
        try:
            for cells in reader:
                place, line = f"{path}:{line}", reader.line_num + 1
                if not columns:
                    columns = _checked_columns(cells, place, separator)
                elif cells:
                    is_empty = False
                    _check_number(len(cells), len(columns), place, separator)
                    yield JsonRow(place, dict(zip(columns, cells, strict=True)))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not UTF-8 ({error.reason}); save the file as CSV in UTF-8") from None
        except csv.Error as error:
            way = "correct the quotes: one within a cell is written twice"
            raise UsageError(f"{path}:{line}: this can't be read as CSV ({error}); {way}") from None
    if is_empty:
        raise UsageError(f"{path}: the file has no rows; it needs a line with the names of the columns, and rows below")


def without_empty(row: JsonRow, column: str | None) -> JsonRow:
    """Return a row without a column whose cell is empty; as it is where the column is None or has a text."""
    if column is None or row.fields.get(column) != "":
        return row
    return JsonRow(row.place, {name: cell for name, cell in row.fields.items() if name != column})


def _checked_columns(cells: list[str], place: str, separator: str) -> list[str]:
    for mark, name in SEPARATORS.items():
        if mark != separator and len(cells) == 1 and mark in cells[0]:
            own = _named(separator)
            raise UsageError(f"{place}: {own} separate columns here, not {name}; save the file with {own}")
    twice = [name for name in dict.fromkeys(cells) if cells.count(name) > 1]
    if twice:
        name = repr(twice[0]) if twice[0] else "without a name"
        raise UsageError(f"{place}: the column {name} is there twice; give each a name of its own")
    return cells


def _check_number(cells: int, columns: int, place: str, separator: str) -> None:
    if cells != columns:
        raise UsageError(
            f"{place}: the row has {count(cells, 'cell')} for {count(columns, 'column')}; put quotes around texts with "
            f"{_named(separator)} or line ends"
        )


def _named(separator: str) -> str:
    return SEPARATORS.get(separator, f"characters {separator!r}")
