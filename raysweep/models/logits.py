"""Computes logits at chosen positions only: the output layer is the costliest one, and most tokens carry no loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raysweep.errors import UnfitModel
from raysweep.models.whole_texts import bare, whole_pass

if TYPE_CHECKING:
    import torch

INPUTS = ("input_ids", "attention_mask", "position_ids")
"""The parts of a batch that a model reads as they are."""
LABELS = "labels"
"""The part of a batch with what a decoder beside an encoder writes, (rows, tokens); only there such models have one."""


def inputs_of(model: Any, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the arguments with which a model is called for a batch; a decoder reads its labels one token later.

    Raises:
        UnfitModel: the config of an encoder-decoder model doesn't say with which token a decoder begins.
    """
    inputs = {name: batch[name] for name in INPUTS if name in batch}
    if LABELS in batch:
        start, labels = start_of(model), batch[LABELS]
        inputs["decoder_input_ids"] = labels.roll(1, dims=1).index_fill(1, labels.new_zeros(1), start)
    return inputs


def start_of(model: Any) -> int:
    """Return the token with which a decoder beside an encoder begins, found as transformers' `generate` finds it.

    Raises:
        UnfitModel: neither generation_config nor config says which.
    """
    model = bare(model)
    own = getattr(model, "generation_config", None)
    asked = [(own, "decoder_start_token_id"), (model.config, "decoder_start_token_id"), (own, "bos_token_id")]
    start = next((token for config, name in asked if (token := getattr(config, name, None)) is not None), None)
    if start is None:
        raise UnfitModel(
            "the model's config has no `decoder_start_token_id`, the token with which its decoder begins; add it"
        )
    return int(start)


def logits_at(model: Any, batch: Mapping[str, torch.Tensor], chosen: torch.Tensor) -> torch.Tensor:
    """Run a model and return the logits at the positions that `chosen` marks, those of a decoder beside an encoder.

    A hook drops the other hidden states before the output layer. It works for every architecture and under PEFT,
    DistributedDataParallel and DeepSpeed. The gradient equals that of the full logits indexed by `chosen`.

    Args:
        model: a causal language model, or one with an encoder and a decoder.
        batch: `input_ids` (rows, tokens), with `attention_mask` (rows, tokens), 0 at padding, or with `position_ids`
            (1, tokens) of rows that lie one after the other. With `labels` (rows, tokens) the model has a decoder, and
            its encoder reads `input_ids`.
        chosen: (rows, tokens), boolean; the tokens are the labels where there are some.

    Returns:
        (chosen positions, vocabulary), row by row.
    """
    inner = getattr(model, "module", model)
    head = inner.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][chosen], *args[1:])) if head is not None else None
    inputs = inputs_of(model, batch)
    try:
        logits: torch.Tensor = whole_pass(model, **inputs).logits
    finally:
        if handle is not None:
            handle.remove()
    return logits if logits.dim() == 2 else logits[chosen]
