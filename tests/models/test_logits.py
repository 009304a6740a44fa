from __future__ import annotations

import pytest
import torch

from raysweep.models.loading import load_model
from raysweep.models.logits import logits_at
from raysweep.records import ModelRef
from tests.models.tiny import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradient_equal_those_of_all_positions(family: str, tiny: dict[str, ModelRef]) -> None:
    model, _ = load_model(tiny[family])
    ids = torch.randint(0, 300, (3, 11), generator=torch.Generator().manual_seed(0))
    where = torch.zeros(3, 11, dtype=torch.bool)
    where[0, 4], where[2, 1:7] = True, True

    chosen = logits_at(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, where)
    chosen.square().sum().backward()
    gradient = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    everywhere = model(input_ids=ids).logits
    everywhere[where].square().sum().backward()

    assert chosen.shape == (7, everywhere.shape[-1])
    torch.testing.assert_close(chosen, everywhere[where])
    for name, parameter in model.named_parameters():
        assert (gradient[name] - parameter.grad).norm() < 1e-5 * parameter.grad.norm()


def test_the_model_is_left_as_it_was(tiny: dict[str, ModelRef]) -> None:
    model, _ = load_model(tiny["llama"])
    ids = torch.tensor([[1, 2, 3]])
    logits_at(model, {"input_ids": ids}, ids > 1)
    assert model(input_ids=ids).logits.shape[:2] == (1, 3)
