"""The contract of a sharding: it wraps a model, adds up gradients, steps, writes checkpoints and gathers weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Sharding(ABC):
    """A model in training on one worker, together with its optimizer. Every method is called on all workers alike.

    Attributes:
        replica: the model to call in an objective.
        can_repeat: a step that ran out of memory on this worker can be repeated without the other workers.
    """

    replica: Any
    can_repeat: bool = False

    @abstractmethod
    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the forward pass runs."""

    def one_step(self) -> AbstractContextManager[Any]:
        """Return the context of all forward and backward passes of a step."""
        return nullcontext()

    def one_pass(self, last: bool) -> AbstractContextManager[Any]:
        """Return the context of a forward pass and its backward pass. `last`: no other pass of this step follows."""
        return nullcontext()

    @abstractmethod
    def drop_gradients(self) -> None:
        """Forget the gradients of a step that can't be finished."""

    @abstractmethod
    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Add a loss's gradients to those of the step.

        Args:
            loss: a scalar. The step's loss is the sum of such losses over all its forward passes and all workers.
            last: no other forward pass of this step follows.
        """

    @abstractmethod
    def step(self, learning_rate: float) -> float | torch.Tensor | None:
        """Clip the step's gradients, update the weights and return the gradients' norm before clipping.

        Returns None, without an update, if a float16 gradient was too large for the loss scale, which is halved then.
        """

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write this worker's part of weights, optimizer and loss scale into a checkpoint's folder."""

    @abstractmethod
    def read(self, folder: Path) -> None:
        """Restore what `write` wrote, on as many workers as wrote it.

        Raises:
            HopelessError: the checkpoint is of another model or recipe.
        """

    @abstractmethod
    def trained(self) -> Mapping[str, torch.Tensor]:
        """Return copies of the trained weights in the memory of rank 0's CPU, in float32; other workers get none."""

    @abstractmethod
    def put_back(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Have this worker's model, or what `weights` returns, take what `trained` returned. No step follows."""

    @abstractmethod
    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return all weights on rank 0, trained ones in float32, as `state_dict` names them; None: the model has them.

        Other workers than rank 0 get an empty mapping or None.
        """
