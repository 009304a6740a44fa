"""What a config file may say: the schema of a sweep, with its defaults.

Every key is checked here, unknown ones are refused, and names are looked up in their registries, so that a sweep that
starts can finish. Reading files, line numbers and ``--set`` are in `raysweep.config_file`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from raysweep.config_running import RayConfig, RecoveryConfig, ResourcesConfig
from raysweep.config_types import (
    Amount,
    AmountOrZero,
    Betas,
    Count,
    CountOrZero,
    Factor,
    GeneratorSpec,
    Name,
    ProblemsSpec,
    Seed,
    Share,
    SourceSpec,
    Strict,
    SweepName,
    declared,
    lint_stop,
    registered,
)
from raysweep.models.base import FAMILIES
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.programs import Lane, Level, Limits, Sandbox
from raysweep.records import Decoding, Spec
from raysweep.trainers.base import OBJECTIVES, TRAINERS, Recipe


class LoraConfig(Strict):
    """PEFT LoRA. `targets`: module names; none = the family's. `train_embeddings`: full updates of embeddings."""

    r: Count = 16
    alpha: Count = 32
    dropout: Share = 0.1
    targets: list[str] | None = None
    train_embeddings: bool = False


class RecipeConfig(Strict):
    """How to train, whatever the model (see `raysweep.trainers.base.Recipe` for units)."""

    trainer: Annotated[str, registered(TRAINERS)] = "full"
    objective: Annotated[str, registered(OBJECTIVES)] = "sft"
    objective_args: dict[str, float] = {}
    lr: Annotated[float, Field(gt=0, le=1)] = 2e-5
    epochs: Amount = 2
    steps: Count | None = None
    batch_size: Count = 16
    micro_batch_size: Count | None = None
    betas: Betas = (0.9, 0.999)
    eps: Amount = 1e-8
    weight_decay: AmountOrZero = 0.01
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Share = 0.0
    clip: Amount = 1.0
    precision: Literal["float32", "bf16"] = "float32"
    max_tokens: Annotated[int, Field(ge=8, lt=2**31)] = 1024
    rehearsal: Share = 0.0
    length_buckets: CountOrZero = 0
    workers: Count = 1
    lora: LoraConfig = LoraConfig()

    def recipe(self, template: str) -> Recipe:
        """Return the record that travels to trainers, for a model with that prompt template.

        LoRA's settings go along only where they count.
        """
        values = {**self.model_dump(), "template": template}
        values["lora"] = values["lora"] if self.trainer == "lora" else {}
        return Recipe(**values)


class PretrainConfig(Strict):
    """A base model trained from scratch here, an artefact like any other."""

    family: Annotated[str, registered(FAMILIES)]
    source: SourceSpec
    recipe: Annotated[str, declared("recipes")]
    vocab_size: Annotated[int, Field(ge=300, le=10**7)] = 512
    size: dict[str, int | float | bool] = {}


class ModelConfig(Strict):
    """One base model: where its weights come from and how it is prompted."""

    name: Name
    path: str | None = None  # a local folder or a hub id
    pretrain: PretrainConfig | None = None
    generator: GeneratorSpec | None = None  # a generator that needs no weights: reference, fake
    revision: str | None = None
    trust_remote_code: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    template: Literal["instruct", "raw"] = "instruct"  # how its fine-tuned versions are prompted (study.md section 5)
    recipes: list[Annotated[str, declared("recipes")]] = []
    stop: list[str] = []  # beside each problem's own

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [key for key in ("path", "pretrain", "generator") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"model {self.name!r} needs exactly one of `path`, `pretrain`, `generator`; it has {given or 'none'}"
            )
        if self.generator is not None and self.recipes:
            raise ValueError(f"model {self.name!r} has no weights, so it can't have `recipes`")
        return self

    @field_validator("stop")
    @classmethod
    def _no_escaped_newline(cls, stop: list[str]) -> list[str]:
        return [lint_stop(text) for text in stop]


class TrainingSetConfig(Strict):
    """One column of the grid. A bare name means that perturbation on every row."""

    name: Name
    perturbation: Annotated[str, registered(PERTURBATIONS)]
    ratio: Share = 1.0  # share of the rows that are perturbed
    draw: CountOrZero = 0  # which draw of those rows

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value, "perturbation": value}
        if isinstance(value, Mapping) and "perturbation" not in value and "name" in value:
            return {**value, "perturbation": value["name"]}
        return value


