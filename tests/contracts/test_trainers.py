"""The registered trainers and objectives, held to their contracts."""

from __future__ import annotations

import pytest

from raysweep.testing.objectives import ObjectiveContract
from raysweep.testing.trainers import TrainerContract
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.full import Full
from raysweep.trainers.ia3 import Ia3
from raysweep.trainers.lora import Lora
from raysweep.trainers.objectives.dpo import Dpo
from raysweep.trainers.objectives.fait import Fait
from raysweep.trainers.objectives.fixed import Fixed
from raysweep.trainers.objectives.sft import Sft

pytestmark = pytest.mark.slow


class TestFull(TrainerContract):
    make = Full


class TestLora(TrainerContract):
    make = Lora
    recipe = Recipe(lr=1e-2, steps=6, batch_size=8, template="raw", lora={"r": 4, "alpha": 8, "dropout": 0.1})


class TestIa3(TrainerContract):
    make = Ia3


class TestSft(ObjectiveContract):
    make = Sft


@pytest.mark.long
class TestSftPerToken(ObjectiveContract):
    """In small: TestSft; tests/trainers/objectives/test_preferences.py compares its losses."""

    def make(self) -> Sft:
        return Sft(reduction="per_token")


class TestFait(ObjectiveContract):
    make = Fait


@pytest.mark.long
class TestFaitOfTheTokens(ObjectiveContract):
    """In small: TestFait; tests/trainers/objectives/test_preferences.py has its equations."""

    def make(self) -> Fait:
        return Fait(alpha=1.5, hbar="sequence", emphasis="tokens")


class TestFixed(ObjectiveContract):
    make = Fixed


class TestDpo(ObjectiveContract):
    make = Dpo


@pytest.mark.long
class TestSftWithPrompts(ObjectiveContract):
    """In small: TestSft; tests/trainers/objectives/test_sft.py has its loss."""

    def make(self) -> Sft:
        return Sft(prompt_weight=0.3)


def test_every_trainer_and_objective_has_a_suite():
    suites = (TestFull, TestLora, TestIa3)
    assert {suite.make for suite in suites} == {TRAINERS.get(name) for name in TRAINERS.names()}
    assert OBJECTIVES.names() == ["dpo", "fait", "fixed", "sft"]
