"""The contract of an engine, which decides where and how the work of the stages runs.

There are two engines: `ray` (Tune schedules cells, Train trains, Data perturbs and generates, actors execute) and
`local`, which does the same in one process. Both give equal rows, except for a few completions in 16 bits. The stages
themselves are in `raysweep.stages`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from raysweep.engine.progress import ProgressFile
from raysweep.generators.base import LiveModel
from raysweep.planning.predictions.needs import CellNeeds
from raysweep.programs import DEFAULT_SANDBOX, Limits, Program, Sandbox, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, ModelRef, PerturbedRow, Recovery, Spec
from raysweep.storage.artefacts import Artefact
from raysweep.storage.files import Files
from raysweep.storage.pins import Pins
from raysweep.storage.store import Store
from raysweep.trainers.base import Services

if TYPE_CHECKING:  # slow to import in workers, which need none of it
    from raysweep.config.fields import SpecConfig
    from raysweep.config.resources import ResourcesConfig
    from raysweep.config.schema import RayConfig

R = TypeVar("R")


@dataclass(frozen=True)
class TrainingRun:
    """A model to train. Every training worker calls `train`, which returns the trainer's counts."""

    train: Callable[[Services], dict[str, Any]]
    checkpoints: Files  # a folder that all workers see
    workers: int
    label: str  # for messages
    storage: str  # root of the store
    sandbox: Sandbox  # for programs that the trainer runs
    versions: Mapping[str, str] = field(default_factory=dict)  # of packages, which every worker must have


@dataclass(frozen=True)
class GenerateJob:
    """Completions to generate with one model. Engines keep the batches as they are."""

    storage: str  # root of the store
    model: ModelRef | LiveModel | None
    generator: Spec
    decoding: Decoding
    batches: Sequence[Sequence[GenerationRequest]]
    batch_tokens: int | None = None  # most tokens that the model holds at a time; None: by the device
    label: str = ""  # for messages and Ray's dashboard
    versions: Mapping[str, str] = field(default_factory=dict)  # of packages, as in the completions' keys
    group: str = ""  # of models that run on the same device and versions, see `raysweep.storage.pins`
    base: ModelRef | None = None  # of which the model is a version, and which a process may keep for the next job


@dataclass(frozen=True)
class EditRun:
    """An edit of a base model, in the process that keeps it.

    `edit` gets the base, and what it calls now and then to signal that it goes on. It commits the model to the store,
    returns its counts, and must be picklable. `job`: how completions of the same cell are generated, without batches;
    its model is the base.
    """

    edit: Callable[[LiveModel, Callable[[], None]], dict[str, Any]]
    job: GenerateJob


@dataclass(frozen=True)
class ProgramBatch:
    """Programs that are sent to a slot together, and the limits of each."""

    programs: Sequence[Program]
    limits: Sequence[Limits]


@dataclass(frozen=True)
class ExecuteJob:
    """Batches of programs to run and judge, all in the same kind of sandbox."""

    batches: Sequence[ProgramBatch]
    sandbox: Sandbox


@dataclass(frozen=True)
class PerturbJob:
    """Blocks of a source's rows to perturb by several methods at once; the methods share the analysis of each text."""

    storage: str  # root of the store
    rows: Artefact  # the source's rows, in blocks
    source: Spec
    methods: Sequence[Spec]
    seed: int
    blocks: Sequence[int]  # indices of the blocks


@dataclass(frozen=True)
class BatchOutput(Generic[R]):
    """The rows that a job made from one batch, in the batch's order."""

    index: int  # of the batch in `batches`, or of the block in the source's rows
    rows: Sequence[R]
    loads: int = 0  # whole models that were loaded for it
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the manifest: how it was made
    cpu_seconds: float = 0.0  # that a model took for it


