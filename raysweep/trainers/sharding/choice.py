"""Decides which sharding a recipe gets, refuses settings that don't go together, and makes the sharding."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from raysweep.errors import Finding, MissingInput, as_error, install_extra
from raysweep.trainers.base import Recipe
from raysweep.trainers.passes.fused import check_kernels
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import torch

UNSHARED = {
    "optimizer": "whose workers have flat shares of matrices, and Adafactor needs their rows and columns",
    "clip_value": "since DeepSpeed clips gradients by their norm only",
}
"""Settings of a recipe that ZeRO can't follow, and why."""
ROW_BY_ROW = (
    *("workers", "parallel", "precision", "length_buckets"),
    *("batching", "micro_batch_size", "micro_batch_tokens"),
)
"""Settings of a recipe that `compat: safecoder` can't follow either, since it takes rows one by one."""


def sharding_name(recipe: Recipe, workers: int) -> str:
    """Return `parallel` as given, else `zero2` for `full` with several workers where ZeRO can follow, else `ddp`."""
    if recipe.parallel is not None:
        return recipe.parallel
    return "zero2" if recipe.trainer == "full" and workers > 1 and not unshared_setting(recipe) else "ddp"


def unshared_setting(recipe: Recipe) -> str:
    """Return the name of a recipe's setting that ZeRO can't follow; empty if there is none."""
    return next(iter(recipe.changed(*UNSHARED)), "")


def check_settings(recipe: Recipe, on_gpu: bool) -> Iterator[Finding]:
    """Yield the settings that raysweep's training loop can't follow together, as `Trainer.check` does."""
    for name in recipe.changed(*ROW_BY_ROW, *UNSHARED) if recipe.compat == "safecoder" else ():
        what = "trains by AdamW and clips by norm" if name in UNSHARED else "takes rows one by one on one worker"
        yield name, f"`compat: safecoder` {what}, in float32; remove `{name}`"
    for name in recipe.changed("betas", "eps") if recipe.optimizer == "adafactor" else ():
        yield name, "only AdamW has it, and the recipe has `optimizer: adafactor`; remove one of them"
    if recipe.clip_value is not None and recipe.changed("clip"):
        yield "clip", "`clip_value` takes its place; remove one of them"
    parallel = sharding_name(recipe, recipe.workers)
    yield from check_kernels(recipe, parallel)
    if recipe.workers > recipe.batch_size:
        yield "workers", f"{recipe.workers} workers are more than the {recipe.batch_size} rows of a step (`batch_size`)"
    if recipe.precision == "tf32" and not on_gpu:
        yield "precision", "tf32 is a number format of GPUs; ask for one (`resources.gpus: 1`), or use `float32`"
    if parallel == "ddp":
        if recipe.offload:
            why = "only ZeRO can keep the optimizer elsewhere; give `parallel: zero2` (zero1, zero3) beside it"
            yield "offload", why
        return
    if recipe.precision == "float16" and not on_gpu:
        way = "needs a GPU (`resources.gpus`); use bf16, or ddp on CPUs"
        yield "precision", f"float16 with `parallel: {parallel}` {way}"
    if name := unshared_setting(recipe):
        why = f"doesn't go with ZeRO, {UNSHARED[name]}; use `parallel: ddp`"
        yield "parallel", f"`{name}: {getattr(recipe, name)}` {why}"
    if recipe.compile:
        yield "compile", f"a model that `parallel: {parallel}` shares can't be compiled; use `parallel: ddp`"
    if importlib.util.find_spec("deepspeed") is None:
        setting = f"`parallel: {parallel}`" + ("" if recipe.parallel else f", the default of {recipe.workers} workers,")
        way = f"{install_extra('deepspeed')}, or give `parallel: ddp`"
        yield "parallel", MissingInput(f"{setting} needs DeepSpeed: {way}")


def make_sharding(model: Any, recipe: Recipe, device: torch.device, world_size: int) -> Sharding:
    """Wrap a model that is on its device; raise UsageError if ZeRO can't train by the recipe, or can't here."""
    name = sharding_name(recipe, world_size)
    if name == "ddp":
        from raysweep.trainers.sharding.replicas import Replicas

        return Replicas(model, recipe, device, world_size)
    if refused := next(check_settings(recipe, device.type == "cuda"), None):
        raise as_error(refused)
    from raysweep.trainers.sharding.zero import Zero

    return Zero(model, recipe, device, world_size, stage=int(name.removeprefix("zero")))
