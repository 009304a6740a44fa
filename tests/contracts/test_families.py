"""Every registered model family, held to the contract of model families."""

from __future__ import annotations

import pytest

from raysweep.models.families.base import FAMILIES, ModelFamily
from raysweep.records import Spec
from raysweep.testing.families import ModelFamilyContract

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FAMILIES.names())
class TestFamilies(ModelFamilyContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name

    def make(self) -> ModelFamily:
        return FAMILIES.create(Spec(self.name))
