"""AdamW and the learning rate's schedule, as the recipe asks (study.md section 5)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.trainers.base import Recipe

if TYPE_CHECKING:
    import torch


def make_optimizer(model: Any, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW over the trainable tensors; weight decay spares every bias and every norm.

    A norm is a module whose class name ends in "norm" (LayerNorm, LlamaRMSNorm).
    """
    import torch

    spared: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    for module in model.modules():
        is_norm = type(module).__name__.lower().endswith("norm")
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                (spared if is_norm or "bias" in name else decayed).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": list(dict.fromkeys(decayed)), "weight_decay": recipe.weight_decay},
        {"params": list(dict.fromkeys(spared)), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=True)


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Return the learning rate of a step (from 0): transformers' schedules of the same names.

    https://github.com/huggingface/transformers/blob/main/src/transformers/optimization.py: from 0 up over the first
    round(warmup x total) steps, then linearly or along half a cosine towards 0, or constant.
    """
    warm = round(recipe.warmup * total)
    if step < warm:
        return recipe.lr * step / warm
    done = (step - warm) / max(1, total - warm)
    if recipe.schedule == "linear":
        return recipe.lr * (1 - done)
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))
    if recipe.schedule == "constant":
        return recipe.lr
    raise UsageError(f"unknown schedule {recipe.schedule!r}; known: constant, cosine, linear")
