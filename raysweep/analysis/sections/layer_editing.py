"""Shows models that were edited from one edit example: sums over pairs, edits one by one, and the page of each pair."""

from __future__ import annotations

from itertools import groupby

from typing_extensions import override

from raysweep.analysis.exhibits.base import EDIT_ROWS, EDITS
from raysweep.analysis.sections.base import SECTIONS, Content, Folded, Report, Section
from raysweep.units import count


@SECTIONS.register("layer-editing")
class LayerEditingSection(Section):
    """What edits restore, at which block and cost, with a row for each edit and a page for each edit example."""

    title = "Edits"
    heading = "Repairing one layer"
    place = 25
    without = "no model was edited"
    reads = ("drawn",)
    template = "layer_editing.html"

    @override
    def draw(self, report: Report) -> Content | None:
        tables, rows = (report.drawn.groups.get(group, ()) for group in (EDITS, EDIT_ROWS))
        pages = report.drawn.pairs
        if not tables and not rows and not pages:
            return None
        lead = (
            "Each model was edited from one edit example, a clean prompt and its perturbed form, or from several "
            "together, and evaluated on the other prompts of its category and on clean ones. Means are over edit "
            "examples; other tables of this report show an edited model as such a mean. The figures show where the "
            "edited blocks lie, and what patching a block restores."
        )
        folded = Folded(
            f"Edit by edit ({count(len(rows), 'table')})",
            "How the edits ended, and a row for each of them.",
            rows,
        )
        by_group = [(group, list(of)) for group, of in groupby(pages, key=lambda page: page.group)]
        left_out = report.drawn.pairs_left_out
        values = {
            "groups": by_group,
            "left_out": f"{count(left_out, 'more edit example')} not shown" if left_out else "",
        }
        return Content(lead, tables, folded=[folded] if rows else [], values=values)
