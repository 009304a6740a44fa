"""The contract of a metric: the results of one cell on one test set in, numbers out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from raysweep.records import PromptRow, Result
from raysweep.registry import Registry


@dataclass(frozen=True, slots=True)
class CellLabels:
    """Which model the results are of; the fields are those of `Score`."""

    model: str
    recipe: str  # "none": not fine-tuned
    training_set: str  # "base": not fine-tuned
    seed: int


@dataclass(frozen=True)
class Evaluation:
    """One model on one test set, beside the same model on the clean test set of the same problem set."""

    problem_set: str
    perturbation: str  # "clean": not perturbed
    results: tuple[Result, ...]
    prompts: tuple[PromptRow, ...] = ()
    clean: tuple[Result, ...] | None = None  # None: not evaluated, or this is the clean one
    more_draws: tuple[tuple[Result, ...], ...] = ()  # results on the test set's later draws, where all were evaluated


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number with its 95 % interval; NaN where undefined, with the reason in `note`."""

    metric: str
    value: float
    low: float
    high: float
    n: int  # problems it rests on
    note: str = ""


class Metric(ABC):
    """Numbers from one evaluation. Pure: equal evaluations give equal numbers, intervals included.

    A harness error is no verdict: it is left out, and the note counts it. A metric that has nothing to say on an
    evaluation (relative degradation on the clean set) returns no measurement. `cell` is for metrics that leave
    something out for one model, such as a problem it was edited with.
    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, evaluation: Evaluation, cell: CellLabels) -> list[Measurement]:
        """Return the metric's numbers, none or more."""


METRICS: Registry[Metric] = Registry("metric", "raysweep.metrics")
