"""A loaded base becomes any of its versions, and is bit for bit itself again afterwards."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from raysweep.errors import RaysweepError, UnfitModel
from raysweep.models.adapters import untie_embeddings
from raysweep.models.deltas import save_delta
from raysweep.models.loading import adapter_misfit, load_model
from raysweep.models.versions import ModelVersions
from raysweep.records import ModelKind, ModelRef
from tests.models.tiny import FAMILIES, cases, logits_of
from tests.tiny import make_tiny

pytestmark = pytest.mark.slow

TARGETS = {"llama": ["q_proj", "down_proj"], "gpt_bigcode": ["c_attn", "c_fc"], "codegen": ["qkv_proj", "fc_in"]}
EMBEDDINGS = {"llama": "embed_tokens", "gpt_bigcode": "wte", "codegen": "wte"}
WAYS = ("lora", "lm_head", "saved", "ia3")
MERGED = [("lora", False), ("lm_head", True), ("saved", False), ("ia3", True)]
"""Ways of adapters, and whether they are merged, in `make test`; the others are long."""


def make_adapter(base: ModelRef, family: str, way: str, out: Path, seed: int = 0) -> ModelRef:
    """Write an adapter with random weights, made the way that its name says."""
    from peft import IA3Config, LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model, _ = load_model(base)
    targets = TARGETS[family]
    if way == "ia3":
        config: Any = IA3Config(target_modules=targets, feedforward_modules=targets[1:], init_ia3_weights=False)
    elif way == "lm_head":
        untie_embeddings(model)
        config = LoraConfig(r=2, target_modules=[*targets, "lm_head"], init_lora_weights=False)
    else:
        saved = [EMBEDDINGS[family], "lm_head"] if way == "saved" else None
        config = LoraConfig(r=2, target_modules=targets, modules_to_save=saved, init_lora_weights=False)
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "modules_to_save" in name or "ia3" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    adapted.save_pretrained(str(out), save_embedding_layers=False)
    return ModelRef(str(out), ModelKind.ADAPTER, base)


def in_bfloat16(ref: ModelRef) -> ModelRef:
    """Return a base that is loaded in bfloat16, or an adapter of it, whose own dtype says nothing, as in sweeps."""
    if ref.base is not None:
        return ModelRef(ref.location, ref.kind, in_bfloat16(ref.base))
    return ModelRef(ref.location, dtype="bfloat16")


def versions() -> ModelVersions:
    return ModelVersions(torch.device("cpu"), merge=lambda dtype: dtype == "float32")


def loaded(ref: ModelRef, merged: bool) -> torch.Tensor:
    """Return the logits of a model that is loaded for itself."""
    network, _ = load_model(ref)
    return logits_of(network.merge_and_unload() if merged else network)


@pytest.mark.filterwarnings("ignore:.*tie.*")
@pytest.mark.parametrize(("way", "is_float32"), cases(itertools.product(WAYS, (True, False)), MERGED))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_is_bit_for_bit_itself_after_an_adapter_was_on_it(family, way, is_float32, tiny, tmp_path):
    base = tiny[family]
    one, other = (make_adapter(base, family, way, tmp_path / str(seed), seed) for seed in (1, 2))
    if not is_float32:
        base, one, other = map(in_bfloat16, (base, one, other))
    held = versions()
    held.become(base)
    before = logits_of(held.network)
    tensors = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in held.network.state_dict().items()}
    alone = {adapter.location: loaded(adapter, merged=is_float32) for adapter in (one, other)}
    for adapter in (one, other, one):
        held.become(adapter)
        after = logits_of(held.network)
        assert torch.equal(after, alone[adapter.location]) and not torch.equal(after, before)
    held.become(base)
    assert torch.equal(logits_of(held.network), before)
    state = held.network.state_dict()
    assert state.keys() == tensors.keys()
    for name, (where, tensor) in tensors.items():
        assert state[name].data_ptr() == where and torch.equal(state[name], tensor)
    assert held.network.config.tie_word_embeddings == load_model(base)[0].config.tie_word_embeddings
    assert held.loads == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_so_it_is_after_a_delta(family, tiny, tmp_path):
    network, _ = load_model(tiny[family])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        network.get_output_embeddings().weight.mul_(0.5)
    save_delta(network, before, tmp_path)
    held = versions()
    held.become(ModelRef(str(tmp_path), ModelKind.DELTA, tiny[family]))
    assert torch.equal(logits_of(held.network), logits_of(network))
    held.become(tiny[family])
    assert torch.equal(logits_of(held.network), loaded(tiny[family], merged=False)) and held.loads == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_the_same_architecture_is_filled_into_the_loaded_one(family, tiny, tmp_path):
    network, tokenizer = load_model(tiny[family])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    network.save_pretrained(tmp_path, max_shard_size="40KB")
    tokenizer.save_pretrained(tmp_path)
    held, other = versions(), ModelRef(str(tmp_path))
    held.become(tiny[family])
    first = held.network
    held.become(other)
    assert held.network is first and torch.equal(logits_of(held.network), logits_of(network))
    held.become(make_adapter(other, family, "lora", tmp_path / "adapter"))
    held.become(tiny[family])
    assert torch.equal(logits_of(held.network), loaded(tiny[family], merged=False)) and held.loads == 1


@pytest.mark.parametrize("size", ["5GB", "40KB"])
def test_weights_that_lie_beside_a_models_own_are_not_filled_in(size, tiny, tmp_path):
    network, tokenizer = load_model(tiny["llama"])
    with torch.no_grad():
        network.lm_head.weight.mul_(0.5)
    network.save_pretrained(tmp_path, max_shard_size=size)
    tokenizer.save_pretrained(tmp_path)
    averaged = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    save_file(averaged, tmp_path / "model_ema.safetensors")
    held = versions()
    held.become(tiny["llama"])
    held.become(ModelRef(str(tmp_path)))
    assert torch.equal(logits_of(held.network), logits_of(network)) and held.loads == 1


def test_a_loaded_model_whose_folder_was_emptied_becomes_another_one_without_loading_it(tiny, tmp_path):
    dropped = tmp_path / "dropped"
    shutil.copytree(tiny["llama"].location, dropped)
    held = versions()
    held.become(ModelRef(str(dropped)))
    shutil.rmtree(dropped)
    dropped.mkdir()
    held.become(tiny["llama"])
    assert torch.equal(logits_of(held.network), loaded(tiny["llama"], merged=False)) and held.loads == 1


def test_another_architecture_dtype_attention_or_vocabulary_is_loaded(tiny, tmp_path):
    held, larger = versions(), make_tiny("llama", tmp_path / "larger", intermediate_size=56)
    network, tokenizer = load_model(tiny["llama"])
    network.resize_token_embeddings(len(tokenizer) + 8)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    plain = dataclasses.replace(larger, attention="eager")
    for number, ref in enumerate(
        (tiny["llama"], tiny["codegen"], tiny["llama"], larger, plain, in_bfloat16(larger), ModelRef(str(tmp_path))), 1
    ):
        held.become(ref)
        assert torch.equal(logits_of(held.network), loaded(ref, merged=False)) and held.loads == number


def test_an_adapter_of_another_base_is_refused_by_its_shape_and_the_next_version_is_right(tiny, tmp_path):
    wide = make_tiny("llama", tmp_path / "wide", hidden_size=64)
    theirs = make_adapter(wide, "llama", "lora", tmp_path / "theirs")
    wrong = ModelRef(theirs.location, ModelKind.ADAPTER, tiny["llama"])
    held = versions()
    held.become(tiny["llama"])
    with pytest.raises(RaysweepError, match=r"theirs is not one of .*size mismatch for .*q_proj.*2, 64\].*2, 32\]"):
        held.become(wrong)
    held.become(tiny["llama"])
    assert torch.equal(logits_of(held.network), loaded(tiny["llama"], merged=False))


def test_a_folder_that_vanished_is_an_error_and_the_base_can_be_had_again(tiny, tmp_path):
    adapter = make_adapter(tiny["llama"], "llama", "lora", tmp_path / "adapter")
    shutil.rmtree(adapter.location)
    held = versions()
    with pytest.raises(Exception, match="adapter"):
        held.become(adapter)
    held.become(tiny["llama"])
    assert torch.equal(logits_of(held.network), loaded(tiny["llama"], merged=False))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_of_another_base_is_told_by_the_shapes_of_its_tensors(family, way, tiny, tmp_path):
    size = {"hidden_size": 64, "intermediate_size": 96} if family == "llama" else {"n_embd": 64}
    wider = make_tiny(family, tmp_path / "wider", **size)
    adapter = make_adapter(wider, family, way, tmp_path / "adapter")
    assert adapter_misfit(adapter) == ""
    told = adapter_misfit(dataclasses.replace(adapter, base=tiny[family]))
    assert re.fullmatch(r"\S+ is \(\d+, \d+\) in the adapter, and \(\d+, \d+\) fits the base; name its own base", told)
    other = "codegen" if family == "llama" else "llama"
    if way in ("lora", "ia3"):
        assert "not found in the base model" in adapter_misfit(dataclasses.replace(adapter, base=tiny[other]))


@pytest.mark.parametrize(
    ("beginning", "targets", "dtype"),
    [
        ("olora", ["q_proj", "down_proj"], "bfloat16"),
        ("OLoRA", "all-linear", "float32"),
        ("pissa", ["v_proj"], "float32"),
        ("mica", ["o_proj"], "bfloat16"),
    ],
)
def test_an_adapter_that_begins_with_a_change_of_its_base_leaves_it_as_it_was(beginning, targets, dtype, tmp_path):
    base = ModelRef(str(tmp_path / "base"), dtype=dtype)
    make_tiny("llama", tmp_path / "base")
    expected, adapter = begun(base, beginning, targets, tmp_path / "adapter")
    held = versions()
    held.become(base)
    before = logits_of(held.network)
    tensors = {name: tensor.clone() for name, tensor in held.network.state_dict().items()}
    places = {name: tensor.data_ptr() for name, tensor in held.network.state_dict().items()}
    for _ in range(2):
        held.become(adapter)
        torch.testing.assert_close(logits_of(held.network), expected)
        held.become(base)
        assert torch.equal(logits_of(held.network), before)
        state = held.network.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
        assert {name: tensor.data_ptr() for name, tensor in state.items()} == places


def begun(base: ModelRef, beginning: str, targets: Any, out: Path) -> tuple[torch.Tensor, ModelRef]:
    """Write an adapter that began with a change of its base; return its logits too."""
    from peft import LoraConfig, get_peft_model

    model, _ = load_model(base)
    config = LoraConfig(r=2, target_modules=targets, init_lora_weights=beginning, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    adapted.save_pretrained(str(out), save_embedding_layers=False)
    return logits_of(adapted), ModelRef(str(out), ModelKind.ADAPTER, base)


@pytest.mark.parametrize(
    ("beginning", "source"), [("pissa_niter_4", "random numbers"), ("corda", "data"), ("lora_ga", "gradients of data")]
)
def test_an_adapter_whose_change_of_its_base_is_lost_is_refused(beginning, source, tmp_path):
    base = ModelRef(str(tmp_path / "base"))
    make_tiny("llama", tmp_path / "base")
    _, adapter = begun(base, "gaussian", ["q_proj"], tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter_config.json"
    fields = json.loads(settings.read_text())
    settings.write_text(json.dumps({**fields, "init_lora_weights": beginning}))
    told = f"`init_lora_weights: {beginning}`, which changed the base by {source}, .*path_initial_model_for_weight"
    assert re.search(told, adapter_misfit(adapter))
    held = versions()
    with pytest.raises(UnfitModel, match=told):
        held.become(adapter)
