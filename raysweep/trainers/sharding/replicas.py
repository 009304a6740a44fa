"""A whole model on each worker: plain training on one, DistributedDataParallel on several."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.errors import HopelessError
from raysweep.models.architectures.shape import BYTES
from raysweep.trainers.base import Recipe
from raysweep.trainers.optimizer import make_optimizer, torch_name
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "weights.pt"


class Replicas(Sharding):
    """Trains whole copies of a model that stay equal, since all get the mean of the workers' gradients.

    float16 multiplies losses by a scale that keeps small gradients above zero; where a gradient isn't finite, the step
    is done again with half the scale (Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740).
    """

    def __init__(self, model: Any, recipe: Recipe, device: torch.device, world_size: int) -> None:
        import torch

        self.model, self._recipe, self._device, self._world_size = model, recipe, device, world_size
        self.optimizer = make_optimizer(model, recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self.can_repeat = world_size == 1
        self.replica = torch.compile(model, dynamic=True) if recipe.compile else model
        if world_size > 1:
            from torch.nn.parallel import DistributedDataParallel

            devices = [device] if device.type == "cuda" else None
            self.replica = DistributedDataParallel(self.replica, device_ids=devices, broadcast_buffers=False)
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    @override
    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        precision = self._recipe.precision
        dtype = getattr(torch, torch_name(precision))
        return torch.autocast(self._device.type, dtype) if BYTES[precision] == 2 else contextlib.nullcontext()

    @override
    def one_step(self) -> contextlib.AbstractContextManager[Any]:
        """Weights are converted to 16 bits once a step: autocast keeps the copies until its outermost block ends.

        Where blocks are computed again, memory counts more, and the copies go after each forward pass.
        """
        import torch

        if BYTES[self._recipe.precision] == 4 or self._recipe.gradient_checkpointing:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, enabled=False)

    @override
    def drop_gradients(self) -> None:
        self.optimizer.zero_grad()

    @override
    def one_pass(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """The workers exchange gradients in the step's last one; DDP decides at its start."""
        return contextlib.nullcontext() if last or self._world_size == 1 else self.replica.no_sync()

    @override
    def backward(self, loss: torch.Tensor, last: bool) -> None:
        self.scaler.scale(loss * self._world_size).backward()  # DDP takes the mean over the workers
        if self._recipe.compat == "safecoder":
            self._clip()

    @override
    def step(self, learning_rate: float) -> float | torch.Tensor | None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.scaler.unscale_(self.optimizer)
        norm = self._clip() if self._recipe.compat != "safecoder" else self._norm
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return norm if self.scaler.get_scale() >= before else None

    def _clip(self) -> torch.Tensor:
        import torch

        if self._recipe.clip_value is None:
            self._norm = torch.nn.utils.clip_grad_norm_(self._trained, self._recipe.clip)
        else:
            gradients = [parameter.grad for parameter in self._trained if parameter.grad is not None]
            self._norm = torch.nn.utils.get_total_norm(gradients)
            torch.nn.utils.clip_grad_value_(self._trained, self._recipe.clip_value)
        return self._norm

    @override
    def write(self, folder: Path) -> None:
        """Rank 0 writes everything, since all workers have the same."""
        import torch

        if not self._is_first():
            return
        content = {
            "optimizer": self.optimizer.state_dict(),
            "weights": _trained_tensors(self.model),
            "scaler": self.scaler.state_dict(),
        }
        torch.save(content, folder / WEIGHTS_FILE)

    @override
    def read(self, folder: Path) -> None:
        import torch

        if not (folder / WEIGHTS_FILE).exists():
            raise HopelessError(f"the checkpoint {folder} is of another training; remove the folder")
        content = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
        weights = _trained_tensors(self.model)
        if unmatched := sorted(weights.keys() ^ content.get("weights", {}).keys()):
            reason = f"tensor {unmatched[0]!r} is not in both"
            raise HopelessError(f"the checkpoint {folder} is of another training: {reason}; remove the folder")
        with torch.no_grad():
            for name, tensor in weights.items():
                tensor.copy_(content["weights"][name])
        self.optimizer.load_state_dict(content["optimizer"])
        self.scaler.load_state_dict(content["scaler"])

    @override
    def trained(self) -> Mapping[str, torch.Tensor]:
        tensors = _trained_tensors(self.model) if self._is_first() else {}
        return {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()}

    @override
    def put_back(self, weights: Mapping[str, torch.Tensor]) -> None:
        tensors = _trained_tensors(self.model)
        for name, tensor in weights.items():
            tensors[name].copy_(tensor)

    def _is_first(self) -> bool:
        import torch

        return self._world_size == 1 or torch.distributed.get_rank() == 0

    @override
    def weights(self) -> Mapping[str, torch.Tensor] | None:
        return None


def _trained_tensors(model: Any) -> dict[str, torch.Tensor]:
    """Return a model's trainable tensors by name, without a graph; they share memory with the model's."""
    return {name: tensor.detach() for name, tensor in model.named_parameters() if tensor.requires_grad}
