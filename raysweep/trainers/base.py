"""The contracts of training: recipe, training job, services, trainer and objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from raysweep.errors import Finding, UsageError
from raysweep.programs import Limits, Program, Verdict
from raysweep.records import (
    Completion,
    Decoding,
    GenerationRequest,
    ModelKind,
    ModelRef,
    Spec,
    TrainingRow,
    TrainingStep,
)
from raysweep.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import torch

    from raysweep.generators.base import LiveModel
    from raysweep.prompts.templates import PromptTemplate


BEST = "best"
"""The value of a recipe's `keep` with which the epoch of the lowest validation loss is the model."""
ALL = "all"
"""The value of a recipe's `loss_on` with which each answer of a row has loss."""
FUSED = "fused"
"""The value of a recipe's `kernels` with which LoRA and norms take fewer kernels."""
JOINED = "rows_joined"
"""The count of rows whose prompts have other tokens by themselves, as generation reads them, than before a response."""
KEPT_STEP = "kept_step"
"""Among what a training with `keep: best` reports: the step whose weights are the model."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training that don't depend on the model. Every field is part of the trained model's key."""

    trainer: str = "full"  # full | lora | ia3
    objective: str = "sft"
    objective_args: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 2e-5
    epochs: float = 2
    steps: int | None = None  # overrides epochs
    batch_size: int = 16  # rows of one optimizer step, over all workers
    micro_batch_size: int | None = None  # most rows of one forward pass; None: only its tokens are limited
    micro_batch_tokens: int | None = None  # most tokens of one forward pass, padding included; None: by the device
    batching: str = "padded"  # padded (rows beside each other) | packed (one after the other) | auto (the faster)
    optimizer: str = "adamw"  # adamw | adafactor (whole matrices of moments only: no ZeRO)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    schedule: str = "linear"  # linear | cosine (both to 0) | constant
    warmup: float = 0.0  # share of the steps
    clip: float = 1.0
    clip_value: float | None = None  # in place of `clip`: each number of the gradient is cut to it, on either side of 0
    keep: str = "last"  # last | best: the epoch with the lowest validation loss is the model
    precision: str = "float32"  # float32 | tf32 | bf16 | float16: of the computations; trained weights are float32
    max_tokens: int = 1024  # of a row; longer ones are overlong
    overlong: str = "drop"  # drop | truncate (responses, at their end): both are counted
    loss_on: str = "last"  # last | all: which answers of a row with earlier turns have loss
    rehearsal: float = 0.0  # share of the rows that are shown with their clean text
    length_buckets: int = 0  # number of steps whose rows are sorted by length together; 0: random order
    template: str = "instruct"  # a template of `raysweep.prompts.templates`, such as instruct
    system: str = ""  # system prompt of a chat template or Jinja string
    day: str = ""  # of a chat template that shows a date, see `PromptTemplate`; in keys only there
    template_arguments: Mapping[str, Any] = field(default_factory=dict)  # see `PromptTemplate`; in keys where given
    workers: int = 1
    parallel: str | None = None  # ddp | zero1 | zero2 | zero3; None: by trainer and workers
    offload: str | None = None  # optimizer: its state is kept in the CPU's memory (zero only)
    gradient_checkpointing: bool = False  # compute activations again in the backward pass: less memory, more time
    compile: bool = False  # torch.compile
    kernels: str = "plain"  # plain | fused (LoRA in fewer kernels, norms in the precision of the computations)
    compat: str | None = None  # safecoder: its decay, its clipping after every backward pass, its leaking tails
    lora: Mapping[str, Any] = field(default_factory=dict)  # some of `LoraSettings`
    ia3: Mapping[str, Any] = field(default_factory=dict)  # some of `Ia3Settings`
    edit: Mapping[str, Any] = field(default_factory=dict)  # arguments of the editor that `trainer` names

    def changed(self, *names: str) -> list[str]:
        """Return those of some fields that haven't their default."""
        default = Recipe()
        return [name for name in names if getattr(self, name) != getattr(default, name)]

    def prompt_template(self, tokenizer: Any) -> PromptTemplate:
        """Return the template of its rows' prompts, with a model's tokenizer."""
        from raysweep.prompts.templates import PromptTemplate

        return PromptTemplate(self.template, self.system, tokenizer, self.day, self.template_arguments)


