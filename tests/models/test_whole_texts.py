"""Whole texts have the logits of `generate`, with a cache where a model needs one, and gradients flow through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

from raysweep.errors import UnfitModel, UsageError
from raysweep.models import whole_texts
from raysweep.models.loading import load_model
from raysweep.models.whole_texts import logits_at, needs_cache, plain_logits, start_of, whole_pass
from raysweep.trainers.checks import check_packing, freeze_uncalled
from raysweep.trainers.objectives.sft import Sft
from raysweep.trainers.passes.activations import recompute_blocks
from tests.models.configs import make_random
from tests.models.tiny import FAMILIES, TRANSFORMERS_4

STRONG = 0.2
"""Standard deviation of random weights with which a text depends on the tokens before."""
SHARING = {
    "one layer": {"num_kv_shared_layers": 1},
    "two kinds of layers": {"num_kv_shared_layers": 2},
    "all but the first of each kind": {"num_kv_shared_layers": 3, "num_key_value_heads": 2},
}
IDS = [7, 30, 31, 9, 40, 41, 12, 13, 60, 61]


def made(folder: Path, model_type: str = "gemma3n_text", **fields: Any) -> Any:
    network = load_model(make_random(model_type, folder, initializer_range=STRONG, **fields))[0]
    if model_type == "gemma3n_text" and not TRANSFORMERS_4 and not needs_cache(network):
        pytest.skip("needs a transformers that shares keys and values in the cache; this one does so without it")
    return network


def gradients(network: Any, **cache: Any) -> dict[str, torch.Tensor]:
    """The gradients of a loss by weight; `cache`: arguments of the model's call, None: as in training."""
    network.zero_grad()
    ids = torch.tensor([IDS, IDS[::-1]])
    logits = network(input_ids=ids, **cache).logits if cache else whole_pass(network, input_ids=ids).logits
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


@pytest.mark.slow
@pytest.mark.parametrize("fields", SHARING.values(), ids=SHARING)
def test_layers_that_share_keys_and_values_give_the_logits_of_generate(fields, tmp_path):
    network = made(tmp_path, **fields)
    written = network.generate(
        torch.tensor([IDS]), max_new_tokens=8, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    (logits,) = plain_logits(network, [written.sequences[0, :-1].tolist()])
    assert needs_cache(network)
    torch.testing.assert_close(logits[len(IDS) - 1 :], torch.cat(written.logits), atol=1e-4, rtol=1e-4)
    without = network(input_ids=torch.tensor([IDS]), use_cache=False).logits
    assert (without[0, -1] - written.logits[0][0]).abs().max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("recomputes", [False, True])
def test_gradients_flow_to_the_layers_that_share_and_to_no_weight_that_is_never_used(recomputes, tmp_path):
    network = made(tmp_path, attn_implementation="eager").train()
    expected = gradients(network, past_key_values=DynamicCache(config=network.config), use_cache=True)
    if recomputes:
        recompute_blocks(network)
    found = gradients(network)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)
    unused = {name for name, _ in network.named_parameters()} - found.keys()
    assert unused and all(".self_attn.k_" in name or ".self_attn.v_" in name for name in unused)


def test_training_and_generation_compute_the_same(tmp_path):
    network = made(tmp_path)
    expected = plain_logits(network, [IDS])[0]
    batch, chosen = {"input_ids": torch.tensor([IDS])}, torch.ones(1, len(IDS), dtype=torch.bool)
    torch.testing.assert_close(logits_at(network.train(), batch, chosen), expected)


def test_rows_that_would_be_mixed_are_not_packed(tmp_path):
    """transformers keeps packed rows apart only where it is given no cache."""
    rows = [{"input_ids": ids, "weights": [1.0] * len(ids)} for ids in (IDS, IDS[::-1])]
    with pytest.raises(UsageError, match="gemma3n_text model mixes packed rows"):
        check_packing(made(tmp_path), Sft(), rows)
    check_packing(made(tmp_path / "other", "llama"), Sft(), rows)


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "recurrent_gemma"])
def test_other_models_are_tried_once_and_called_without_a_cache(model_type, tmp_path):
    network = made(tmp_path, model_type)
    calls: list[Any] = []
    network.register_forward_pre_hook(lambda _, args, given: calls.append(given), with_kwargs=True)
    plain_logits(network, [IDS])
    before = len(calls)
    assert not needs_cache(network)
    for _ in range(3):
        plain_logits(network, [IDS])
    assert len(calls) == before + 3
    assert all(given["use_cache"] is False and "past_key_values" not in given for given in calls[before:])


@pytest.mark.skipif(not TRANSFORMERS_4, reason="needs transformers 4, whose Gemma 3n shares in the cache")
def test_a_model_that_an_empty_cache_does_not_help_is_refused(tmp_path, monkeypatch):
    """Such as one whose own cache is of another kind."""
    network = made(tmp_path)
    monkeypatch.setattr(whole_texts._passing_cache(), "update", lambda self, keys, values, *_, **__: (values, keys))
    with pytest.raises(UnfitModel, match=r"logits of a gemma3n_text model depend on its cache.*`generator: vllm`"):
        needs_cache(network)


def test_a_model_whose_cache_is_broken_is_called_without_it(tmp_path, monkeypatch):
    network = made(tmp_path, "llama")
    forward = network.model.forward

    def broken(use_cache: bool = True, **given: Any) -> Any:
        if use_cache:
            raise AttributeError("no such cache")
        return forward(use_cache=False, **given)

    monkeypatch.setattr(network.model, "forward", broken)
    assert not needs_cache(network)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_never_used_are_frozen(dtype, tmp_path):
    """So that gradients of several workers can wait for all the others, and zeros that stay zeros are no error."""
    from peft import LoraConfig, get_peft_model

    row = {"input_ids": IDS, "weights": [1.0] * len(IDS)}
    network = made(tmp_path).to(dtype)
    adapted = get_peft_model(network, LoraConfig(target_modules=["q_proj", "k_proj", "v_proj"], r=2))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    frozen = freeze_uncalled(adapted, row)
    layers = {name.split(".layers.")[1].split(".self_attn")[0] for name in frozen}
    assert layers == {"3", "4"} and len(frozen) == 2 * 2 * 2, "A and B of keys and values, in two layers"
    assert all(name.endswith(("lora_A.weight", "lora_B.weight")) for name in frozen)
    trained = [name for name, weights in adapted.named_parameters() if weights.requires_grad]
    assert len(trained) == 5 * 2 + 3 * 2 * 2
    assert freeze_uncalled(made(tmp_path / "other", "llama"), row) == frozenset()


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
