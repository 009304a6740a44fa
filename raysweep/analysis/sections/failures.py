"""Shows the cells that failed: each error once, with the cells that it ended."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.frame import Failure
from raysweep.analysis.tables.table import Column, Row, Table, TableCell


@SECTIONS.register("failures")
class FailuresSection(Section):
    """The errors of failed cells."""

    title = "Failures"
    place = 90
    template = "failures.html"

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.failures:
            return None
        by_error = _by_error(report.failures)
        rows = tuple(
            Row((cells,), (TableCell(error.strip() or "no message", state="failed"),)) for cells, error in by_error
        )
        caption = "Each error once, with the cells that it ended."
        table = Table("Failed cells", caption, ("cells",), (Column("error"),), rows)
        return Content(tables=[table], values={"failures": by_error})


def _by_error(failures: Sequence[Failure]) -> list[tuple[str, str]]:
    cells: dict[str, list[str]] = {}
    for failure in failures:
        cells.setdefault(failure.error, []).append(failure.cell)
    return [("; ".join(names), error) for error, names in cells.items()]