@dataclass(frozen=True)
class LoraSettings:
    """The defaults of `Recipe.lora`; a recipe holds only the settings that it gives."""

    r: int = 16  # rank
    alpha: int = 32  # updates are scaled by alpha / r
    dropout: float = 0.1
    targets: Sequence[str] | str | None = None  # module names, or all-linear; None: by the preset
    preset: str | None = None  # study: every linear layer, lm_head too | peft: PEFT's | None: see `lora_targets`
    train_embeddings: bool = False  # train full copies of the embeddings
    modules_to_save: Sequence[str] | None = None  # further modules of which full copies are trained


@dataclass(frozen=True)
class Ia3Settings:
    """The defaults of `Recipe.ia3`; a recipe holds only the settings that it gives."""

    targets: Sequence[str] | None = None  # names of the modules whose outputs are scaled; None: see `ia3_targets`
    feedforward: Sequence[str] | None = None  # those of the targets whose inputs are scaled instead


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
    checkpoint_every: int | str = 0  # optimizer steps (0: no checkpoints), or a time such as 10min
    scratch: bool = False  # initialise weights from the config at base.location instead of loading them
    validation: Path | None = None  # Parquet of TrainingRow, whose loss is computed after each epoch
    pairs: Path | None = None  # Parquet of EncodedPair: the rows, encoded; None: they are to be encoded
    base_key: str = ""  # names the base's weights in keys of what is computed with them; empty: nothing does


