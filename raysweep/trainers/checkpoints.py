"""The state of a training between two steps, on disk.

Rows and random numbers are functions of the step, so the state is weights, optimizer, step and what was counted. Only
trainable tensors are kept: the others are the base model's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError

if TYPE_CHECKING:
    import torch

FILE = "state.pt"


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known after `step` steps. `unreported`: (steps since the last report, 2), sums and normalisers."""

    step: int
    tokens: int
    unreported: torch.Tensor


def write_checkpoint(folder: Path, model: Any, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a checkpoint into an empty folder."""
    import torch

    state = {
        "step": progress.step,
        "tokens": progress.tokens,
        "unreported": progress.unreported,
        "optimizer": optimizer.state_dict(),
        "weights": _trainable(model),
    }
    torch.save(state, folder / FILE)


def read_checkpoint(folder: Path, model: Any, optimizer: torch.optim.Optimizer) -> Progress:
    """Put a checkpoint's weights and optimizer state in place and return how far it was.

    Raises:
        HopelessError: it is of another model or recipe.
    """
    import torch

    state = torch.load(folder / FILE, map_location="cpu", weights_only=True)
    weights = _trainable(model)
    if odd := sorted(weights.keys() ^ state["weights"].keys()):
        what = f"tensor {odd[0]!r} is not in both"
        raise HopelessError(f"the checkpoint {folder} is of another training: {what}; remove the folder")
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(state["weights"][name])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(state["step"], state["tokens"], state["unreported"])


def _trainable(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}
