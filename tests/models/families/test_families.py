from __future__ import annotations

import numpy as np
import pytest

from raysweep.errors import UsageError
from raysweep.models.families.base import FAMILIES, ModelFamily, ia3_targets, lora_targets
from raysweep.models.loading import auto_model, load_model
from raysweep.records import Spec
from raysweep.trainers.checks import check_packing
from raysweep.trainers.loop import seeded_torch
from raysweep.trainers.objectives.sft import Sft
from tests.models.tiny import FAMILIES as NAMES


class Bare(ModelFamily):
    """Names no size."""

    name = "llama"


def test_a_family_without_a_size_of_its_own_gives_no_model_of_transformers_size():
    with pytest.raises(UsageError, match="'llama' has neither `tiny` nor a `tiny_config`"):
        Bare().tiny_config(320, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES.names())
def test_the_tiny_model_of_a_family_is_small_runs_and_has_the_modules_that_the_family_names(name):
    import torch

    family = FAMILIES.create(Spec(name))
    config = family.tiny_config(320, 7, initializer_range=0.5)
    assert (config.model_type, config.vocab_size, config.eos_token_id, config.initializer_range) == (name, 320, 7, 0.5)
    assert {field: getattr(config, field) for field in family.tiny} == dict(family.tiny)
    with seeded_torch(0, name):
        network = auto_model(family.architecture).from_config(family.tiny_config(320, 7)).eval()
    assert sum(weights.numel() for weights in network.parameters()) < 2e7
    ids = torch.tensor([[1, 2, 3]])
    fields = ("input_ids", "decoder_input_ids") if family.architecture == "seq2seq" else ("input_ids",)
    with torch.no_grad():
        assert network(**dict.fromkeys(fields, ids)).logits.shape == (1, 3, 320)
    names = {path.rpartition(".")[2] for path, _ in network.named_modules()}
    assert {*family.lora_targets, *family.embeddings, *family.ia3_targets} <= names
    assert set(family.ia3_feedforward) <= set(family.ia3_targets)
    assert not set(family.embeddings) & set(family.lora_targets)
    if family.packs:
        check_packing(network, Sft(), [{"input_ids": np.arange(1, 9)}, {"input_ids": np.arange(9, 20)}])


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
