"""The optimizer over a model's trainable tensors, the schedules of its learning rate, and names of number formats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.trainers.base import Recipe

if TYPE_CHECKING:
    import torch


def make_optimizer(model: Any, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer over the trainable tensors, without weight decay for biases, norms and IA3's vectors.

    Adafactor (Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235) is transformers', by the recipe's learning
    rate alone: steps aren't scaled by the size of weights, and there is no first moment.

    IA3's vectors would be pulled from 1 to 0. With `compat: safecoder` norms are spared only where their name has
    "bias" or "LayerNorm.weight", as in SafeCoder.
    """
    import torch

    undecayed: list[torch.nn.Parameter] = []
    decayed: list[torch.nn.Parameter] = []
    for place, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            spared = is_norm(module) or "bias" in name or "ia3_l" in place
            if recipe.compat == "safecoder":
                spared = any(part in f"{place}.{name}" for part in ("bias", "LayerNorm.weight", "ia3_l"))
            if parameter.requires_grad:
                (undecayed if spared else decayed).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": list(dict.fromkeys(decayed)), "weight_decay": recipe.weight_decay},
        {"params": list(dict.fromkeys(undecayed)), "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(groups, lr=recipe.lr, scale_parameter=False, relative_step=False)
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas, eps=recipe.eps, fused=True)


def is_norm(module: Any) -> bool:
    """Return True for a module whose class name ends in "norm", such as LayerNorm and LlamaRMSNorm."""
    return type(module).__name__.lower().endswith("norm")


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Return the learning rate of a step (from 0).

    It rises from 0 over the first round(warmup x total) steps, then stays constant or falls towards 0, linearly or
    along half a cosine. These are transformers' schedules of the same names:
    https://github.com/huggingface/transformers/blob/main/src/transformers/optimization.py
    """
    warmup_steps = round(recipe.warmup * total)
    if step < warmup_steps:
        return recipe.lr * step / warmup_steps
    done = (step - warmup_steps) / max(1, total - warmup_steps)
    if recipe.schedule == "linear":
        return recipe.lr * (1 - done)
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))
    if recipe.schedule == "constant":
        return recipe.lr
    raise UsageError(f"unknown schedule {recipe.schedule!r}; known: constant, cosine, linear")


def torch_name(precision: str) -> str:
    """Return torch's name for the tensors of a recipe's precision: float32, bfloat16 or float16."""
    return {"bf16": "bfloat16", "tf32": "float32"}.get(precision, precision)
