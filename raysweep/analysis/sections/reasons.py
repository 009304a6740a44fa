"""Shows why scores are what they are, and what they took: outcomes of completions, trainings, cost."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.costs import cost_table
from raysweep.analysis.tables.outcomes import outcome_tables
from raysweep.analysis.tables.trainings import training_tables


@SECTIONS.register("reasons")
class ReasonsSection(Section):
    """Outcomes, trainings and cost."""

    title = "Outcomes"
    heading = "Outcomes, trainings, cost"
    place = 60
    reads = ("outcomes", "costs")

    @override
    def draw(self, report: Report) -> Content | None:
        tables = outcome_tables(report.outcomes, report.order)
        tables += training_tables(report.trainings, report.order, over_seeds=report.over_seeds)
        tables += [cost_table(report.costs)] if report.costs else []
        lead = "How completions ended, how each model was trained, and what it took."
        return Content(lead, tables) if tables else None
