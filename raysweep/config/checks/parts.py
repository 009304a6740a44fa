"""Builds the parts that a config names, each once, and says what a mistake is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, TypeVar

from raysweep.config.document import KeyPath
from raysweep.config.fields import SourceConfig, SpecConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import MissingInput, UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.records import SourceRow, Spec
from raysweep.registry import Registry
from raysweep.training_sets.base import SOURCES, TrainingSource

T = TypeVar("T")


class Doubt(str):
    """What a config says and hardly means: a warning, which stops nothing."""


Mistake = tuple[KeyPath, str | MissingInput]
"""(where in the config, what is wrong). An error stands for its text; only what is missing, and doubts, are recognised
by their class."""


def finding_of(error: UsageError) -> str | MissingInput:
    """Return the second part of a mistake: an error's text, or the error itself if something is missing."""
    return error if isinstance(error, MissingInput) else str(error)


class Parts:
    """A config and the parts that it names, each of which is built when a check first asks for it.

    A part that can't be built raises its UsageError whenever it is asked for. One check of each kind tells it; the
    others leave the part out.
    """

    def __init__(self, config: SweepConfig) -> None:
        self.config = config
        self._built: dict[str, Any] = {}

    def create(self, registry: Registry[T], spec: Spec) -> T:
        key = f"{registry.kind} {spec!r}"
        if key not in self._built:
            try:
                self._built[key] = registry.create(spec)
            except UsageError as error:
                self._built[key] = error
        if isinstance(self._built[key], UsageError):
            raise self._built[key]
        part: T = self._built[key]
        return part

    def source(self, rows: SourceConfig) -> TrainingSource:
        return self.create(SOURCES, rows.spec(SOURCES, self.config.seed))

    def first_rows(self, rows: SourceConfig, number: int) -> Sequence[SourceRow]:
        """Return the first rows of a source; none where they can't be read, which the check of sources tells."""
        try:
            return list(islice(self.source(rows).rows(), number))
        except UsageError:
            return ()

    def problem_set(self, problems: SpecConfig) -> ProblemSet:
        return self.create(PROBLEMS, problems.spec(PROBLEMS, self.config.seed))

    def perturbation(self, name: str, compose: str) -> Perturbation:
        return self.create(PERTURBATIONS, self.config.perturbation(name, compose))
