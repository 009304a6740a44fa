from __future__ import annotations

import pytest
import torch

from raysweep.models.loading import load_model
from raysweep.models.logits import logits_at, start_of
from tests.models.tiny import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_gradient_equal_those_of_all_positions(family, tiny):
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


def test_the_model_is_left_as_it_was(tiny):
    model, _ = load_model(tiny["llama"])
    ids = torch.tensor([[1, 2, 3]])
    logits_at(model, {"input_ids": ids}, ids > 1)
    assert model(input_ids=ids).logits.shape[:2] == (1, 3)


def test_a_decoder_begins_with_the_token_with_which_generate_begins(tiny):
    model, tokenizer = load_model(tiny["t5"])
    prompt = tokenizer("add", return_tensors="pt")
    for start, by_config, bos in ((7, 5, 9), (None, 5, 9), (None, None, 9)):
        model.generation_config.decoder_start_token_id, model.generation_config.bos_token_id = start, bos
        model.config.decoder_start_token_id = by_config
        if (start, by_config) != (None, 5):  # transformers asks the config when it loads a model
            assert model.generate(**prompt, max_new_tokens=1)[0, 0] == start_of(model)
        assert start_of(model) == (start or by_config or bos)
