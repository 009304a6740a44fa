"""The numbers of models, against published totals and against networks that transformers builds."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from raysweep.models.architectures.known import FOLDER, known_shape, shape_at, shape_from_scratch
from raysweep.models.architectures.shape import LAYOUTS, longest_short_text, shape_of
from raysweep.models.families.base import FAMILIES
from raysweep.models.loading import architecture_of, auto_model
from raysweep.records import ModelRef, Spec

PUBLISHED = {
    "bigcode/starcoderbase-1b": 1.137e9,
    "bigcode/starcoderbase-3b": 3.043e9,
    "bigcode/starcoderbase-7b": 7.327e9,
    "bigscience/bloom-560m": 559_214_592,
    "bigscience/bloom-1b7": 1_722_408_960,
    "bigscience/bloom-7b1": 7_069_016_064,
    "Salesforce/codegen-350M-multi": 0.357e9,
    "Salesforce/codegen-2B-multi": 2.779e9,
    "Salesforce/codegen-6B-multi": 7.069e9,
    "Salesforce/codet5-small": 0.0605e9,
    "Salesforce/codet5-base": 0.2229e9,
    "Salesforce/codet5-large": 0.7377e9,
    "codellama/CodeLlama-7b-hf": 6.738e9,
    "codellama/CodeLlama-13b-hf": 13.016e9,
    "deepseek-ai/deepseek-coder-1.3b-base": 1.346e9,
    "deepseek-ai/deepseek-coder-6.7b-base": 6.740e9,
    "Qwen/Qwen2.5-Coder-0.5B": 0.494e9,
    "Qwen/Qwen2.5-Coder-1.5B": 1.544e9,
    "Qwen/Qwen2.5-Coder-7B": 7.616e9,
    "bigcode/starcoder2-3b": 3.030e9,
    "ise-uiuc/Magicoder-S-CL-7B": 6.738e9,
    "ise-uiuc/Magicoder-S-DS-6.7B": 6.741e9,
    "ise-uiuc/Magicoder-DS-6.7B": 6.741e9,
    "semcoder/semcoder_s_1030": 6.741e9,
    "semcoder/semcoder_1030": 6.741e9,
    "codellama/CodeLlama-7b-Instruct-hf": 6.739e9,
    "deepseek-ai/deepseek-coder-6.7b-instruct": 6.741e9,
    "Qwen/Qwen2.5-Coder-32B": 32.764e9,
    "Qwen/Qwen2.5-Coder-32B-Instruct": 32.764e9,
}
"""Totals that the hub shows for the models' files (StarCoderBase-3B and -7B: the paper says 3 B and 7 B; Bloom's: its
model cards; CodeGen 350M and 6B, CodeT5: the sizes of the files)."""


def test_every_shipped_config_has_a_published_total():
    assert {file.stem.replace("--", "/") for file in FOLDER.glob("*.json")} == set(PUBLISHED)


@pytest.mark.parametrize("hub_id", PUBLISHED)
def test_the_weights_of_a_published_model(hub_id):
    assert known_shape(hub_id).weights == pytest.approx(PUBLISHED[hub_id], rel=1e-3)


@pytest.mark.parametrize("model_type", LAYOUTS)
@pytest.mark.parametrize("tied", [True, False])
def test_the_count_equals_the_networks(model_type, tied):
    fields = {
        "codegen": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 80, "n_positions": 64, "rotary_dim": 4},
        "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
        "t5": {"d_model": 32, "d_kv": 16, "d_ff": 80, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4},
        "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 80, "n_positions": 64, "multi_query": True},
    }.get(
        model_type,
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 80,
            "max_position_embeddings": 64,
        },
    )
    config = AutoConfig.for_model(model_type, vocab_size=320, tie_word_embeddings=tied, **fields)
    with torch.device("meta"):
        network = auto_model(architecture_of(config)).from_config(config)
    assert shape_of(config.to_dict()).weights == network.num_parameters()


@pytest.mark.parametrize("family", ["llama", "gpt_bigcode", "codegen", "bloom", "t5"])
def test_a_model_from_scratch_has_its_familys_tiny_config(family):
    config = FAMILIES.create(Spec(family)).tiny_config(512, 0)
    with torch.device("meta"):
        network = auto_model(architecture_of(config)).from_config(config)
    assert shape_from_scratch(family, 512, {}).weights == network.num_parameters()


def test_a_network_of_an_unknown_type_is_built_to_be_counted(tmp_path):
    config = AutoConfig.for_model(
        "gpt_neox",
        vocab_size=320,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=80,
        max_position_embeddings=64,
    )
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    assert shape_at(ModelRef(str(tmp_path))).weights == network.num_parameters()


def test_distances_limit_no_text():
    assert known_shape("Salesforce/codet5-large").positions is None
    assert known_shape("bigscience/bloom-7b1").positions is None
    assert known_shape("Salesforce/codegen-6B-multi").positions == 2048


def test_a_config_without_numbers_has_no_shape():
    assert shape_of({"model_type": "llama"}) is None
    assert known_shape("nobody/nothing") is None


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096}, 4096),
        ({"rope_scaling": {"type": "su"}, "original_max_position_embeddings": 4096}, 4096),
        ({"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 2048}}, 2048),
        ({"rope_parameters": {"rope_type": "default"}, "original_max_position_embeddings": 2048}, None),
        ({"rope_scaling": {"rope_type": "yarn", "original_max_position_embeddings": 2048}}, None),
        ({"rope_scaling": None}, None),
    ],
)
def test_the_length_of_longropes_short_texts_is_read_as_both_versions_of_transformers_write_it(config, longest):
    assert longest_short_text(config) == longest
