"""Every registered section of the report, held to its contract."""

from __future__ import annotations

import pytest

from raysweep.analysis.sections.base import SECTIONS, Section
from raysweep.records import Spec
from raysweep.testing.sections import SectionContract


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS.names())
class TestSections(SectionContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name

    def make(self) -> Section:
        return SECTIONS.create(Spec(self.name))
