"""Shows the cells that failed: each error once, with the cells that it ended."""

from __future__ import annotations

from collections.abc import Sequence

from raysweep.analysis.tables.score_book import Failure
from raysweep.analysis.tables.table import Column, Row, Table, TableCell


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
