"""The plans of training and test sets, and of what they are made from, with the keys of their artefacts."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.records import Spec
from raysweep.storage.artefacts import Node
from raysweep.training_sets.choice import Choice


@dataclass(frozen=True)
class SourceRowsPlan:
    """The clean rows of a source, written once so that any block of them can be read.

    `leaks`: what gives evaluated problems away in the same rows, and is left out; None: all rows.
    """

    node: Node
    source: Spec
    leaks: LeakagePlan | None = None


@dataclass(frozen=True)
class LeakagePlan:
    """Rows of a source that give evaluated problems away, listed. `problems`: specs by name."""

    node: Node
    rows: SourceRowsPlan
    problems: tuple[tuple[str, Spec], ...]


@dataclass(frozen=True)
class PerturbedRowsPlan:
    """The texts of all rows of a source after one method, from which training sets take."""

    node: Node
    rows: SourceRowsPlan
    method: Spec
    seed: int


@dataclass(frozen=True)
class TrainingSetPlan:
    """Rows to take from a source and from its perturbed rows. `perturbation`: a method or an aggregate of `texts`."""

    node: Node
    rows: SourceRowsPlan
    texts: tuple[PerturbedRowsPlan, ...]
    perturbation: Spec
    choice: Choice
    seed: int


@dataclass(frozen=True)
class TestSetPlan:
    """Prompts to make. `draw`: which draw of their noise. `limit`: the first problems only."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    node: Node
    problem_set: Spec
    perturbation: Spec
    seed: int
    draw: int
    compat: str | None
    limit: int | None
