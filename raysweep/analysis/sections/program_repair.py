"""Shows models that repair programs by how they were fine-tuned: not at all, all weights, LoRA, IA3."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.exhibits.base import PROGRAM_REPAIR
from raysweep.analysis.sections.base import SECTIONS, Content, Folded, Report, Section
from raysweep.units import count

MOST_ROWS = 40
"""Rows of a table that the page shows at once; longer tables are shown on demand."""


@SECTIONS.register("program-repair")
class ProgramRepairSection(Section):
    """Patches by family and fine-tuning method, methods compared, faulty lines in prompts, and what each takes."""

    title = "Repair"
    heading = "Program repair by fine-tuning method"
    place = 8
    without = "no model repairs programs"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        tables = report.drawn.groups.get(PROGRAM_REPAIR, ())
        if not tables:
            return None
        lead = (
            "Regime: the fine-tuning method of a model. Where recipes were chosen by validation loss, only the chosen "
            "model counts. A plausible patch passes all tests; whether it is correct only a person can say. The "
            "figures show how scores go with the size of models."
        )
        short, long = ([t for t in tables if (len(t.rows) > MOST_ROWS) == is_long] for is_long in (False, True))
        folded = [Folded(f"Case by case ({count(len(long), 'table')})", "Tables with many rows.", long)] if long else []
        return Content(lead, short, folded=folded)
