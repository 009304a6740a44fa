"""Shows lines of readable text: the sweep's settings with its config, and where and when it ran."""

from __future__ import annotations

from typing_extensions import override

from raysweep.analysis.sections.base import SECTIONS, Content, Report, Section


@SECTIONS.register("settings")
class SettingsSection(Section):
    """Lines on settings, execution and leaked rows, and the resolved config."""

    title = "Settings"
    place = 80
    reads = ("settings",)
    in_files = False
    template = "lines.html"

    @override
    def draw(self, report: Report) -> Content:
        return Content(values={"lines": report.settings, "config_yaml": report.config_yaml})


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
