"""The contract of a metric, which turns the results of one cell on one test set into numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from raysweep.records import PromptRow, RatedTexts, Result
from raysweep.registry import Registry


@dataclass(frozen=True, slots=True)
class CellLabels:
    """Identifies the model behind some results; the fields are those of `Score`."""

    model: str
    recipe: str  # "none": not fine-tuned
    training_set: str  # "base": not fine-tuned
    seed: int


@dataclass(frozen=True)
class Evaluation:
    """The results of one model on one test set, and on the clean test set of the same problem set.

    A perturbed test set may have several draws, each with its own noise. A problem's number is then the mean over them.
    """

    problem_set: str
    perturbation: str  # "clean": not perturbed
    results: tuple[Result, ...]
    prompts: tuple[PromptRow, ...] = ()
    clean: tuple[Result, ...] | None = None  # None: not evaluated, or `results` are the clean ones
    more_draws: tuple[tuple[Result, ...], ...] = ()  # of later draws; empty unless all were evaluated
    more_prompts: tuple[tuple[PromptRow, ...], ...] = ()  # of later draws, in the order of `more_draws`
    parts: tuple[str, ...] = ()  # names of the parts that the set's tests report (`ProblemSet.parts`)
    rated: RatedTexts | None = None  # the prompts that raters judged; None: the config names no rated sheet

    @property
    def draws(self) -> tuple[tuple[Result, ...], ...]:
        """The results on all draws of the test set."""
        return (self.results, *self.more_draws)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with its 95 % interval; an undefined number is NaN, with the reason in `note`."""

    metric: str
    value: float
    low: float
    high: float
    n: int  # number of problems behind it
    note: str = ""


class Metric(ABC):
    """Computes numbers from one evaluation. Equal evaluations give equal numbers, intervals included.

    A harness error is not a verdict: it is left out, and the note counts it. A metric that doesn't apply to an
    evaluation (relative degradation on the clean set) returns no measurement. `cell` is for metrics that leave
    something out for one model, such as a problem that it was edited with.
    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the metric's numbers; the list may be empty."""


METRICS: Registry[Metric] = Registry("metric", "raysweep.metrics", Metric)
