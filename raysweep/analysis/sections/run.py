"""Sections of the run: the sweep's settings and config, the cells that failed, where and when it ran."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.table import Column, Row, Table, TableCell


@SECTIONS.register("settings")
class SettingsSection(Section):
    """Lines on settings, execution and leaked rows, and the resolved config."""

    title = "Settings"
    place = 80
    reads = ("settings",)
    in_files = False
    template = "lines.html"

    @override
    def draw(self, report: Report) -> Content:
        return Content(values={"lines": report.settings, "config_yaml": report.config_yaml})


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
        cells: dict[str, list[str]] = {}
        for failure in report.failures:
            cells.setdefault(failure.error, []).append(failure.cell)
        by_error = [("; ".join(names), error) for error, names in cells.items()]
        rows = tuple(
            Row((names,), (TableCell(error.strip() or "no message", state="failed"),)) for names, error in by_error
        )
        caption = "Each error once, with the cells that it ended."
        table = Table("Failed cells", caption, ("cells",), (Column("error"),), rows)
        return Content(tables=[table], values={"failures": by_error})


@SECTIONS.register("provenance")
class ProvenanceSection(Section):
    """Lines on machine, versions, storage and time."""

    title = "Provenance"
    place = 100
    reads = ("provenance",)
    in_files = False
    template = "lines.html"

    @override
    def draw(self, report: Report) -> Content:
        return Content(values={"lines": report.provenance, "config_yaml": ""})
