from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from transformers.optimization import Adafactor

from raysweep.errors import UsageError
from raysweep.models.loading import load_model
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.sharding.choice import make_sharding, sharding_name
from tests.trainers.conftest import loop_of, own_loss, train_and_resume

pytestmark = pytest.mark.slow

CLM = {"optimizer": "adafactor", "clip_value": 0.003, "weight_decay": 0.0, "schedule": "cosine"}


def flat(model: Any) -> torch.Tensor:
    return torch.cat([weights.detach().flatten() for weights in model.parameters()])


def trained_by_hand(job: TrainJob, loop: TrainingLoop, steps: int) -> torch.Tensor:
    """By transformers' loss and optimizer and torch's clipping, as the earlier repair study trains."""
    model, _ = load_model(job.base)
    optimizer = Adafactor(model.parameters(), lr=job.recipe.lr, scale_parameter=False, relative_step=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=0)
    for step in range(steps):
        rows = [loop.data.rows[row] for row in loop.order.rows(step)]
        for row in rows:
            (own_loss(model, row) / len(rows)).backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), job.recipe.clip_value or 0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return flat(model)


def test_adafactor_with_clipping_by_value_trains_as_transformers_and_torch_do(make_job):
    job = make_job("llama", steps=4, lr=1e-3, **CLM)
    loop = loop_of(job)
    before, expected = flat(loop.model), trained_by_hand(job, loop, 4)
    loop.run()
    assert (expected - before).abs().max() > 1e-3
    assert (flat(loop.model) - expected).abs().max() < 2e-5


def test_clipping_by_value_takes_the_place_of_clipping_by_norm(make_job):
    loop = loop_of(make_job("llama", steps=2, clip_value=0.003))
    loop.add_gradients(loop.order.rows(0))
    before = [parameter.grad.clone() for parameter in loop.model.parameters()]
    norm = loop.sharding._clip()
    assert float(norm) == pytest.approx(float(torch.cat([g.flatten() for g in before]).norm()), rel=1e-5)
    assert max(float(gradient.abs().max()) for gradient in before) > 0.003
    for parameter, gradient in zip(loop.model.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient.clamp(-0.003, 0.003))


def test_an_interrupted_adafactor_ends_with_the_undisturbed_ones_weights(make_job, tmp_path):
    train_and_resume(make_job("llama", "whole", steps=6, checkpoint_every=2, **CLM), tmp_path, 4)


@pytest.mark.parametrize("given", [{"optimizer": "adafactor"}, {"clip_value": 0.3}])
def test_zero_refuses_what_it_can_not_follow(given, tiny):
    recipe = Recipe(workers=2, **given)
    assert sharding_name(recipe, 2) == "ddp"
    model, _ = load_model(tiny["llama"])
    (name,) = given
    with pytest.raises(UsageError, match=f"`{name}: .*` doesn't go with ZeRO, .*; use `parallel: ddp`"):
        make_sharding(model, dataclasses.replace(recipe, parallel="zero2"), torch.device("cpu"), 2)
