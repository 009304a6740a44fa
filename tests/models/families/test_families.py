from __future__ import annotations

import pytest

from raysweep.models.families.base import FAMILIES, ia3_targets, lora_targets
from raysweep.models.loading import load_model
from raysweep.records import Spec
from tests.models.tiny import FAMILIES as NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_family_targets_every_linear_layer_except_the_output_layer(name, tiny):
    import torch

    family = FAMILIES.create(Spec(name))
    model, _ = load_model(tiny[name])
    linear = {path.split(".")[-1] for path, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert linear - {"lm_head"} == set(family.lora_targets)


@pytest.mark.parametrize("name", NAMES)
def test_a_familys_embeddings_are_the_models_input_and_output_layer(name, tiny):
    family = FAMILIES.create(Spec(name))
    model, _ = load_model(tiny[name])
    by_last_name = {path.split(".")[-1]: module for path, module in model.named_modules()}
    assert [by_last_name[part] for part in family.embeddings] == [
        model.get_input_embeddings(),
        model.get_output_embeddings(),
    ]


@pytest.mark.parametrize("name", ["llama", "gpt_bigcode"])
def test_minicodes_models_have_87_hundredths_of_a_million_weights(name):
    from transformers import AutoModelForCausalLM

    config = FAMILIES.create(Spec(name)).tiny_config(512, 0)
    model = AutoModelForCausalLM.from_config(config)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 0.87
    assert model.config.tie_word_embeddings == (name == "llama")


@pytest.mark.parametrize("preset", [None, "study", "peft"])
def test_qwen2_has_the_adapter_targets_that_peft_knows(preset):
    assert lora_targets("qwen2", preset) == ["q_proj", "v_proj"]
    assert ia3_targets("qwen2") == (["q_proj", "v_proj", "down_proj"], ["down_proj"])


@pytest.mark.parametrize("preset", [None, "study", "peft"])
def test_bloom_and_t5_have_the_adapter_targets_that_peft_knows(preset):
    assert lora_targets("bloom", preset) == ["query_key_value"]
    assert ia3_targets("bloom") == (["query_key_value", "mlp.dense_4h_to_h"], ["mlp.dense_4h_to_h"])
    assert lora_targets("t5", preset) == ["q", "v"]
    assert ia3_targets("t5") == (["k", "v", "wo"], ["wo"])
