"""Sections of completions: problem by problem in the sample viewer, and those of one task in columns."""

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


@SECTIONS.register("side-by-side")
class SideBySideSection(Section):
    """What a model wrote before fine-tuning and after it, for the same task."""

    title = "Side by side"
    place = 45
    without = "no recipes to set side by side"
    reads = ("drawn",)
    in_files = False
    template = "side_by_side.html"

    @override
    def draw(self, report: Report) -> Content | None:
        tasks = report.drawn.side_by_side
        if not tasks:
            return None
        return Content(
            "What a model wrote for the same task before fine-tuning and after it. Marked: what the first column has "
            "not. First come tasks that only the last column passes.",
            values={"tasks": tasks},
        )
