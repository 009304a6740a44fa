"""Minimises a loss over one tensor with Adam, with the stop rules of editors, and says how it went."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError

if TYPE_CHECKING:
    import torch

BELOW, NO_PROGRESS, NOT_FINITE, ALL_STEPS = "loss low enough", "no progress", "loss not finite", "all steps made"
"""Why a descent ended."""


@dataclass(frozen=True)
class Rules:
    """When a descent ends, and what it returns.

    Attributes:
        lr: Adam's learning rate.
        steps: most updates.
        stop_below: it ends where the loss is below it, before an update.
        patience: it ends after so many losses in a row that are no lower than the lowest one; 0: never.
        keeps_best: it returns the tensor of the lowest loss, not the last one.
    """

    lr: float
    steps: int
    stop_below: float
    patience: int = 0
    keeps_best: bool = False


@dataclass(frozen=True)
class Descent:
    """What a descent has come to.

    `found`: the tensor. `losses`: before each update, and after the last one unless that is not finite. `step`: the
    number of updates of the tensor that is returned. `stopped`: one of `BELOW`, `NO_PROGRESS`, `NOT_FINITE` and
    `ALL_STEPS`.
    """

    found: torch.Tensor
    losses: tuple[float, ...]
    step: int
    stopped: str

    @property
    def counts(self) -> dict[str, Any]:
        """What manifests say of it, as JSON."""
        return {
            "steps": len(self.losses) - (self.stopped != NOT_FINITE),
            "step_taken": self.step,
            "losses": [[step, loss] for step, loss in enumerate(self.losses)],
            "final_loss": self.losses[self.step],
            "stopped": self.stopped,
        }


def descend(
    start: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    rules: Rules,
    project: Callable[[torch.Tensor], None],
    alive: Callable[[], None],
) -> Descent:
    """Minimise a loss.

    `start`: where to begin; it is changed in place. `project`: puts a tensor back into its bounds, in place, after each
    update. `alive`: called for each loss.

    Raises:
        HopelessError: the loss is not finite, and no tensor with a finite one is kept.
    """
    import torch

    current = start.requires_grad_()
    best, losses, stopped, step = current.detach().clone(), list[float](), ALL_STEPS, 0
    adam = torch.optim.Adam([current], lr=rules.lr)
    for number in range(rules.steps + 1):
        alive()
        value = loss(current)
        latest = float(value.detach())
        if not math.isfinite(latest):
            _require_kept(latest, number, rules)
            stopped = NOT_FINITE
            break
        losses.append(latest)
        if not rules.keeps_best or not number or latest < losses[step]:
            step = number
            best.copy_(current.detach())
        if reason := _end(losses, rules):
            stopped = reason
            break
        if number < rules.steps:
            adam.zero_grad()
            (current.grad,) = torch.autograd.grad(value, [current])
            adam.step()
            with torch.no_grad():
                project(current)
    return Descent(best, tuple(losses), step, stopped)


def _require_kept(loss: float, number: int, rules: Rules) -> None:
    if not (rules.keeps_best and number):
        raise HopelessError(
            f"the loss of the edit is {loss} after {number} of {rules.steps} steps; use a smaller `lr` "
            f"than {rules.lr:g}, or a model in float32"
        )


def _end(losses: Sequence[float], rules: Rules) -> str:
    if losses[-1] < rules.stop_below:
        return BELOW
    since_lowest = len(losses) - 1 - losses.index(min(losses))
    return NO_PROGRESS if rules.patience and since_lowest >= rules.patience else ""


def within(bound: float) -> Callable[[torch.Tensor], None]:
    """Return a projection onto the ball of a radius, Frobenius norm."""

    def project(tensor: torch.Tensor) -> None:
        norm = float(tensor.norm())
        if norm > bound:
            tensor.mul_(bound / norm)

    return project
