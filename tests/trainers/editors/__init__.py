"""Editors, on all architectures whose models can be edited."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from raysweep.models.families.base import FAMILIES
from raysweep.trainers.editors.base import ModelEdit
from tests.models.tiny import cases

NAMES = tuple(name for name in FAMILIES.names() if FAMILIES.get(name).paths is not None)
"""The families that say where their blocks are."""
EDITED = cases(NAMES, ("llama", "codegen"))
"""For what depends on where things are: blocks one after the other, and with their two parts side by side."""
FIRST = cases(NAMES, ("llama",))
"""For what doesn't."""


def digest(edit: ModelEdit) -> dict[str, Any]:
    """Return what is equal of two equal edits: hashes of tensors and files, and the counts that aren't measured."""
    counts = {name: edit.counts[name] for name in edit.counts.keys() - {"seconds", "cpu_seconds", "memory_bytes"}}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in edit.adapter.items()}
    return {"tensors": _hashes(edit.tensors), "files": files, "counts": counts, "blocks": list(edit.blocks)}


def _hashes(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    contents = {name: tensor.detach().cpu().contiguous().flatten() for name, tensor in tensors.items()}
    return {name: hashlib.sha256(one.view(torch.uint8).numpy()).hexdigest() for name, one in contents.items()}
