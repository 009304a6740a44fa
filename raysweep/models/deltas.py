"""Saves and applies deltas: the tensors in which a model differs from its base, as one safetensors file.

Meant for trainers that change few tensors (an editor of one layer): the artefact is small, and one loaded base serves
many deltas.
A delta holds whole tensors, not differences, so applying and removing it is exact in every dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError

if TYPE_CHECKING:
    import torch

DELTA_FILE = "delta.safetensors"


def save_delta(model: Any, base_state: Mapping[str, torch.Tensor], out: Path) -> list[str]:
    """Write the tensors of `model` that differ from `base_state` to ``out/delta.safetensors``; return their names.

    Args:
        model: the changed model, of the base's architecture.
        base_state: a copy of the base's `state_dict`, taken before the change.
        out: an existing folder.

    Raises:
        RaysweepError: no tensor differs, or the model and its base have different sets of tensors.
    """
    import torch
    from safetensors.torch import save_file

    state = model.state_dict()
    if unmatched := sorted(state.keys() ^ base_state.keys()):
        raise RaysweepError(f"can't save a delta: tensor {unmatched[0]!r} is not in both the model and its base")
    changed = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in state.items()
        if not torch.equal(tensor, base_state[name].to(tensor.device))
    }
    if not changed:
        raise RaysweepError("can't save a delta: every tensor equals the base's")
    save_file(changed, out / DELTA_FILE, metadata={"format": "pt"})
    return sorted(changed)


def apply_delta(model: Any, path: Path) -> Callable[[], None]:
    """Copy a delta's tensors into a loaded base, in place; return a function that restores the base bit for bit.

    Args:
        model: the base that the delta was saved against.
        path: ``delta.safetensors`` or its folder.

    Raises:
        RaysweepError: the model lacks a tensor, or has it in another shape. The model is then unchanged.
    """
    import torch
    from safetensors.torch import load_file

    file = path / DELTA_FILE if path.is_dir() else path
    delta, state = load_file(file), model.state_dict()
    for name, tensor in delta.items():
        if name not in state or state[name].shape != tensor.shape:
            expected = tuple(state[name].shape) if name in state else "none"
            raise RaysweepError(
                f"{file} is no delta of this model: tensor {name!r} has shape {tuple(tensor.shape)}, "
                f"the model's {expected}"
            )
    base_tensors = {name: state[name].detach().clone() for name in delta}

    def write(tensors: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in tensors.items():
                state[name].copy_(tensor)

    write(delta)
    return lambda: write(base_tensors)
