from __future__ import annotations

import pytest
import torch
import transformers

from raysweep.errors import UsageError
from raysweep.models.loading import load_model
from raysweep.records import ModelRef
from raysweep.trainers.base import Recipe
from raysweep.trainers.optimization import learning_rate, make_optimizer
from tests.models.tiny import FAMILIES


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.05, 0.3])
def test_schedules_are_those_of_transformers(schedule: str, warmup: float) -> None:
    name = "constant_with_warmup" if schedule == "constant" else schedule
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = transformers.get_scheduler(name, optimizer, round(warmup * 40), 40)
    recipe = Recipe(lr=0.3, schedule=schedule, warmup=warmup)
    for step in range(40):
        assert learning_rate(recipe, step, 40) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(UsageError, match="'sine'"):
        learning_rate(Recipe(schedule="sine"), 3, 10)


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_decay_spares_biases_and_norms_only(family: str, tiny: dict[str, ModelRef]) -> None:
    model, _ = load_model(tiny[family])
    groups = make_optimizer(model, Recipe(weight_decay=0.01)).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    spared = {names[id(p)] for group in groups if not group["weight_decay"] for p in group["params"]}
    assert decayed | spared == set(names.values()) and not decayed & spared
    assert all("bias" in name or "norm" in name or "ln_" in name for name in spared)
    assert not any("bias" in name or "norm" in name or "ln_" in name for name in decayed)


def test_frozen_tensors_are_left_out(tiny: dict[str, ModelRef]) -> None:
    model, _ = load_model(tiny["llama"])
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    groups = make_optimizer(model, Recipe()).param_groups
    assert [p.shape for group in groups for p in group["params"]] == [model.lm_head.weight.shape]
