"""Checks that stop a training that can't be right before it costs GPU-hours, and refuse a broken model after it.

Each check prevents a silent failure that users of similar tools reported: adapters that were never applied, saved
weights that were empty, end-of-text tokens without loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError
from raysweep.trainers.batching import collate

if TYPE_CHECKING:
    import torch


def check_trainable(model: Any) -> int:
    """Return the number of trainable weights; raise HopelessError when there is none."""
    count = sum(int(parameter.numel()) for parameter in model.parameters() if parameter.requires_grad)
    if not count:
        raise HopelessError("no tensor of the model is trainable; check the recipe's `lora.targets`")
    return count


def check_eos(rows: Sequence[Mapping[str, list[Any]]], ends: Collection[int]) -> None:
    """Raise HopelessError unless every encoded row ends with one of `ends`, and with loss, which teaches to stop."""
    for number, row in enumerate(rows):
        if row["input_ids"][-1] not in ends or not row["weights"][-1] > 0:
            raise HopelessError(f"the objective gives no loss to the end-of-text token of row {number}")


def check_adapter_acts(model: Any, row: Mapping[str, list[Any]]) -> None:
    """Raise HopelessError unless the adapter changes the logits once its zero-initialised half is filled.

    Args:
        model: a PEFT model; its weights are restored afterwards, and it is left in evaluation mode.
        row: one encoded row.
    """
    import torch

    batch = collate([row], len(row["input_ids"]))
    zero_halves = [parameter for name, parameter in model.named_parameters() if "lora_B" in name]
    model.eval()
    with torch.no_grad():
        before = [half.clone() for half in zero_halves]
        for half in zero_halves:
            half.fill_(0.1)
        with_adapter = _logits(model, batch)
        with model.disable_adapter():
            without_adapter = _logits(model, batch)
        for half, value in zip(zero_halves, before, strict=True):
            half.copy_(value)
    if torch.equal(with_adapter, without_adapter):
        raise HopelessError("the adapter doesn't change the model's logits; check the recipe's `lora.targets`")


def check_saved(out: Path, expected: Iterable[Collection[str]]) -> None:
    """Raise HopelessError unless the saved tensors are complete, finite and not empty, and no matrix is all zero.

    Args:
        out: the folder, with its weights in safetensors files.
        expected: the names of each tensor; a tied tensor has several names and may be saved under any of them.
    """
    from safetensors import safe_open

    saved: set[str] = set()
    for path in sorted(out.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in list(file.keys()):
                saved.add(name)
                if defect := _defect(file.get_tensor(name)):
                    raise HopelessError(f"the trained tensor {name!r} in {path} {defect}")
    missing = sorted(min(names) for names in expected if not saved.intersection(names))
    if missing:
        raise HopelessError(f"the saved model in {out} lacks {len(missing)} tensors, {missing[0]!r} among them")


def _defect(tensor: torch.Tensor) -> str:
    if not tensor.numel():
        return "is empty"
    if not tensor.isfinite().all():
        return "has values that are not finite; a lower `lr` or `precision: float32` may help"
    return "is all zero, so it was not trained" if tensor.dim() > 1 and not tensor.any() else ""


def _logits(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return logits
