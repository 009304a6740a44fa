"""Shows where and when the sweep ran."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section


@SECTIONS.register("provenance")
class ProvenanceSection(Section):
    """Lines on machine, versions, storage and time."""

    title = "Provenance"
    place = 100
    reads = ("provenance",)
    in_files = False
    template = "lines.html"

    @override
    def draw(self, report: Report) -> Content:
        return Content(values={"lines": report.provenance, "config_yaml": ""})
