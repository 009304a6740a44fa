"""The losses that editors share, and their descent over one tensor with Adam, stop rules included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError
from raysweep.trainers.editors.states import Matrix, logits_of

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
            if not (rules.keeps_best and number):
                raise not_finite(latest, number, rules.steps, rules.lr)
            stopped = NOT_FINITE
            break
        losses.append(latest)
        if not rules.keeps_best or not number or latest < losses[step]:
            step = number
            best.copy_(current.detach())
        if latest < rules.stop_below:
            stopped = BELOW
            break
        if rules.patience and number - losses.index(min(losses)) >= rules.patience:
            stopped = NO_PROGRESS
            break
        if number < rules.steps:
            adam.zero_grad()
            (current.grad,) = torch.autograd.grad(value, [current])
            adam.step()
            with torch.no_grad():
                project(current)
    return Descent(best, tuple(losses), step, stopped)


def matrix_edit(
    matrix: Matrix, change: torch.Tensor, descent: Descent, edit_at: str | int, blocks: int
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensor that a change of a matrix, (d, d_ff), makes, by its name, and what manifests say of it.

    `edit_at`: the setting that chose the block. `blocks`: of the base.
    """
    whole = matrix.changed(change)
    place = {"edit_at": edit_at, "block": matrix.block, "blocks": blocks, "tensor": matrix.name}
    return {matrix.name: whole}, {**place, **descent.counts, "relative_change": matrix.relative(whole)}


def not_finite(loss: float, number: int, steps: int, lr: float) -> HopelessError:
    if not number:
        return HopelessError(
            f"the loss of the edit is {loss} before its first step, so the base itself gives {loss} on this edit "
            "example; load it in float32 (`dtype`), and look whether its weights are whole"
        )
    return HopelessError(
        f"the loss of the edit is {loss} after {number} of {steps} steps; use a smaller `lr` than {lr:g}, or a model "
        "in float32"
    )


def within(bound: float) -> Callable[[torch.Tensor], None]:
    """Return a projection onto the ball of a radius, Frobenius norm."""

    def project(tensor: torch.Tensor) -> None:
        norm = float(tensor.norm())
        if norm > bound:
            tensor.mul_(bound / norm)

    return project


def target_loss(network: Any, prompt: Sequence[int], target: Sequence[int]) -> torch.Tensor:
    """Return the cross-entropy of a target's tokens after a prompt, their mean."""
    import torch
    import torch.nn.functional as F

    logits = logits_of(network, [*prompt, *target], last=len(target) + 1)[:-1]
    return F.cross_entropy(logits, torch.tensor(list(target), device=logits.device))


def mean_target_loss(network: Any, targets: Sequence[tuple[Sequence[int], Sequence[int]]]) -> torch.Tensor:
    """Return the mean of `target_loss` over pairs of a prompt and a target."""
    import torch

    return torch.stack([target_loss(network, prompt, target) for prompt, target in targets]).mean()


def divergence(
    network: Any, ids: Sequence[int], last: int | None = None, then: Sequence[int] | None = None
) -> Callable[[], torch.Tensor]:
    """Return a function that gives KL(p || p'), the mean over a text's tokens, or its `last` ones.

    p: the distributions that the network gives now; p': those that it gives when the function is called, at the last
    tokens of another text (`then`) if one is given.
    """
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        expected = logits_of(network, ids, last).log_softmax(dim=-1)

    def now() -> torch.Tensor:
        found = logits_of(network, then or ids, last).log_softmax(dim=-1)
        return F.kl_div(found, expected, reduction="batchmean", log_target=True)

    return now
