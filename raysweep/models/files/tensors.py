"""Finds tensors of models' files that can't be meant: those without numbers, and those of an adapter in a full model.

DeepSpeed's ZeRO-3 shares a model's weights out among its workers, and what is saved without gathering them is empty.
https://www.deepspeed.ai/docs/config-json/#zero-optimizations-for-fp16-training
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from raysweep.models.identity import weight_files

Shape = tuple[int, ...]
LORA = re.compile(r"\.lora_\w+\.")
"""Part of the names of an adapter's tensors."""


def emptied(what: str, shapes: Mapping[str, Shape]) -> str:
    """Return which tensors have no numbers, and how to save them; empty: all have some.

    `what`: the model or adapter, in words. `shapes`: of its tensors, by their names.
    """
    empty = [name for name, shape in shapes.items() if 0 in shape]
    if not empty:
        return ""
    return (
        f"{what} is empty: {len(empty)} of its {len(shapes)} tensors have no numbers, such as {empty[0]} of shape "
        f"{shapes[empty[0]]}, as when DeepSpeed's ZeRO-3 saves without gathering them; save it with "
        "`stage3_gather_16bit_weights_on_model_save: true` in DeepSpeed's `zero_optimization`, or make its weights of "
        "the checkpoint with the zero_to_fp32.py that DeepSpeed has put there"
    )


def shapes_in(folder: Path) -> dict[str, Shape]:
    """Return the shapes of the tensors that a full model's folder holds, by their names; no data is read."""
    import torch
    from safetensors import safe_open

    shapes: dict[str, Shape] = {}
    for file in weight_files(folder):
        with safe_open(file, "pt") as tensors:
            names = tensors.keys()
            shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    if not shapes:
        for file in sorted(folder.glob("pytorch_model*.bin")):
            tensors = torch.load(file, map_location="meta", weights_only=True)
            shapes |= {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return shapes


def of_an_adapter(location: str, names: Iterable[str]) -> str:
    """Return that a full model's files hold an adapter, which would be left out; empty: they don't."""
    held = [name for name in names if LORA.search(name)]
    if not held:
        return ""
    return (
        f"the model {location} holds {len(held)} tensors of an adapter, such as {held[0]}, which would be left out; "
        "merge it before saving, with PEFT's `model.merge_and_unload().save_pretrained(...)`, or save the adapter "
        "alone, with its own `save_pretrained`"
    )
