"""Checks what is asked of bases whose weights are quantized, by `quantize` or in their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raysweep.config.checks.mistakes import Mistake
from raysweep.config.document import KeyPath
from raysweep.config.models import ModelConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import Doubt, MissingInput
from raysweep.generators.base import TRANSFORMERS
from raysweep.machine import gpus
from raysweep.models.finding import ResolvedModel
from raysweep.models.hub import quantization
from raysweep.models.quantizing import FORMATS, NF4, method_of, missing_quantizer, trained_in, unlike_trained
from raysweep.records import ModelKind
from raysweep.trainers.base import FUSED
from raysweep.trainers.kinds import kind_of, rewrites
from raysweep.trainers.sharding.choice import sharding_name


def quantized_mistakes(
    config: SweepConfig, model: ModelConfig, written: Mapping[str, Any], place: KeyPath
) -> Iterator[Mistake]:
    """Yield what a quantized base can't do. `written`: the config of its files; empty: they aren't here yet."""
    in_files = method_of(quantization(written)) if quantization(written) else ""
    if model.quantize and in_files:
        why = f"{model.path} is quantized already ({in_files}); leave `quantize` out, or take its unquantized version"
        yield (*place, "quantize"), why
        return
    if not (model.quantize or in_files):
        return
    what = f"model {model.name} is held in `quantize: {model.quantize}`" if model.quantize else ""
    what = what or f"{model.path} is quantized ({in_files})"
    instead = "leave `quantize` out" if model.quantize else "its unquantized version"
    for name in dict.fromkeys(model.recipes):
        if why := _unfit(config, name, model.quantize):
            yield (*place, "recipes"), f"{what}, and recipe {name!r} {why}, or {instead}"
    generator = (model.generator or config.evaluation.generator).name
    if model.quantize and generator != TRANSFORMERS:
        why = f"generator {generator} takes weights as files have them; take generator {TRANSFORMERS}"
        yield (*place, "quantize"), f"{why}, or leave `quantize` out"
    if model.quantize is not None:
        asked = [config.asked(stage, model.name, name) for stage in ("training", "generation") for name in _all(model)]
        on_gpu = any(stage.gpus for stage in asked)
        if not (on_gpu and not gpus()) and (missing := missing_quantizer(model.quantize, on_gpu)):
            yield (*place, "quantize"), MissingInput(missing)


def adapter_doubts(model: ModelConfig, resolved: ResolvedModel, written: Mapping[str, Any]) -> Iterator[str]:
    """Yield that an adapter was trained on a base with other numbers than it will be put on, if its files say so."""
    if resolved.kind is not ModelKind.ADAPTER or quantization(written):
        return
    trained = trained_in(resolved.ref())
    way = "raysweep has no such format"
    if trained in FORMATS:
        way = f"`quantize: {trained}` holds it so, too (of `evaluate`: --set models.0.quantize={trained})"
    if unlike := unlike_trained(resolved.location, trained, model.quantize):
        yield Doubt(f"{unlike}; {way}")


def _all(model: ModelConfig) -> tuple[str, ...]:
    return ("", *model.recipes)


def _unfit(config: SweepConfig, name: str, quantize: str | None) -> str:
    """Return why a recipe can't change a quantized base, with a way out; empty if it can."""
    recipe = config.recipes[name].recipe("", "")
    kind = kind_of(recipe.trainer)
    if rewrites(recipe.trainer):
        return ""
    if kind is ModelKind.FULL:
        return "trains all of its weights; take `trainer: lora`"
    if kind is ModelKind.DELTA:
        why = f"changes some of its weights ({recipe.trainer}), which need all of their digits"
        return f"{why}; take one that trains an adapter"
    if (parallel := sharding_name(recipe, recipe.workers)) != "ddp":
        return f"shares its weights by DeepSpeed (`parallel: {parallel}`), which can't; use `parallel: ddp`"
    if recipe.kernels == FUSED and quantize != NF4:
        return "reads its weights past bitsandbytes (`kernels: fused`); use `kernels: plain`"
    return ""
