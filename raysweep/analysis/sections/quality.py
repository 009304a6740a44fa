"""Shows what pylint says of a sample of the completions."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.exhibits.base import QUALITY
from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section
from raysweep.analysis.tables.quality_tables import quality_tables


@SECTIONS.register("quality")
class QualitySection(Section):
    """Code quality by model and training set."""

    title = "Code quality"
    place = 70
    without = "the config has no `evaluation.quality`"
    reads = ("drawn",)

    @override
    def draw(self, report: Report) -> Content | None:
        if not report.strata:
            return None
        tables = [
            *quality_tables(report.linted, report.strata, report.order),
            *report.drawn.groups.get(QUALITY, ()),
        ]
        lead = (
            "What pylint says of a sample of the completions of clean prompts, each with its prompt as one file. Base "
            "models are a separate sample."
        )
        none = (
            " No file could be linted: the cells that the sample is taken from have failed or are missing, or the "
            "linter failed, which the run and its log say."
        )
        return Content(lead if tables else lead + none, tables)
