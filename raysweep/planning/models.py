"""What a plan does with each model: which prompts it is shown, which modules a recipe trains, how many weights.

Nothing is trained or downloaded beside configs and tokenizers; the networks that are counted have no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import HopelessError, UsageError
from raysweep.models.loading import load_tokenizer
from raysweep.planning.plan import CellPlan, SweepPlan
from raysweep.prompts.templates import CHAT, INSTRUCT, RAW, PromptTemplate, template_shown
from raysweep.records import ModelKind, ModelRef
from raysweep.rows.hub import cache_alone
from raysweep.trainers.base import TRAINERS, Recipe, TrainJob

SHOWN = {
    RAW: "prompts as they are",
    INSTRUCT: "prompts in the study's instruction template",
    CHAT: "prompts in its tokenizer's chat template",
}
"""The templates in words; anything else is a Jinja string."""


@dataclass(frozen=True)
class TrainedWeights:
    """What a recipe trains of a model. `modules`: those that LoRA updates; empty: all weights are trained."""

    recipe: str
    modules: tuple[str, ...]
    trained: int
    total: int


@dataclass(frozen=True)
class ModelFacts:
    """One base model. `shown`: what it and its fine-tuned versions are shown, in words.

    `unused_chat_template`: its tokenizer brings one that the config doesn't use. `weights`: of each recipe; none for a
    model that is made here, to whose network and tokenizer the config says all.
    """

    model: str
    shown: str
    unused_chat_template: bool
    weights: tuple[TrainedWeights, ...]


def shown_in_words(prompt_format: str, model: ModelConfig) -> str:
    """Return in words what a model is shown: its base, and its fine-tuned versions if they are shown something else."""
    base, tuned = (
        SHOWN.get(
            template_shown(prompt_format, tuned, PromptTemplate(model.template)).name, "prompts in a Jinja template"
        )
        for tuned in (False, True)
    )
    both = f"{base}; fine-tuned: {tuned}" if model.recipes and tuned != base else base
    return f"{both}, with the system prompt {model.system_prompt!r}" if model.system_prompt else both


def prompt_lines(config: SweepConfig) -> list[str]:
    """Return what models are shown, a line for all of them where it is the same."""
    words = {model.name: shown_in_words(config.evaluation.prompt_format, model) for model in config.models}
    if len(words) > 1 and len(set(words.values())) == 1:
        return [f"all models are shown {words.popitem()[1]}"]
    return [f"{name} is shown {text}" for name, text in words.items()]


def model_facts(plan: SweepPlan) -> tuple[ModelFacts, ...]:
    """Return the facts of each base model of a plan.

    Raises:
        UsageError: a recipe names modules that the model doesn't have.
    """
    cells: dict[str, list[CellPlan]] = {}
    for cell in plan.cells:
        cells.setdefault(cell.base.name, []).append(cell)
    return tuple(_facts(model, plan.config, cells[model.name]) for model in plan.config.models)


def _facts(model: ModelConfig, config: SweepConfig, cells: list[CellPlan]) -> ModelFacts:
    recipes = {cell.cell.recipe: cell.recipe for cell in cells if cell.recipe is not None}
    base, uses_chat = cells[0].base, CHAT in (model.template, config.evaluation.prompt_format)
    unused = base.ref is not None and not uses_chat and bool(load_tokenizer(base.ref).chat_template)
    weights = tuple(
        _trained(model.name, base.ref, base.family, recipe, label) for label, recipe in recipes.items() if base.ref
    )
    return ModelFacts(model.name, shown_in_words(config.evaluation.prompt_format, model), unused, weights)


def _trained(name: str, ref: ModelRef, family: str, recipe: Recipe, label: str) -> TrainedWeights:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(
        ref.location, revision=ref.revision, trust_remote_code=ref.trust_remote_code, **cache_alone(ref.location)
    )
    with torch.device("meta"):  # shapes only
        network = AutoModelForCausalLM.from_config(config, trust_remote_code=ref.trust_remote_code)
        total = _count(network)
        if TRAINERS.get(recipe.trainer).kind is not ModelKind.ADAPTER:
            return TrainedWeights(label, (), total, total)
        from raysweep.trainers.lora import add_adapter

        job = TrainJob(ref, family, recipe, Path(), Path(), 0, label)
        try:
            adapted = add_adapter(network, job)
        except HopelessError as error:
            raise UsageError(f"recipes.{label} doesn't fit model {name}: {error}") from error
    names = dict.fromkeys(name.rpartition(".")[2] for name in adapted.targeted_module_names)
    return TrainedWeights(label, tuple(names), _count(adapted, trainable=True), total)


def _count(network: Any, *, trainable: bool = False) -> int:
    return sum(weights.numel() for weights in network.parameters() if weights.requires_grad or not trainable)
