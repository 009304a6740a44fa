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
    results: tuple[Result, ...]  # sorted by task id and sample
    prompts: tuple[PromptRow, ...] = ()  # empty: the store no longer has the test set
    clean: tuple[Result, ...] | None = None  # None: not evaluated, or `results` are the clean ones
    more_draws: tuple[tuple[Result, ...], ...] = ()  # of later draws; empty unless all were evaluated
    more_prompts: tuple[tuple[PromptRow, ...], ...] = ()  # of later draws, in the order of `more_draws`
    parts: tuple[str, ...] = ()  # names of the parts that the set's tests report (`ProblemSet.parts`)
    solvable: frozenset[str] | None = None  # task ids whose reference solution passes here; None: not told apart
    rated: RatedTexts | None = None  # (task id, prompt) to whether raters found that it still asks for the task

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

    It raises nothing: a number that can't be computed is NaN with the reason in `note`, never 0. An error in a metric
    stops nothing else in a sweep: it becomes one undefined number with the error as its note, and a warning in the log.

    `raysweep.stats.intervals.mean_interval` gives the interval of a mean of values from 0 to 1, or of other `limits`.
    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the metric's numbers; the list may be empty."""


METRICS: Registry[Metric] = Registry("metric", "raysweep.metrics", Metric)
