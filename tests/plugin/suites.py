"""The package's own tests, which pytest runs where the package is installed: its parts keep their contracts."""

from __future__ import annotations

from pathlib import Path

import pytest
from raysweep_extra.shout import Shout
from raysweep_extra.steady import WEIGHTS, Steady, SteadyGenerator, make_base
from raysweep_extra.told import ToldFake, ToldProblems, ToldSft

from raysweep.testing.generators import GeneratorContract
from raysweep.testing.objectives import ObjectiveContract
from raysweep.testing.perturbations import PerturbationContract
from raysweep.testing.problems import ProblemSetContract
from raysweep.testing.trainers import TrainerContract


class TestShout(PerturbationContract):
    make = Shout


class TestToldProblems(ProblemSetContract):
    def make(self, **arguments):
        return ToldProblems(world=3, count=20, **arguments)


class TestToldFake(GeneratorContract):
    make = ToldFake


class TestToldSft(ObjectiveContract):
    make = ToldSft


class TestSteady(TrainerContract):
    make = Steady

    @pytest.fixture(scope="class")
    @classmethod
    def base(cls, tmp_path_factory):
        return make_base(tmp_path_factory.mktemp("steady") / "base")

    def load(self, model):
        weights = Path(model.location, WEIGHTS).read_bytes()
        assert len(weights) == 32
        return weights


class TestSteadyGenerator(GeneratorContract):
    make = SteadyGenerator

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory):
        return make_base(tmp_path_factory.mktemp("model") / "base")

    @pytest.fixture(scope="class")
    @classmethod
    def other_model(cls, model, tmp_path_factory):
        other = make_base(tmp_path_factory.mktemp("other") / "base")
        Path(other.location, WEIGHTS).write_bytes(bytes(32))
        return other
