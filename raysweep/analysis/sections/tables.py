"""Shows the tables of scores over models, and below them those of the study's form."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.exhibits.base import COMPARISONS, GRIDS
from raysweep.analysis.sections.base import SECTIONS, Content, Folded, Report, Section
from raysweep.analysis.tables.table import by_problem_set

SEVERAL_RUNS = (
    " Numbers of each fine-tuned model are means over {runs}, with SD, the standard deviation between these, and with "
    "intervals over problems and training seeds. Its RD is the mean of the runs' RDs."
)


@SECTIONS.register("tables")
class TablesSection(Section):
    """Scores of all models side by side, problem set by problem set."""

    title = "Tables"
    heading = "All scores"
    place = 30
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content:
        lead = "Numbers in brackets are 95 % intervals, over problems; n is the number of problems behind a number."
        if runs := report.training_runs:
            lead += SEVERAL_RUNS.format(runs=runs)
        grids = report.drawn.groups.get(GRIDS, ())
        folded = Folded(
            f"The same numbers in the study's tables ({len(grids)})",
            f"Each is a file in the sweep's folder `tables`, too; `raysweep report {report.name} --format latex` "
            "writes them for papers.",
            grids,
        )
        tables = by_problem_set(report.drawn.groups.get(COMPARISONS, ()))
        footnote = f"All numbers: {report.signature}." if report.signature else ""
        return Content(lead, tables, folded=[folded] if grids else [], footnote=footnote)
