"""The contract of an engine: where and how the stages' work runs. The stages themselves are in `raysweep.pipeline`.

Two engines: `ray` (Tune schedules cells, Train trains, Data generates, actors execute) and `local`, its in-process
twin. Both give equal rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.config import RayConfig, ResourcesConfig
from raysweep.records import Completion, Decoding, GenerationRequest, Limits, ModelRef, Program, Spec, Verdict
from raysweep.trainers.base import TrainJob

Tell = Callable[[int, int, str], None]
"""Told how far a stage is: (done, total, detail)."""


@dataclass(frozen=True)
class GenerateJob:
    """Completions to make with one model. `requests` come sorted by length."""

    model: ModelRef | None
    generator: Spec
    decoding: Decoding
    requests: Sequence[GenerationRequest]
    batch_size: int


class Stages(ABC):
    """What one cell's driver may ask of the engine; each call blocks until the work is done."""

    @abstractmethod
    def train(self, job: TrainJob, work: Path, tell: Tell) -> dict[str, Any]:
        """Train a model into `job.out`, checkpoints in `work`; return the trainer's counts."""

    @abstractmethod
    def generate(self, job: GenerateJob, tell: Tell) -> list[Completion]:
        """Return one completion a request, in the order of the requests."""

    @abstractmethod
    def execute(self, programs: Sequence[Program], limits: Limits, tell: Tell) -> list[Verdict]:
        """Return one verdict a program, in order. Equal programs run once."""


@dataclass(frozen=True)
class Task:
    """One piece of schedulable work. `run` makes it and returns numbers for Tune's results; it must be picklable."""

    id: str
    run: Callable[[Stages], Mapping[str, float]]
    workers: int = 0  # training workers; 0: it trains nothing
    after: tuple[str, ...] = ()  # tasks that must end well before


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is started with."""

    resources: ResourcesConfig
    ray: RayConfig
    folder: Path  # of the sweep: Tune's results go below it
    address: str | None = None  # of a running Ray; None: RAY_ADDRESS, else start one


class Engine(ABC):
    """Runs shared inputs and cells. Used as a context manager: entering starts what it needs, leaving stops it."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop what was started."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UsageError when a task asks for more than there will ever be. Called before any of them runs."""

    @abstractmethod
    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the tasks of shared inputs in parallel; return the errors by task id."""

    @abstractmethod
    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the cells' tasks, as many at once as fit; return the errors by task id."""
