"""Finds tensors of models' files that can't be meant, or that models leave out.

Those without numbers, those of an adapter in a full model, several of which the model keeps one, and those without a
place in it.

DeepSpeed's ZeRO-3 shares a model's weights out among its workers, and what is saved without gathering them is empty.
https://www.deepspeed.ai/docs/config-json/#zero-optimizations-for-fp16-training
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UnfitModel, first_line
from raysweep.models.identity import weight_files
from raysweep.units import count

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]
BUFFERS = re.compile(r"(inv_freq|position_ids|(attn|attention)\.(masked_)?bias|causal_mask)$")
"""Ends of the names of tensors that older transformers saved and that every model computes itself."""
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
    """Return the shapes of the tensors that a full model's folder holds, by their names; no data is read.

    Raises:
        UnfitModel: a file is damaged.
    """
    files = weight_files(folder) or weight_files(folder, "pytorch_model.bin")
    return {name: shape for file in files for name, shape in shapes_of(file).items()}


def shapes_of(file: Path) -> dict[str, Shape]:
    """Return the shapes of the tensors in one file of weights; raise UnfitModel if it is damaged, such as cut short."""
    import torch
    from safetensors import safe_open

    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "pt") as tensors:
                names = tensors.keys()
                return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
        held = torch.load(file, map_location="meta", weights_only=True).items()
    except Exception as error:  # whatever its parser raises
        raise UnfitModel(
            f"{file} is damaged or holds something else than tensors ({first_line(error)}); copy or download it again"
        ) from error
    return {name: tuple(tensor.shape) for name, tensor in held if isinstance(tensor, torch.Tensor)}


def overwritten(folder: Path, model: Any) -> tuple[str, ...]:
    """Return the names of tensors that a full model's folder holds and that the model ties to one; () if they agree.

    transformers 4 keeps the input embeddings and lets go the others, and transformers 5 keeps all.
    """
    names: dict[int, list[str]] = {}
    for name, weights in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weights), []).append(name)
    several = [tied for tied in names.values() if len(tied) > 1]
    shapes = shapes_in(folder) if several else {}
    for tied in several:
        held = [name for name in shapes if any(f".{of}".endswith(f".{name}") for of in tied)]
        if len(held) > 1 and _differ(folder, held):
            return tuple(held)
    return ()


def _differ(folder: Path, names: Collection[str]) -> bool:
    import torch
    from safetensors import safe_open

    tensors: dict[str, torch.Tensor] = {}
    for file in weight_files(folder):
        with safe_open(file, "pt") as held:
            tensors |= {name: held.get_tensor(name) for name in names if name in held.keys()}  # noqa: SIM118
    if not tensors:
        for file in sorted(folder.glob("pytorch_model*.bin")):
            shard = torch.load(file, map_location="meta", weights_only=True)
            if shard.keys() & names:  # so that no other shard is read
                shard = torch.load(file, map_location="cpu", weights_only=True)
            tensors |= {name: shard[name] for name in names if name in shard}
    first, *others = (tensors[name] for name in names)
    return not all(first.shape == other.shape and torch.equal(first, other.to(first.dtype)) for other in others)


def without_place(model: Any, unexpected: Collection[str]) -> str:
    """Return which tensors of its files a model has no place for, in words; empty: it has one for all that count.

    `unexpected`: their names, as transformers returns them, without those that it leaves out knowingly.
    """
    names = sorted(name for name in unexpected if not BUFFERS.search(name))
    if not names:
        return ""
    which = f"{count(len(names), 'tensor')}, such as {names[0]}"
    return f"its files hold {which}, without a place in transformers' {type(model).__name__}: left out"


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