class TrainingConfig(Strict):
    """Where rows come from and which sets are made of them."""

    source: SourceSpec
    sets: Annotated[list[TrainingSetConfig], Field(min_length=1)]


def _form(pairs: Any) -> str:
    return "written" if isinstance(pairs, Mapping) else "rule"


Pairs = Annotated[
    Annotated[Literal["all", "paper", "figures"], Tag("rule")] | Annotated[dict[str, list[str]], Tag("written")],
    Discriminator(_form),
]
"""Who is judged on what: a rule's name, or the perturbations of each training set."""


class EvaluationConfig(Strict):
    """Who is judged on what, and how completions are drawn."""

    problems: Annotated[list[ProblemsSpec], Field(min_length=1)]
    perturbations: list[Annotated[str, registered(PERTURBATIONS)]] = ["clean"]
    pairs: Pairs = "all"
    prompt_format: Literal["native", "raw", "instruct"] = "native"
    compat: Literal["recode"] | None = None
    max_new_tokens: Count = 256
    samples: Count = 1
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    batch_size: Count = 64
    limit: Count | None = None  # the first problems of every set

    @field_validator("perturbations")
    @classmethod
    def _clean_first(cls, names: list[str]) -> list[str]:
        return ["clean", *(name for name in dict.fromkeys(names) if name != "clean")]

    def decoding(self, seed: int) -> Decoding:
        """Return how completions are drawn."""
        return Decoding(self.max_new_tokens, self.temperature, self.top_p, self.samples, seed)


class ExecutionConfig(Strict):
    """What one program may use, and how it is isolated; limits that are left out come from the problem set."""

    timeout: Amount | None = None  # seconds of effective time
    wall_factor: Factor | None = None
    memory_mib: Annotated[int, Field(ge=64, lt=2**31)] | None = None
    output_kib: Count | None = None
    reference_factor: Factor | None = None  # a problem's limit as a multiple of its reference solution's time
    lane: Literal["strict", "shared"] = "shared"  # strict: a process for each program
    require: Literal["limits", "partial", "filtered", "strong"] = "partial"  # isolation below which nothing is run

    @property
    def sandbox(self) -> Sandbox:
        """What programs are run in."""
        return Sandbox(Lane(self.lane), Level(self.require))

    def limits(self, default: Limits) -> Limits:
        """Return the limits of a problem set with this section's settings over them."""
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(Limits)}
        return dataclasses.replace(default, **{name: value for name, value in given.items() if value is not None})


class ReportConfig(Strict):
    """What the report shows beside the numbers."""

    title: str = ""  # none: the sweep's name
    notice: str = ""  # what a reader must not conclude; shown first
    samples_per_pair: CountOrZero | None = None  # shown in the viewer; none: 20,000 over all pairs


class SweepConfig(Strict):
    """A whole sweep."""

    name: SweepName
    seed: Seed = 42  # texts, draws, generated worlds, pre-training
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None  # of fine-tuning; none: [seed]
    allow_code_execution: bool = False
    models: Annotated[list[ModelConfig], Field(min_length=1)]
    recipes: dict[Name, RecipeConfig] = {}
    training: TrainingConfig | None = None
    evaluation: EvaluationConfig
    strengths: dict[Annotated[str, registered(PERTURBATIONS)], Annotated[float, Field(ge=0, le=20)]] = {}
    execution: ExecutionConfig = ExecutionConfig()
    resources: ResourcesConfig = ResourcesConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    ray: RayConfig = RayConfig()
    report: ReportConfig = ReportConfig()
    checkpoint_every: CountOrZero = 100  # optimizer steps; 0: none

    def perturbation(self, name: str) -> Spec:
        """Return the spec of a perturbation with the sweep's strengths."""
        own = {"strength": self.strengths[name]} if name in self.strengths else {}
        members = {m: self.strengths[m] for m in getattr(PERTURBATIONS.get(name), "members", ()) if m in self.strengths}
        return Spec(name, {**own, "strengths": members} if members else own)
