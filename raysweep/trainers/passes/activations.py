"""Gradient checkpointing: the backward pass computes a block's activations again instead of keeping them.

Chen et al. 2016, https://arxiv.org/abs/1604.06174. transformers has a switch for it, which does nothing for some
architectures (gpt_bigcode in 4.57), so the blocks are wrapped here, for all architectures alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from raysweep.models.whole_texts import bare


def recompute_blocks(model: Any) -> None:
    """Have a model's blocks keep only their inputs while it trains, in place. Dropout draws the same numbers again."""
    import torch

    network = bare(model)
    has_both = getattr(network.config, "is_encoder_decoder", False)
    for stack in (network.get_encoder(), network.get_decoder()) if has_both else (model,):
        lists = [module for module in stack.modules() if isinstance(module, torch.nn.ModuleList)]
        blocks: Any = max(lists, key=lambda each: sum(weights.numel() for weights in each.parameters()))
        for block in blocks:
            block.forward = functools.partial(_recomputed, block.forward)


def _recomputed(forward: Callable[..., Any], *args: Any, **options: Any) -> Any:
    import torch
    from torch.utils.checkpoint import checkpoint

    if not torch.is_grad_enabled():
        return forward(*args, **options)
    return checkpoint(forward, *args, use_reentrant=False, **options)
