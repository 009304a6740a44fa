"""Parts of the kinds without a suite of their own, held to what every part must do."""

from __future__ import annotations

from typing import Any

import pytest

from raysweep.analysis.comparisons.base import COMPARISONS
from raysweep.analysis.sections.base import SECTIONS
from raysweep.models.families.base import FAMILIES
from raysweep.records import Spec
from raysweep.registry import Registry
from raysweep.testing.contract import WithoutArguments
from raysweep.trainers.editors.base import EDITORS

REGISTRIES: tuple[Registry[Any], ...] = (COMPARISONS, SECTIONS, FAMILIES, EDITORS)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in REGISTRIES for name in kind.names()], ids=str)
class TestOtherKinds(WithoutArguments):
    @pytest.fixture(autouse=True)
    def named(self, kind: Registry[Any], name: str) -> None:
        self.registry, self.name = kind, name

    def make(self) -> Any:
        return self.registry.create(Spec(self.name))
