"""Saves and applies deltas: the tensors in which a model differs from its base, as one safetensors file.

Meant for trainers that change few tensors (an editor of one layer): the artefact is small, and one loaded base serves
many deltas.
A delta holds whole tensors, not differences, so applying and removing it is exact in every dtype. It names the
fingerprint of the base that it was made from; deltas of before it did so are put on any base that they fit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError, UnfitModel

if TYPE_CHECKING:
    import torch

DELTA_FILE = "delta.safetensors"
BASE, BASE_DTYPE = "base", "base_dtype"
"""The metadata of a delta: its base's fingerprint, and the dtype that the base had."""
MAY_BE_EQUAL = "may_be_equal"
"""The metadata of a delta that was written although its tensors equal the base's."""
VALUES = 1024
"""Numbers of each tensor that enter a base's fingerprint."""


def save_delta(model: Any, base_state: Mapping[str, torch.Tensor], out: Path) -> list[str]:
    """Write the tensors of `model` that differ from `base_state` to ``out/delta.safetensors``; return their names.

    Args:
        model: the changed model, of the base's architecture.
        base_state: a copy of the base's `state_dict`, taken before the change.
        out: an existing folder.

    Raises:
        RaysweepError: no tensor differs, or the model and its base have different sets of tensors.
    """
    state = model.state_dict()
    if unmatched := sorted(state.keys() ^ base_state.keys()):
        raise RaysweepError(f"can't save a delta: tensor {unmatched[0]!r} is not in both the model and its base")
    return write_delta(state, base_state, out)


def write_delta(
    changed: Mapping[str, torch.Tensor],
    base_state: Mapping[str, torch.Tensor],
    out: Path,
    *,
    may_be_equal: bool = False,
) -> list[str]:
    """Write whole new tensors of a base to ``out/delta.safetensors``; return the names of those that differ from it.

    Args:
        changed: the tensors, by their names in the base's state.
        base_state: the base's `state_dict`.
        out: an existing folder.
        may_be_equal: where none differs, all are written, and `apply_delta` takes the delta, which changes nothing.

    Raises:
        RaysweepError: none differs from the base's, and that is not allowed.
    """
    import torch
    from safetensors.torch import save

    differing = {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in changed.items()
        if not torch.equal(tensor, base_state[name].to(tensor.device))
    }
    about = {"format": "pt", BASE: fingerprint(base_state), BASE_DTYPE: _dtype(base_state)}
    if not differing and not may_be_equal:
        raise RaysweepError("can't save a delta: every tensor equals the base's")
    if not differing:
        about[MAY_BE_EQUAL] = "yes"
    written = differing or {name: tensor.detach().cpu().contiguous().clone() for name, tensor in changed.items()}
    (out / DELTA_FILE).write_bytes(_in_order(save(written, metadata=about)))
    return sorted(differing)


def _in_order(content: bytes) -> bytes:
    """Return a safetensors file with the entries of its header in order; as written, those of metadata are in any."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8
    return len(header).to_bytes(8, "little") + header + content[end:]


def apply_delta(model: Any, path: Path) -> Callable[[], None]:
    """Copy a delta's tensors into a loaded base, in place; return a function that restores the base bit for bit.

    Args:
        model: the base that the delta was saved against.
        path: ``delta.safetensors`` or its folder.

    Raises:
        UnfitModel: the model lacks a tensor, has it in another shape, isn't the base that the delta names, or has the
            delta's tensors already. It is then unchanged.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    file = path / DELTA_FILE if path.is_dir() else path
    delta, state = load_file(file), model.state_dict()
    for name, tensor in delta.items():
        if name not in state or state[name].shape != tensor.shape:
            expected = tuple(state[name].shape) if name in state else "none"
            raise UnfitModel(
                f"{file} is no delta of this model: tensor {name!r} has shape {tuple(tensor.shape)}, "
                f"the model's {expected}"
            )
    with safe_open(file, "pt") as opened:
        about = opened.metadata() or {}
    if BASE in about and _are_comparable(about.get(BASE_DTYPE, ""), _dtype(state)):
        found = fingerprint(state)
        if found != about[BASE]:
            raise UnfitModel(
                f"{file} is the delta of another base: that one's weights have the fingerprint {about[BASE]}, and this "
                f"one's {found}; apply it to the base that it was made from"
            )
    is_equal = all(torch.equal(state[name], tensor.to(state[name])) for name, tensor in delta.items())
    if is_equal and MAY_BE_EQUAL not in about:
        raise UnfitModel(
            f"{file} changes nothing: each of its {len(delta)} tensors equals the base's in {_dtype(state)}"
        )
    base_tensors = {name: state[name].detach().clone() for name in delta}

    def write(tensors: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in tensors.items():
                state[name].copy_(tensor)

    write(delta)
    return lambda: write(base_tensors)


def fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """Return a hash of a model's tensors: their names, their shapes, and some of their numbers.

    It doesn't depend on the dtype, as long as that has bfloat16's range: the numbers are rounded to bfloat16.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        numbers = state[name].detach().flatten()
        some = numbers[:: max(1, len(numbers) // VALUES)].to(torch.bfloat16).cpu()
        digest.update(f"{name} {tuple(state[name].shape)}\n".encode())
        digest.update(some.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _dtype(state: Mapping[str, torch.Tensor]) -> str:
    """Return the dtype of a model's tensors, such as float32; of several, that of the first floating one."""
    return next(
        (str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()), ""
    )


def _are_comparable(one: str, other: str) -> bool:
    """Return whether two dtypes give the numbers of a model the same fingerprint: float16 rounds in its own way."""
    return one == other or "float16" not in (one, other)
