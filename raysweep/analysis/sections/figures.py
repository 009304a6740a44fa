"""Shows the figures that files define, each with the tables of its numbers."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section


@SECTIONS.register("figures")
class FiguresSection(Section):
    """Figures and their numbers."""

    title = "Figures"
    place = 40
    without = "nothing to plot along ratios, sizes or models"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        figures = report.drawn.figures
        if not figures:
            return None
        labels = {figure.label for figure in figures}
        return Content(
            f"Each figure is a file in the sweep's folder `figures`, too; `raysweep report {report.name} --format pdf` "
            "writes them for papers.",
            [table for table in report.drawn.tables if table.label in labels],
            figures,
        )
