"""Shows how sure the findings are: the choice of a model, recipes side by side, differences to baselines, tests."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.exhibits.base import MORE_TESTS, RECIPES, TESTS
from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.difference_tables import difference_tables


@SECTIONS.register("evidence")
class EvidenceSection(Section):
    """Each recipe compared with the first, each fine-tuned model beside its baseline, and tests."""

    title = "Evidence"
    heading = "How sure is it?"
    place = 50
    without = "there are no two models to compare"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        groups = report.drawn.groups
        chosen = [conclusion.table for conclusion in report.drawn.conclusions if conclusion.table]
        recipes, tests, more = (groups.get(group, ()) for group in (RECIPES, TESTS, MORE_TESTS))
        differences = difference_tables(report.frame)
        tables = [*chosen, *recipes, *differences, *tests, *more]
        if not tables:
            return None
        said = (
            (chosen, "in how many resamples each model is the best"),
            (recipes, "how recipes of one model differ"),
            (differences, "how each fine-tuned model differs from its baseline on the same problems"),
            (tests, "what tests over all models say"),
            (more, "how small a difference these problems can show"),
        )
        *first, last = [clause for shown, clause in said if shown]
        lead = f"The tables show {', '.join(first)}{' and ' if first else ''}{last}."
        lead += " Edited models are compared with their base under Edits." if report.order.pairs else ""
        return Content(lead, tables)
