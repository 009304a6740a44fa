"""The contract of what models answered: texts and verdicts, which a kind of exhibit reads cell by cell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from raysweep.analysis.comparisons.base import TestSetName
from raysweep.analysis.comparisons.sums import PartRates
from raysweep.metrics.base import CellLabels

PatchRates = Mapping[str, Mapping[str, float]]
"""Whether a problem counts, from 0 to 1 by task id, by the metric of `raysweep.metrics.repair`: ``plausible@1``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion with its verdict.

    Attributes:
        task_id: of the problem.
        sample: its number among the completions of a prompt.
        text: the program that was taken out of the answer, or the completion where it continues the prompt.
        passed: whether it passed the tests; None: no verdict.
        outcome: how it ended, as `Outcome` names it.
        is_program: whether the text is a whole program, and not what continues the prompt.
    """

    task_id: str
    sample: int
    text: str
    passed: bool | None
    outcome: str
    is_program: bool = False


@dataclass(frozen=True)
class ShownAnswer:
    """One completion as the page shows it, in columns.

    Attributes:
        label: its model, such as a recipe, and its prompt.
        passed: whether it passed; None: no verdict.
        verdict: in words.
        text: what the model wrote.
    """

    label: str
    passed: bool | None
    verdict: str
    text: str


class Answers(ABC):
    """What the models of a sweep answered. Reading costs time, so nothing is kept that isn't asked for."""

    @abstractmethod
    def of(self, cell: CellLabels, test_set: TestSetName) -> Sequence[Answer]:
        """Return a cell's answers on the first draw of a test set, in the order of its problems; empty if unknown."""

    def of_task(self, cell: CellLabels, test_set: TestSetName, task_id: str) -> Sequence[Answer]:
        """Return the answers to one task among `of`."""
        return [answer for answer in self.of(cell, test_set) if answer.task_id == task_id]

    @abstractmethod
    def rates(self, cell: CellLabels, test_set: TestSetName) -> PartRates:
        """Return a cell's pass@1 by part of the tests and task id, the mean over the draws; empty if unknown."""

    def patches(self, cell: CellLabels, test_set: TestSetName) -> PatchRates:
        """Return which problems of a set for repair a cell's patches solve, the mean over draws; empty if unknown."""
        return {}

    @abstractmethod
    def prompts(self, test_set: TestSetName) -> Mapping[str, str]:
        """Return the prompts of the first draw of a test set by task id; empty if they are gone."""

    @abstractmethod
    def references(self, problem_set: str) -> Mapping[str, str]:
        """Return the reference solutions of a problem set by task id, as far as they are known."""


class NoAnswers(Answers):
    """Knows none."""

    @override
    def of(self, cell: CellLabels, test_set: TestSetName) -> Sequence[Answer]:
        return ()

    @override
    def rates(self, cell: CellLabels, test_set: TestSetName) -> PartRates:
        return {}

    @override
    def prompts(self, test_set: TestSetName) -> Mapping[str, str]:
        return {}

    @override
    def references(self, problem_set: str) -> Mapping[str, str]:
        return {}
