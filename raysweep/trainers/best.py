"""Keeps the weights of the epoch with the lowest validation loss, for recipes with `keep: best`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import torch

BEST, LAST = "best", "last"
"""The values of a recipe's `keep`: which epoch's weights are the model."""
KEPT_STEP = "kept_step"
"""Among what a training with `keep: best` reports: the step whose weights are the model."""
WEIGHTS_FILE = "best.pt"
"""The file in a checkpoint with the best epoch's weights."""


class BestEpoch:
    """The best epoch of a training so far; of equal ones, the first. All workers decide alike.

    The first worker holds a copy of its trained weights in the CPU's memory.

    Attributes:
        step: steps until the end of that epoch; 0: none yet.
        loss: its validation loss.
    """

    def __init__(self, sharding: Sharding) -> None:
        self.step, self.loss = 0, math.inf
        self._sharding = sharding
        self._weights: Mapping[str, torch.Tensor] = {}

    def ends(self, step: int, loss: float, is_last: bool) -> bool:
        """Take note of an epoch and return whether it is the best so far. Called on every worker.

        `loss`: its validation loss; the same on all workers. `is_last`: no other epoch follows, so the model itself has
        the weights.
        """
        if not loss < self.loss:
            return False
        self.step, self.loss = step, loss
        self._weights = {} if is_last else self._sharding.trained()
        return True

    def put_back(self, total: int, label: str) -> None:
        """Put back the best epoch's weights after `total` steps; raise HopelessError if no loss was finite."""
        if not self.step:
            raise HopelessError(f"{label}: no epoch has a finite validation loss by which `keep: best` could choose")
        if self.step < total:
            self._sharding.put_back(self._weights)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps for all workers."""
        return {"best": [self.step, self.loss]}

    def write(self, folder: Path) -> None:
        """Write the weights into a checkpoint's folder. Called on the first worker."""
        import torch

        if self.step:
            torch.save(dict(self._weights), folder / WEIGHTS_FILE)

    def restore(self, state: Mapping[str, Any], folder: Path, rank: int) -> None:
        """Go on from what `state` returned and `write` wrote. `rank`: this worker's."""
        import torch

        self.step, self.loss = int(state["best"][0]), float(state["best"][1])
        if self.step and rank == 0:
            self._weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
