"""Decides which sharding a recipe gets, and makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.trainers.base import Recipe
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import torch

UNSHARED = {
    "optimizer": "whose workers have flat shares of matrices, and Adafactor needs their rows and columns",
    "clip_value": "since DeepSpeed clips gradients by their norm only",
}
"""Settings of a recipe that ZeRO can't follow, and why."""


def sharding_name(recipe: Recipe, workers: int) -> str:
    """Return `parallel` as given, else `zero2` for `full` with several workers where ZeRO can follow, else `ddp`."""
    if recipe.parallel is not None:
        return recipe.parallel
    return "zero2" if recipe.trainer == "full" and workers > 1 and not unshared_setting(recipe) else "ddp"


def unshared_setting(recipe: Recipe) -> str:
    """Return the name of a recipe's setting that ZeRO can't follow; empty if there is none."""
    return next((name for name in UNSHARED if getattr(recipe, name) != getattr(Recipe, name)), "")


def refusal(recipe: Recipe) -> str:
    """Return why ZeRO can't train by a recipe's settings, and what to do; empty if it can."""
    name = unshared_setting(recipe)
    if not name:
        return ""
    return f"`{name}: {getattr(recipe, name)}` doesn't go with ZeRO, {UNSHARED[name]}; use `parallel: ddp`"


def make_sharding(model: Any, recipe: Recipe, device: torch.device, world_size: int) -> Sharding:
    """Wrap a model that is on its device; raise UsageError if ZeRO can't train by the recipe, or can't here."""
    name = sharding_name(recipe, world_size)
    if name == "ddp":
        from raysweep.trainers.sharding.replicas import Replicas

        return Replicas(model, recipe, device, world_size)
    if why := refusal(recipe):
        raise UsageError(why)
    from raysweep.trainers.sharding.zero import Zero

    return Zero(model, recipe, device, world_size, stage=int(name.removeprefix("zero")))
