"""Does what a sweep will write fit on the disk? A rough estimate, so that a night's work does not end on a full one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raysweep.errors import UsageError
from raysweep.machine import disk
from raysweep.models.loading import weight_bytes
from raysweep.plans import CellPlan
from raysweep.records import ModelKind
from raysweep.storage.store import Store
from raysweep.terminal import count, size
from raysweep.trainers.base import TRAINERS

LEAST = 2**25
"""Bytes that must be free in any case: rows, logs, Ray's own files."""
OF_WEIGHTS = 2
"""Bytes of a float32 tensor over those of the 16-bit one that base models come as."""
CHECKPOINTS = 6
"""Float32 tensors of a checkpoint, weights and two moments, the old one and the new one."""


def require_space(store: Store, cells: Sequence[CellPlan], at_once: int) -> None:
    """Raise UsageError when the disk of a store has too little space for the cells' models and checkpoints.

    Args:
        store: in an object store nothing is checked.
        cells: those that are missing.
        at_once: how many of them keep checkpoints at a time; 0: none.
    """
    if store.files.local is None:
        return
    models = [weights for cell in cells if (weights := _full_bytes(cell, store))]
    checkpoints = sum(sorted(models, reverse=True)[:at_once]) * CHECKPOINTS
    needed, free = LEAST + sum(models) + checkpoints, disk(store.files.local).free
    if needed > free:
        what = f" ({count(len(models), 'fully fine-tuned model')} and their checkpoints)" if models else ""
        raise UsageError(
            f"storage {store.root!r} has {size(free)} free, and this sweep needs about {size(needed)}{what}; free "
            "some, give another --storage, or take fewer models" + (" (LoRA keeps small ones)" if models else "")
        )


def _full_bytes(cell: CellPlan, store: Store) -> int:
    """Return the size of the whole weights that a cell will train; 0 for an adapter, or where it isn't known."""
    if cell.model is None or cell.recipe is None or cell.base.ref is None or store.has(cell.model):
        return 0
    if TRAINERS.get(cell.recipe.trainer).kind is not ModelKind.FULL:
        return 0
    return OF_WEIGHTS * weight_bytes(Path(cell.base.ref.location))
