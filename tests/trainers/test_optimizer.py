from __future__ import annotations

import dataclasses
from unittest.mock import ANY

import pytest
import torch
from transformers.optimization import Adafactor

from raysweep.errors import UsageError
from raysweep.models.loading import load_model
from raysweep.testing.services import FolderServices, Interrupted
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.encoding import encode_set
from raysweep.trainers.full import Full
from raysweep.trainers.loop import TrainingLoop
from raysweep.trainers.optimizer import make_optimizer
from raysweep.trainers.sharding.choice import make_sharding, sharding_name
from tests.trainers.conftest import difference, own_loss

pytestmark = pytest.mark.slow

CLM = {"optimizer": "adafactor", "clip_value": 0.003, "weight_decay": 0.0, "schedule": "cosine"}


def trained(job: TrainJob) -> torch.Tensor:
    model, tokenizer = load_model(job.base)
    TrainingLoop(model, encode_set(job, tokenizer, model.config), job, FolderServices()).run()
    return torch.cat([weights.detach().flatten() for weights in model.parameters()])


def trained_by_hand(job: TrainJob, steps: int) -> torch.Tensor:
    """By transformers' loss and optimizer and torch's clipping, as the earlier repair study trains."""
    model, tokenizer = load_model(job.base)
    order = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, FolderServices())
    model, _ = load_model(job.base)
    optimizer = Adafactor(model.parameters(), lr=job.recipe.lr, scale_parameter=False, relative_step=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps, eta_min=0)
    for step in range(steps):
        rows = [order.data.rows[row] for row in order.order.rows(step)]
        for row in rows:
            (own_loss(model, row) / len(rows)).backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), job.recipe.clip_value or 0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return torch.cat([weights.detach().flatten() for weights in model.parameters()])


def test_adafactor_with_clipping_by_value_trains_as_transformers_and_torch_do(make_job):
    job = make_job("llama", steps=4, lr=1e-3, **CLM)
    start, _ = load_model(job.base)
    expected = trained_by_hand(job, 4)
    assert (expected - torch.cat([w.detach().flatten() for w in start.parameters()])).abs().max() > 1e-3
    assert (trained(job) - expected).abs().max() < 2e-5


def test_clipping_by_value_takes_the_place_of_clipping_by_norm(make_job):
    job = make_job("llama", steps=2, clip_value=0.003)
    model, tokenizer = load_model(job.base)
    loop = TrainingLoop(model, encode_set(job, tokenizer, model.config), job, FolderServices())
    loop.add_gradients(loop.order.rows(0))
    before = [parameter.grad.clone() for parameter in model.parameters()]
    norm = loop.sharding._clip()
    assert float(norm) == pytest.approx(float(torch.cat([g.flatten() for g in before]).norm()), rel=1e-5)
    assert max(float(gradient.abs().max()) for gradient in before) > 0.003
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient.clamp(-0.003, 0.003))


def test_an_interrupted_adafactor_ends_with_the_undisturbed_ones_weights(make_job, tmp_path):
    whole = make_job("llama", "whole", steps=9, checkpoint_every=3, **CLM)
    undisturbed = Full().train(whole, FolderServices(tmp_path / "one"))
    broken = dataclasses.replace(whole, out=tmp_path / "broken")
    with pytest.raises(Interrupted):
        Full().train(broken, FolderServices(tmp_path / "two", die_after=6))
    assert Full().train(broken, FolderServices(tmp_path / "two")) == {
        **undisturbed,
        "resumed_from": 6,
        "memory_bytes": ANY,
    }
    assert difference(whole.out, broken.out) == 0


def test_adafactor_spares_biases_and_norms_from_decay(tiny):
    model, _ = load_model(tiny["gpt_bigcode"])
    decayed, spared = make_optimizer(model, Recipe(optimizer="adafactor", weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {weights.dim() for weights in spared["params"]} == {1}


@pytest.mark.parametrize("given", [{"optimizer": "adafactor"}, {"clip_value": 0.3}])
def test_zero_refuses_what_it_can_not_follow(given, tiny):
    recipe = Recipe(workers=2, **given)
    assert sharding_name(recipe, 2) == "ddp"
    model, _ = load_model(tiny["llama"])
    (name,) = given
    with pytest.raises(UsageError, match=f"`{name}: .*` doesn't go with ZeRO, .*; use `parallel: ddp`"):
        make_sharding(model, dataclasses.replace(recipe, parallel="zero2"), torch.device("cpu"), 2)
