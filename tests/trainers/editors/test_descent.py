"""How a descent ends, and what its counts say of that."""

from __future__ import annotations

import pytest
import torch

from raysweep.errors import HopelessError
from raysweep.trainers.editors.descent import ALL_STEPS, BELOW, NOT_FINITE, Descent, Rules, descend


def descent(rules: Rules, scales: list[float]) -> tuple[Descent, int]:
    """Minimise a loss that is scaled anew each time it is computed; return the updates that were made, too."""
    of_losses, updates = iter(scales), list[int]()
    found = descend(
        torch.ones(1), lambda tensor: tensor.sum() * next(of_losses), rules, lambda _: updates.append(1), lambda: None
    )
    return found, len(updates)


@pytest.mark.parametrize(
    ("scales", "stopped"),
    [([1.0, 0.5, float("nan")], NOT_FINITE), ([1.0, 0.5, 0.4, 0.3], ALL_STEPS), ([1.0, 0.0], BELOW)],
)
def test_steps_are_the_updates_that_were_made_however_the_descent_ended(scales, stopped):
    found, updates = descent(Rules(lr=0.1, steps=3, stop_below=1e-3, keeps_best=True), scales)
    assert (found.stopped, found.counts["steps"]) == (stopped, updates)


def test_a_first_loss_that_is_not_finite_is_an_error():
    with pytest.raises(
        HopelessError, match="the loss of the edit is nan before its first step, so the base itself gives nan"
    ):
        descent(Rules(lr=0.1, steps=3, stop_below=0, keeps_best=True), [float("nan")])
