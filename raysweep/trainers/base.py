"""The contracts of training: recipe, training job, services, trainer and objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from raysweep.generators.base import LiveModel
from raysweep.programs import Limits, Program, Verdict
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef, TrainingRow, TrainingStep
from raysweep.registry import Registry

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Recipe:
    """Settings of a training that don't depend on the model. Every field is part of the trained model's key."""

    trainer: str = "full"  # full | lora
    objective: str = "sft"
    objective_args: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 2e-5
    epochs: float = 2
    steps: int | None = None  # overrides epochs
    batch_size: int = 16  # rows of one optimizer step, over all workers
    micro_batch_size: int | None = None  # rows of one forward pass; None: all of a worker's rows of a step
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    schedule: str = "linear"  # linear | cosine (both to 0) | constant
    warmup: float = 0.0  # share of the steps
    clip: float = 1.0
    precision: str = "float32"  # float32 | bf16 (bf16 compute, fp32 weights)
    max_tokens: int = 1024  # longer rows are dropped and counted
    rehearsal: float = 0.0  # share of the rows that are shown with their clean text
    length_buckets: int = 0  # number of steps whose rows are sorted by length together; 0: random order
    template: str = "instruct"  # a template of `raysweep.prompts.templates`, such as instruct (study.md section 5)
    system: str = ""  # system prompt of a chat template or Jinja string
    workers: int = 1
    lora: Mapping[str, Any] = field(default_factory=dict)  # some of `LoraSettings`


@dataclass(frozen=True)
class LoraSettings:
    """The defaults of `Recipe.lora`; a recipe holds only the settings that it gives."""

    r: int = 16  # rank
    alpha: int = 32  # updates are scaled by alpha / r
    dropout: float = 0.1
    targets: Sequence[str] | str | None = None  # module names, or all-linear; None: see `lora_targets`
    train_embeddings: bool = False  # train full copies of the embeddings
    modules_to_save: Sequence[str] | None = None  # further modules of which full copies are trained


@dataclass(frozen=True)
class TrainJob:
    """One model to train. A trainer reads its rows from `training_set` and writes the model's files into `out`."""

    base: ModelRef
    family: str
    recipe: Recipe
    training_set: Path  # Parquet of TrainingRow
    out: Path
    seed: int
    label: str  # shown in messages: "llama C1"
    checkpoint_every: int = 0  # interval in optimizer steps; 0: no checkpoints
    scratch: bool = False  # initialise weights from the config at base.location instead of loading them


class Services(Protocol):
    """What an engine gives to a trainer; the same in a trial's process, in worker processes and in the local twin."""

    rank: int
    world_size: int

    def report(self, step: TrainingStep) -> None:
        """Report progress. Called on every worker."""

    def tick(self, step: int, total_steps: int) -> None:
        """Signal that training is alive. Called on every worker after every step; must be cheap."""

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Commit a checkpoint: rank 0 calls `write` with an empty folder; an older one goes once this is complete."""

    def latest_checkpoint(self) -> AbstractContextManager[Path | None]:
        """Give the newest complete checkpoint's folder for a block, or None."""

    def generate(
        self, model: ModelRef | LiveModel, requests: Sequence[GenerationRequest], decoding: Decoding
    ) -> list[Completion]:
        """Generate with a model, such as the one in training, for trainers that look at outputs."""

    def execute(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        """Run programs in isolation, for trainers that look at verdicts."""


class Trainer(ABC):
    """Turns a base model and training rows into a model artefact of its `kind`.

    A trainer need not use gradient descent: an editor may take one prompt pair and change one tensor. It writes into
    `job.out` a model that other tools load unchanged (save_pretrained, PEFT, or delta.safetensors), and resumes from
    `services.latest_checkpoint()` when there is one. The returned counts go into the manifest.
    """

    name: ClassVar[str]
    kind: ClassVar[ModelKind]

    @abstractmethod
    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """Train the model, write it on rank 0, and return the counts.

        Reports read these: rows, rows_dropped, dropped ({reason: rows}), steps, losses ([[step, loss], ...]) and
        final_loss. All of them may be missing.
        """


class Objective(ABC):
    """A loss as a sum and a normaliser, so that every way of batching gives the gradient of the whole step.

    The normaliser counts rows (study.md section 5), tokens, or whatever the loss is a mean of.
    """

    name: ClassVar[str]

    @abstractmethod
    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """Return a row's token ids and weights ({"input_ids", "weights", ...}), or None if the row must be dropped."""

    def why_dropped(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> str:
        """Return in a few words why `encode` dropped a row, such as ``longer than 1024 tokens``, for the report."""
        return "not usable"

    @abstractmethod
    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (sum, normaliser), both scalars; the step's loss is the sum of sums over the sum of normalisers."""


TRAINERS: Registry[Trainer] = Registry("trainer", "raysweep.trainers", Trainer)
OBJECTIVES: Registry[Objective] = Registry("objective", "raysweep.trainers.objectives", Objective)
