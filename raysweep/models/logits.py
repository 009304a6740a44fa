"""Computes logits at chosen positions only: the output layer is the costliest one, and most tokens carry no loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raysweep.models.whole_texts import whole_pass

if TYPE_CHECKING:
    import torch

INPUTS = ("input_ids", "attention_mask", "position_ids")
"""The parts of a batch that a model reads."""


def logits_at(model: Any, batch: Mapping[str, torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
    """Run a causal model and return the logits at the positions that `chosen` marks.

    A hook drops the other hidden states before the output layer. It works for every architecture and under PEFT,
    DistributedDataParallel and DeepSpeed. The gradient equals that of the full logits indexed by `chosen`.

    Args:
        model: a causal language model.
        batch: `input_ids` (rows, tokens), with `attention_mask` (rows, tokens), 0 at padding, or with `position_ids`
            (1, tokens) of rows that lie one after the other.
        chosen: (rows, tokens), boolean.

    Returns:
        (chosen positions, vocabulary), row by row.
    """
    inner = getattr(model, "module", model)
    head = inner.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][chosen], *args[1:])) if head is not None else None
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    try:
        logits: torch.Tensor = whole_pass(model, **inputs).logits
    finally:
        if handle is not None:
            handle.remove()
    return logits if logits.dim() == 2 else logits[chosen]
