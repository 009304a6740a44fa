"""Shows which recipe of each group was chosen by validation loss, and the losses of all."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Folded, Report, Section
from raysweep.analysis.tables.choices import candidate_table, choice_table
from raysweep.units import count


@SECTIONS.register("choices")
class ChoicesSection(Section):
    """The chosen recipe of each group, with the losses of all candidates on demand."""

    title = "Choices"
    heading = "Which recipes were chosen"
    place = 55
    without = "no recipe was chosen by validation loss"

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.choices:
            return None
        lead = (
            "Where a recipe has lists of numbers and `select`, a model was trained for each combination, and one was "
            "chosen by its loss on rows that it wasn't trained on. No test set had a part in the choice."
        )
        number = sum(len(choice.candidates) for choice in report.choices)
        table = candidate_table(report.choices, report.order, over_seeds=report.over_seeds)
        folded = [Folded(f"All {count(number, 'candidate')}", table.caption, [table])] if number else []
        chosen = choice_table(report.choices, report.order, over_seeds=report.over_seeds)
        return Content(lead, [chosen], folded=folded)
