"""The package's own tests, which pytest runs where the package is installed: its parts keep their contracts."""

from __future__ import annotations

from raysweep_extra.shout import Shout
from raysweep_extra.told import ToldProblems

from raysweep.testing.perturbations import PerturbationContract
from raysweep.testing.problems import ProblemSetContract


class TestShout(PerturbationContract):
    make = Shout


class TestToldProblems(ProblemSetContract):
    def make(self, **arguments):
        return ToldProblems(world=3, count=20, **arguments)
