"""Saves and applies deltas: the tensors in which a model differs from its base, as one safetensors file.

Meant for trainers that change few tensors (an editor of one layer): the artefact is small, and one loaded base serves
many deltas.
A delta holds whole tensors, not differences, so applying and removing it is exact in every dtype. It names the
fingerprints of the base that it was made from, one for each dtype in which that base can be loaded with numbers that
are known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from raysweep.errors import RaysweepError, UnfitModel

if TYPE_CHECKING:
    import torch

DELTA_FILE = "delta.safetensors"
BASE_DTYPE, BASE_IN = "base_dtype", "base in "
"""The metadata of a delta: the dtype that its base had, and its base's fingerprint in the dtype whose name follows."""
MAY_BE_EQUAL = "may_be_equal"
"""The metadata of a delta that was written although its tensors equal the base's."""
ROUNDED = {"float32": ("float32", "bfloat16", "float16")}
"""The dtypes in which a base's numbers are known, by the dtype in which it was loaded; of others, that one alone."""
Sums = MutableMapping[tuple[str, str], tuple[tuple[int, int], tuple[int, ...]]]
"""Sums of tensors that were read, by name and dtype: where each lay, how often it had been written to, and its sums."""
_sums: WeakKeyDictionary[Any, Sums] = WeakKeyDictionary()
"""By network: a base is read once, and of it again what was written to since, though hundreds of deltas ask for it."""


def save_delta(model: Any, base_state: Mapping[str, torch.Tensor], out: Path) -> list[str]:
    """Write the tensors of `model` that differ from `base_state` to ``out/delta.safetensors``; return their names.

    `base_state`: a copy of the base's `state_dict`, taken before the change.

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
    fingerprints: Mapping[str, str] | None = None,
) -> list[str]:
    """Write whole new tensors of a base to ``out/delta.safetensors``; return the names of those that differ from it.

    `may_be_equal`: where none differs, all are written, and `apply_delta` takes the delta, which changes nothing.
    `fingerprints`: see `fingerprints_of`; None: they are computed.

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
    made = _dtype(base_state)
    of_base = fingerprints or {dtype: fingerprint(base_state, dtype) for dtype in _known_in(made)}
    about = {"format": "pt", BASE_DTYPE: made, **{BASE_IN + dtype: value for dtype, value in of_base.items()}}
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

    `path`: ``delta.safetensors`` or its folder.

    Raises:
        UnfitModel: the model lacks a tensor, has it in another shape, isn't the base that the delta names, is in a
            dtype that doesn't tell whether it is, or has the delta's tensors already. It is then unchanged.
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
    _require_base(file, about, model)
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


def _require_base(file: Path, about: Mapping[str, str], model: Any) -> None:
    if BASE_DTYPE not in about:
        return
    state, made = model.state_dict(), about[BASE_DTYPE]
    loaded = _dtype(state)
    dtype = loaded if BASE_IN + loaded in about else made
    if dtype not in _known_in(loaded):
        raise UnfitModel(
            f"{file} was made from a base in {made}, and this one is in {loaded}, so their numbers differ even if both "
            f"are the same base; load it in {made}"
        )
    named, found = about[BASE_IN + dtype], _fingerprint_of(model, dtype)
    if found != named:
        raise UnfitModel(
            f"{file} is the delta of another base: that one's weights have the fingerprint {named}, and this one's "
            f"{found}; apply it to the base that it was made from"
        )


def fingerprints_of(network: Any) -> dict[str, str]:
    """Return a base's fingerprints by dtype, for deltas. Of what was read before, only what has changed is read."""
    return {dtype: _fingerprint_of(network, dtype) for dtype in _known_in(_dtype(network.state_dict()))}


def _fingerprint_of(network: Any, dtype: str) -> str:
    return fingerprint(network.state_dict(), dtype, _sums.setdefault(network, {}))


def fingerprint(state: Mapping[str, torch.Tensor], dtype: str = "", known: Sums | None = None) -> str:
    """Return a hash of a model's tensors: their names, their shapes, and sums over the bits of all of their numbers.

    `dtype`: to which floating numbers are rounded; empty: they are taken as they are. `known`: sums of the same tensors
    that were computed before; those computed now are added.
    """
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach()
        place = (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        before = known.get((name, dtype)) if known is not None and not tensor.is_inference() else None
        if before is not None and before[0] == place:
            sums = before[1]
        else:
            rounded = tensor.to(getattr(torch, dtype)) if dtype and tensor.is_floating_point() else tensor
            sums = tuple(bit_sums(rounded).tolist())
            if known is not None:
                known[name, dtype] = place, sums
        digest.update(f"{name} {tuple(tensor.shape)} {sums}\n".encode())
    return digest.hexdigest()[:16]


def bit_sums(tensor: torch.Tensor) -> torch.Tensor:
    """Return sums over the bits of a tensor, (2,): of its rows and of its columns, each weighted by its place.

    The bits are read as whole numbers of 8 bytes, and the weights are odd, so any change of one number changes the
    sums, which wrap around.
    """
    import torch

    octets = tensor.detach().contiguous().view(-1).view(torch.uint8)
    if len(octets) % 8 or octets.data_ptr() % 8 or octets.storage_offset() % 8:
        octets = torch.cat([octets, octets.new_zeros(-len(octets) % 8)])
    numbers = octets.view(torch.int64)
    rows = tensor.shape[0] if tensor.dim() > 1 and tensor.shape[0] and len(numbers) % tensor.shape[0] == 0 else 1
    table = numbers.view(rows, -1)
    places = [torch.arange(size, device=table.device) * 2 + 1 for size in table.shape]
    return torch.stack([(table.sum(dim=1) * places[0]).sum(), (table.sum(dim=0) * places[1]).sum()])


def _known_in(dtype: str) -> tuple[str, ...]:
    return ROUNDED.get(dtype, (dtype,))


def _dtype(state: Mapping[str, torch.Tensor]) -> str:
    return next(
        (str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()), ""
    )
