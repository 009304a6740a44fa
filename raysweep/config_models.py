"""What a config says of models: where weights come from, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from raysweep.config_types import (
    Amount,
    AmountOrZero,
    Betas,
    Count,
    CountOrZero,
    GeneratorSpec,
    Name,
    Share,
    SourceSpec,
    Strict,
    declared,
    lint_stop,
    registered,
)
from raysweep.models.base import FAMILIES
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
