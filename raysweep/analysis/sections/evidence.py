"""Shows how sure the findings are: the choice of a model, differences to baselines, and tests over models."""

from __future__ import annotations

from raysweep.analysis.exhibits.base import MORE_TESTS, TESTS
from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.difference_tables import difference_tables


@SECTIONS.register("evidence")
class EvidenceSection(Section):
    """Each fine-tuned model beside its baseline, and tests."""

    title = "Evidence"
    heading = "How sure is it?"
    place = 50
    reads = ("drawn",)

    def draw(self, report: Report) -> Content:
        """See `Section.draw`."""
        differences = difference_tables(report.differences, report.book)
        tests = report.drawn.groups.get(TESTS, ())
        lead = ["Each fine-tuned model beside its baseline on the same problems, and tests over all models."]
        if not differences:
            lead.append("There is no model to compare with a baseline.")
        if not tests:
            lead.append("Tests pair models, and fewer than two models have numbers to compare, so there are none.")
        chosen = [conclusion.table for conclusion in report.drawn.conclusions]
        more = report.drawn.groups.get(MORE_TESTS, ())
        return Content(" ".join(lead), [*chosen, *differences, *tests, *more])
