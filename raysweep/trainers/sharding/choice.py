"""Decides which sharding a recipe gets, and makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raysweep.trainers.base import Recipe
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import torch


def sharding_name(recipe: Recipe, workers: int) -> str:
    """Return what a recipe's `parallel` is: as given, or else `zero2` for `full` with several workers, `ddp`."""
    if recipe.parallel is not None:
        return recipe.parallel
    return "zero2" if recipe.trainer == "full" and workers > 1 else "ddp"


def make_sharding(model: Any, recipe: Recipe, device: torch.device, world_size: int) -> Sharding:
    """Wrap a model that is on its device for training by `world_size` workers."""
    name = sharding_name(recipe, world_size)
    if name == "ddp":
        from raysweep.trainers.sharding.replicas import Replicas

        return Replicas(model, recipe, device, world_size)
    from raysweep.trainers.sharding.zero import Zero

    return Zero(model, recipe, device, world_size, stage=int(name.removeprefix("zero")))