class Services(Protocol):
    """What an engine gives to a trainer; the same in a trial's process, in worker processes and in the local twin."""

    rank: int
    world_size: int
    accelerator_share: float
    """Of the memory of a worker's accelerator, which other processes may use too; 1: all of it, or there is none."""

    def report(self, step: TrainingStep) -> None:
        """Report progress. Called on every worker."""

    def tick(self, step: int, total_steps: int) -> bool:
        """Signal that training is alive. Called on every worker after every step; must be cheap.

        Step 0 stands for the time before the first. Returns True where a checkpoint should be saved now, since a
        machine of the training will be taken away, and False once one was saved. All workers get the same answer, and
        must call this equally often.
        """

    def save_checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Commit a checkpoint. Called on every worker; an older checkpoint goes once this one is complete.

        `write` gets a folder and writes this worker's part of the files, under names that no other worker uses.
        """

    def latest_checkpoint(self) -> AbstractContextManager[Path | None]:
        """Give the newest complete checkpoint's folder for a block, or None."""

    def remember(self, facts: Mapping[str, Any]) -> None:
        """Keep some facts (as JSON) for the next attempt of this training, such as a size that fits the memory."""

    def remembered(self) -> Mapping[str, Any]:
        """Return the facts that an earlier attempt kept; empty if there are none."""

    def keep(self, key: str, content: bytes) -> None:
        """Keep bytes in the store for any later training, under a key that names all that they depend on."""

    def kept(self, key: str) -> bytes | None:
        """Return what a training kept under a key, or None; the same on all workers. Called on every worker."""

    def generate(
        self, model: ModelRef | LiveModel, requests: Sequence[GenerationRequest], decoding: Decoding
    ) -> list[Completion]:
        """Generate with a model, such as the one in training, for trainers that look at outputs."""

    def execute(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        """Run programs in isolation, for trainers that look at verdicts."""


class Trainer(ABC):
    """Turns a base model and training rows into a model artefact of its `kind`.

    A trainer need not use gradient descent: an editor may take one edit example and change one tensor. It writes into
    `job.out` a model that other tools load unchanged (save_pretrained, PEFT, or delta.safetensors), and resumes from
    `services.latest_checkpoint()` when there is one. The returned counts go into the manifest. A delta is written by
    `raysweep.models.deltas.save_delta`, which names its base's fingerprint.

    On a CPU, equal jobs write equal files, byte by byte, also after an interruption. A checkpoint is saved every
    `job.checkpoint_every` steps (0: never) and where `services.tick` returns True. Cells follow one another in a
    process, so a training must not depend on what the process did before. A trainer that looks at its own outputs calls
    `services.generate` and `services.execute`, which use the engine's accelerators and isolation, and the store's
    verdicts. raysweep/trainers/lora.py is an example.
    """

    name: ClassVar[str]
    kind: ClassVar[ModelKind]
    uses_objective: ClassVar[bool] = True
    """Whether it trains by the recipe's objective, as raysweep's training loop does; then a config is refused if too
    few rows fit, or if this loop can't follow its settings together."""

    def check(self, recipe: Recipe, on_gpu: bool) -> Iterable[Finding]:
        """Yield the settings of a recipe that it can't follow, before any work. `on_gpu`: its workers have GPUs."""
        return ()

    def prepare(self) -> None:
        """Import what `train` needs. It is called first, so that these seconds don't count as training."""

    @abstractmethod
    def train(self, job: TrainJob, services: Services) -> dict[str, Any]:
        """Train the model, write it on rank 0, and return the counts.

        Reports read these: rows, rows_dropped, dropped ({reason: rows}), rows_truncated, steps, losses ([[step, loss],
        ...]), final_loss, validation_losses ([[step, loss], ...]), kept_step (whose weights are the model, if not the
        last's), numbers and number_totals of the objective, and held_out, as `raysweep.trainers.validation` counts it.
        All of them may be missing; a choice among recipes (`select`) needs steps and validation_losses.
        """


Row = Mapping[str, "np.ndarray"]
"""An encoded row: one-dimensional arrays by their names, as `Objective.encode` returned them as lists."""


@dataclass(frozen=True)
class LossSum:
    """The sum of some rows' losses, and numbers beside it.

    `loss`: a scalar with a gradient. `numbers`: for each of `Objective.numbers` a sum and what it is a mean of, such as
    (sum of the weights, number of rows), both without a gradient.
    """

    loss: torch.Tensor
    numbers: Mapping[str, tuple[torch.Tensor | float, torch.Tensor | float]]


@dataclass(frozen=True)
class InWords:
    """How reports write a number of an objective.

    `text`: what it is, with its unit. `share_of`: the things that it is a share of, such as rows; empty for a mean.
    """

    text: str
    share_of: str = ""


class RowServices(Protocol):
    """What a training gives to `Objective.prepare`."""

    @property
    def rank(self) -> int:
        """Number of this worker."""

    @property
    def world_size(self) -> int:
        """Number of workers."""

    def of_rows(
        self, what: str, rows: Sequence[Row], compute: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
    ) -> np.ndarray:
        """Compute numbers for all rows, in forward passes as large as those that train, shared by all workers.

        Called on every worker. The numbers are kept in the store, under the base model, the rows, the precision and
        `what`; where they are there already, nothing is computed.

        Args:
            what: names the numbers, such as ``reference log-probabilities``; with a version if their rule changes.
            rows: encoded rows.
            compute: gets a batch as `Objective.loss` does, and returns (rows of the batch, numbers of a row).

        Returns:
            (rows, numbers of a row), float64.
        """


class Objective(ABC):
    """A loss as a sum and a normaliser, so that every way of batching gives the gradient of the whole step.

    The normaliser counts rows, tokens, or whatever the loss is a mean of. It depends on the rows
    alone, so it is known before a step's first forward pass. A step's loss is the sum over all its batches and workers,
    divided by the normaliser; a mean over the batch would depend on the batching.

    A recipe names the objective (``objective: per_token``), and raysweep's trainers call it. With 16-bit precision the
    model's logits are in 16 bits; convert them with ``.float()``. A loss that is not finite ends the training.

    Attributes:
        architectures: the models that it trains, `causal` and `seq2seq`; those of the latter have an encoder and a
            decoder, and rows for them have `labels`.
        architecture: that of the model in training.
        packs: `loss` also takes rows that lie one after the other in one sequence (`position_ids` in the batch).
        trains_turns: `encode` gives loss to all answers of a row where `loss_on` of the recipe says so (they are found
            by `earlier_answers` of `raysweep.prompts.templates`); other objectives are refused with it.
        prefers: rows need `rejected`, a worse response beside their own.
        reads_pairs: it takes rows that were encoded once for all trainings; only raysweep's own objectives can.
        numbers: names of the numbers that `loss` returns beside the loss, as `LossSum`; sums and counts are added up
            over batches and workers, and go to loggers and reports.
        in_words: how reports write these numbers; one that is not there is written by its name.
    """

    name: ClassVar[str]
    architectures: ClassVar[tuple[str, ...]] = ("causal",)
    architecture: str = "causal"
    packs: ClassVar[bool] = False
    trains_turns: ClassVar[bool] = False
    prefers: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = False
    numbers: ClassVar[tuple[str, ...]] = ()
    in_words: ClassVar[Mapping[str, InWords]] = {}

    def use_for(self, architecture: str) -> None:
        """Train a model of an architecture from now on.

        Raises:
            UsageError: the objective trains no such models.
        """
        if architecture not in self.architectures:
            raise UsageError(
                f"objective {self.name} doesn't train encoder-decoder models; use `objective: sft` for them, with its "
                "own arguments"
            )
        self.architecture = architecture

    @abstractmethod
    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """Return a row's token ids and weights ({"input_ids", "weights", ...}), or None if the row must be dropped.

        Called once for each row, before the first step, and for some rows when a config is checked. The text before the
        response is `training_prompt(row, template)` of `raysweep.prompts.templates` with the template
        `recipe.prompt_template(tokenizer)`; `template.answered(prompt, response)` closes reasoning that it opens before
        the response, and `template.adds_special_tokens(text)` says whether the tokenizer adds its own.

        Both lists have one entry for each token. Further keys with lists of numbers, of any length, are allowed, except
        ``attention_mask``; all rows have the same keys. The last token is `template.end`, with a weight above 0, or
        training ends with an error. A row of more than `recipe.max_tokens` tokens must be dropped or, where
        `recipe.overlong` says so, cut there. The ids of the prompt with the rejected response are called
        ``rejected_ids``. With the architecture `seq2seq` the prompt is ``input_ids``, the response with its end
        ``labels``, and the weights are those of the labels.
        """

    def why_dropped(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> str:
        """Return in a few words why `encode` dropped a row, such as ``longer than 1024 tokens``, for the report."""
        return "not usable"

    def check(self, recipe: Recipe) -> Iterable[Finding]:
        """Yield what is wrong with its arguments (`objective_args`) and the settings of a recipe that names it."""
        return ()

    def tokens(self, response: int, rejected: int) -> int:
        """Return how many tokens a row costs, in tokens of a forward and a backward pass.

        Forward passes, order by length, predicted memory and hours, and reported speeds count rows by it. An objective
        that sends both responses through the model in one pass returns ``2 * max(response, rejected)``.

        Args:
            response: tokens of the prompt with the response.
            rejected: tokens of the prompt with the rejected response; 0 if there is none.
        """
        return response

    def prepare(self, model: Any, rows: Sequence[Row], services: RowServices) -> Sequence[Row]:
        """Return the rows with what `loss` needs beside what `encode` returned: further keys, as arrays of NumPy.

        Called once on all workers, for the rows that train and for those of validation, after encoding and before a
        checkpoint is loaded: the model is the one with which training starts, also after a restart. It is in evaluation
        mode, and gradients are off.
        """
        return rows

    @abstractmethod
    def normaliser(self, rows: Sequence[Row]) -> float:
        """Return what the sum of the losses of one step's rows is divided by; above 0."""

    @abstractmethod
    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | LossSum:
        """Return the sum of the losses of a batch's rows, a scalar; with its numbers where `numbers` names some.

        Args:
            model: a causal language model in training mode, which may be wrapped (PEFT, DistributedDataParallel): call
                it, and reach for nothing inside. It gets no labels: the logits at position t predict token t + 1.
            batch: a tensor (rows, width) for each key of `encode`, int64 or float32, on the model's device, with zeros
                on the right as padding. ``attention_mask`` is int64, 1 where ``input_ids`` has a token; that of
                ``rejected_ids`` is ``rejected_attention_mask``. Packed rows are (1, tokens of all rows) with
                ``position_ids`` that begin with 0 in each row, without a mask; nothing predicts a row's first token.
        """


TRAINERS: Registry[Trainer] = Registry("trainer", "raysweep.trainers", Trainer)
OBJECTIVES: Registry[Objective] = Registry("objective", "raysweep.trainers.objectives", Objective)


def objective_of(recipe: Recipe, architecture: str = "causal") -> Objective:
    """Return the objective that a recipe names, for models of an architecture.

    Raises:
        UsageError: its arguments don't fit, or it trains no such models.
    """
    objective = OBJECTIVES.create(Spec(recipe.objective, dict(recipe.objective_args)))
    if architecture == "seq2seq" and recipe.loss_on == ALL:
        raise UsageError(
            "the decoder of an encoder-decoder model writes a row's last answer alone; write `loss_on: last`"
        )
    if architecture != objective.architecture:
        objective.use_for(architecture)
    return objective