class Stages(ABC):
    """The work that stage functions hand to an engine. It reports waits, and training's progress, to `progress`."""

    @abstractmethod
    def train(self, training: TrainingRun, progress: ProgressFile) -> dict[str, Any]:
        """Train on all workers until the training is done; return the counts of the first worker."""

    @abstractmethod
    def perturb(self, job: PerturbJob, progress: ProgressFile) -> Iterator[BatchOutput[Sequence[PerturbedRow]]]:
        """Yield each block's rows, a sequence for each method, as soon as it is done; blocks come in any order."""

    @abstractmethod
    def generate(self, job: GenerateJob, progress: ProgressFile) -> Iterator[BatchOutput[Completion]]:
        """Yield the completions of each batch as soon as it is done; batches come in any order."""

    @abstractmethod
    def edit(self, run: EditRun, progress: ProgressFile) -> dict[str, Any]:
        """Edit a base model in a process that keeps it, which generates nothing meanwhile; return the edit's counts."""

    def count_reused(self, what: str, number: int) -> None:
        """Take note of results that a stage took from the store and had not to make; an engine may report them.

        `what`: ``completions`` or ``programs``.
        """

    @abstractmethod
    def execute(self, job: ExecuteJob, progress: ProgressFile) -> Iterator[BatchOutput[Verdict]]:
        """Yield the verdicts on each batch as soon as it is done; batches come in any order.

        Raises:
            UsageError: no machine can isolate programs as far as the sandbox requires.
        """


@dataclass(frozen=True)
class Context:
    """Settings that all stages of one sweep share. No key depends on them. The record is sent to other processes."""

    storage: str  # root of the store
    sweep: str  # name
    checkpoint_every: int | str  # optimizer steps (0: never), or a time such as 10min
    recovery: Recovery
    sandbox: Sandbox = DEFAULT_SANDBOX  # for programs that a trainer runs
    groups: Mapping[str, str] = field(default_factory=dict)  # by base model: of models on one device and software
    versions: Mapping[str, str] = field(default_factory=dict)  # of packages that training workers must have

    @property
    def store(self) -> Store:
        return Store(self.storage, expected=True)

    @property
    def progress(self) -> Files:
        return self.store.progress(self.sweep)


@dataclass(frozen=True)
class Work:
    """A stage function's second argument, beside its plan: store, engine, progress file and the sweep's settings."""

    store: Store
    stages: Stages
    progress: ProgressFile
    context: Context


@dataclass(frozen=True)
class Task:
    """A unit that an engine schedules. `run` makes its artefacts and returns numbers for Tune's results.

    `run` must be picklable.
    """

    id: str
    run: Callable[[Stages], Mapping[str, float]]
    needs: CellNeeds = field(default_factory=CellNeeds)  # what its processes ask for
    base: str = ""  # name of the base of a cell's model, or of the base that the task trains or has write
    recipe: str = ""  # name of a cell's recipe
    group: str = ""  # of models that run in one pool; empty: in any
    hours: Mapping[str, float] = field(default_factory=dict)  # that it is expected to take, by accelerator
    folders: Mapping[str, str] = field(default_factory=dict)  # paths or URIs of what a cell makes, by name
    after: tuple[str, ...] = ()  # ids of the tasks that must succeed first
    uses_other_processes: bool = False  # the task holds no CPU, since other processes of the engine do its work
    generates: bool = False  # completions, though it belongs to no cell


@dataclass(frozen=True)
class EngineSettings:
    """The settings that an engine starts with."""

    resources: ResourcesConfig
    ray: RayConfig
    recovery: Recovery
    folder: Files  # the sweep's; progress files and Tune's results lie below it
    loggers: Sequence[SpecConfig]  # of Ray Tune
    address: str | None = None  # of a running Ray; None: use RAY_ADDRESS, or else start one
    fail_fast: bool = False  # stop the other tasks when the first one fails for good
    max_gpu_hours: float | None = None  # of all runs of the sweep; no stage with GPUs begins afterwards
    pins: Pins | None = None  # of the store
    sweep: str = ""  # name, for metrics
    runtimes: Mapping[str, str] = field(default_factory=dict)
    """Compilers and environments of programs, which have to be equal on all nodes, each with its setting."""


class Engine(ABC):
    """Runs the tasks of a sweep. As a context manager it starts its processes on entry and stops them on exit."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the processes that this engine started."""

    def check(self, tasks: Sequence[Task]) -> None:
        """Raise UsageError if a task needs more than the machines will ever have. Called before any task runs."""

    @abstractmethod
    def make_shared(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the tasks that make artefacts shared by cells; return the errors by task id."""

    @abstractmethod
    def run_cells(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Run the tasks of cells, as many at once as the machines can hold; return the errors by task id."""
