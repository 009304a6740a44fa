"""Shows how sure the findings are: the choice of a model, recipes side by side, differences to baselines, tests."""

from __future__ import annotations

from raysweep.analysis.exhibits.base import MORE_TESTS, RECIPES, TESTS
from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.difference_tables import difference_tables


@SECTIONS.register("evidence")
class EvidenceSection(Section):
    """Each recipe beside the first, each fine-tuned model beside its baseline, and tests."""

    title = "Evidence"
    heading = "How sure is it?"
    place = 50
    reads = ("drawn",)

    def draw(self, report: Report) -> Content:
        """See `Section.draw`."""
        differences = difference_tables(report.differences, report.book)
        tests = report.drawn.groups.get(TESTS, ())
        edited = "Edited models are compared with their base under Edits." if report.order.pairs else ""
        lead = ["Each fine-tuned model beside its baseline on the same problems, and tests over all models."]
        if not differences:
            lead.append("There is no model to compare with a baseline.")
        if not tests:
            lead.append("Tests pair models, and fewer than two models have numbers to compare, so there are none.")
        lead += filter(None, [edited])
        chosen = [conclusion.table for conclusion in report.drawn.conclusions]
        groups = report.drawn.groups
        recipes, more = groups.get(RECIPES, ()), groups.get(MORE_TESTS, ())
        return Content(" ".join(lead), [*chosen, *recipes, *differences, *tests, *more])
