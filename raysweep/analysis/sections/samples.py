"""Shows completions problem by problem, in the page's sample viewer."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section


@SECTIONS.register("samples")
class SamplesSection(Section):
    """Prompts, completions and verdicts of each model on each test set; the page packs them for its script."""

    title = "Samples"
    place = 20
    without = "no completions are to be shown"
    reads = ("samples",)
    in_files = False
    template = "samples.html"

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.samples:
            return None
        return Content(values={"headline": report.frame.headline})
