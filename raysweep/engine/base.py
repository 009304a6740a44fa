"""The contract of an engine: where and how the stages' work runs. The stages themselves are in `raysweep.pipeline`.

Two engines: `ray` (Tune schedules cells, Train trains, Data generates, actors execute) and `local`, its in-process
twin. Both give equal rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from raysweep.attempts import Recovery
from raysweep.config_running import RayConfig, ResourcesConfig
from raysweep.programs import Limits, Program, Sandbox, Verdict
from raysweep.progress import ProgressFile
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, PerturbedRow, Spec
from raysweep.storage.artefacts import Artefact
from raysweep.storage.files import Files
from raysweep.trainers.base import Services

R = TypeVar("R")


@dataclass(frozen=True)
class TrainWork:
    """A model to train. `run` is called on every training worker and returns the trainer's counts."""

    run: Callable[[Services], dict[str, Any]]
    work: Files  # for checkpoints; all workers see it
    workers: int
    label: str


@dataclass(frozen=True)
class GenerateJob:
    """Completions to make with one model of a store, batch by batch: what is in one batch stays in one."""

    storage: str
    model: ModelRef | None
    generator: Spec
    decoding: Decoding
    batches: Sequence[Sequence[GenerationRequest]]
    batch_size: int  # of the largest
    label: str = ""  # for people


@dataclass(frozen=True)
class Programs:
    """Programs that are run in one go, and what each may use."""

    programs: Sequence[Program]
    limits: Sequence[Limits]


@dataclass(frozen=True)
class ExecuteJob:
    """Programs to judge, batch by batch, all in the same kind of sandbox."""

    batches: Sequence[Programs]
    sandbox: Sandbox


@dataclass(frozen=True)
class PerturbJob:
    """Blocks of a source's rows to perturb by several methods in one go; they share what is known of each text."""

    storage: str
    rows: Artefact  # of SourceRow, in blocks
    source: Spec
    methods: Sequence[Spec]
    seed: int
    blocks: Sequence[int]


@dataclass(frozen=True)
class Block(Generic[R]):
    """What was made of the batch number `at`, in the batch's order."""

    at: int
    rows: Sequence[R]


class Stages(ABC):
    """What one cell's driver may ask of the engine. `progress` is told what is waited for, and how far training is."""

    @abstractmethod
    def train(self, work: TrainWork, progress: ProgressFile) -> dict[str, Any]:
        """Run the work on its workers until it is done; return the counts of the first."""

    @abstractmethod
    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[Block[Sequence[PerturbedRow]]]:
        """Yield each block's rows, those of the first method first, as soon as they are there, in any order."""

    @abstractmethod
    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[Block[Completion]]:
        """Yield the completions of each batch as soon as they are there, batches in any order."""

    @abstractmethod
    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[Block[Verdict]]:
        """Yield the verdicts on each batch as soon as they are there, batches in any order.

        Raises:
            UsageError: a machine can't isolate programs as far as the sandbox requires.
        """


@dataclass(frozen=True)
class Task:
    """One piece of schedulable work. `run` makes it and returns numbers for Tune's results; it must be picklable."""

    id: str
    run: Callable[[Stages], Mapping[str, float]]
    workers: int = 0  # training workers; 0: it trains nothing
    after: tuple[str, ...] = ()  # tasks that must end well before
    spreads: bool = False  # its work runs in processes of its own, so it holds no CPU itself


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is started with."""

    resources: ResourcesConfig
    ray: RayConfig
    recovery: Recovery
    folder: Files  # of the sweep: progress is told in it, Tune's results go below it
    address: str | None = None  # of a running Ray; None: RAY_ADDRESS, else start one
    fail_fast: bool = False  # the first task that gives up stops the others


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
