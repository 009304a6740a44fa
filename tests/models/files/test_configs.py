"""What a config.json says and the installed transformers doesn't read is told before work, with a way out that works.

The forms of files are those that transformers 4 and 5 write; both are read under both.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import AutoConfig

from raysweep.errors import RaysweepError
from raysweep.models.files.configs import unread
from raysweep.models.files.rope import OLD
from raysweep.models.loading import load_model
from raysweep.records import ModelRef
from tests.models.configs import GENERATED, WITH_ENCODERS, make_random
from tests.models.test_traits import rewrite
from tests.models.tiny import TRANSFORMERS_4

OTHER_OLDER, NEWER = "4.30.0", "99.1.0"
FACTORS = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}


def config_of(kind: str, folder: Path, **fields: Any) -> ModelRef:
    """Write the config of a type of models as the installed transformers does, with some fields of another version."""
    known = {**GENERATED, **WITH_ENCODERS}.get(kind, {})
    AutoConfig.for_model(kind, **known).save_pretrained(folder)
    rewrite(folder / "config.json", **fields)
    return ModelRef(str(folder))


def test_what_the_installed_version_writes_is_read(tmp_path):
    kinds = {**GENERATED, **WITH_ENCODERS}
    assert {kind: why for kind in kinds if (why := unread(config_of(kind, tmp_path / kind)))} == {}


STARCODER = {
    "model_type": "gpt_bigcode",
    "activation_function": "gelu",
    "attention_softmax_in_fp32": True,
    "inference_runner": 0,
    "multi_query": True,
    "pad_key_length": True,
    "pre_allocate_kv_cache": False,
    "scale_attention_softmax_in_fp32": True,
    "summary_type": "cls_index",
    "torch_dtype": "float32",
    "validate_runner_input": True,
    "transformers_version": "4.28.1",
}
STARCODER2 = {
    "model_type": "starcoder2",
    "activation_function": "gelu",
    "attention_softmax_in_fp32": True,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_epsilon": 1e-05,
    "mlp_type": "default",
    "norm_type": "layer_norm",
    "rope_theta": 999999.4420358813,
    "scale_attn_weights": True,
    "sliding_window": 4096,
    "transformers_version": "4.37.0.dev0",
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "starcoder": STARCODER,
    "starcoder2": STARCODER2,
    "codellama": {"model_type": "llama", "rope_theta": 1000000, "pretraining_tp": 1, "torch_dtype": "bfloat16"},
    "stretched": {"model_type": "llama", "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "deepseek-coder": {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 100000},
    "qwen2.5-coder": {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 32768},
    "as a llama": {"model_type": "llama", "max_window_layers": 28, "use_sliding_window": False, "sliding_window": 4096},
    "phi": {"model_type": "phi", "partial_rotary_factor": 0.4, "qk_layernorm": False, "embd_pdrop": 0.0},
    "pythia": {"model_type": "gpt_neox", "rotary_emb_base": 10000, "rotary_pct": 0.25, "use_parallel_residual": True},
    "gemma3": {"model_type": "gemma3_text", "rope_theta": 1e6, "rope_local_base_freq": 10000.0, "sliding_window": 512},
    "codegen": {"model_type": "codegen", "n_ctx": 2048, "rotary_dim": 64, "gradient_checkpointing": False, "scale": 1},
    "unsloth": {"model_type": "llama", "unsloth_fixed": True, "unsloth_version": "2025.9", "head_dim": 16},
    "gpt2": {"model_type": "gpt2", "scale_attn_weights": True, "n_ctx": 1024, "initializer_scale": 0.02},
    "bloom": {"model_type": "bloom", "masked_softmax_fusion": True, "n_inner": None, "seq_length": 2048},
    "t5": {"model_type": "t5", "n_positions": 512, "initializer_factor": 1.0, "output_past": True},
    "mamba": {"model_type": "mamba", "time_step_scale": 1.0, "rescale_prenorm_residual": False, "expand": 2},
    "cohere": {"model_type": "cohere", "logit_scale": 0.0625, "use_qk_norm": False},
    "granite": {"model_type": "granite", "attention_multiplier": 0.0078125, "logits_scaling": 16.0},
    "gpt-oss": {"model_type": "gpt_oss", "initial_context_length": 4096, "swiglu_limit": 7.0, "head_dim": 64},
    "glm": {"model_type": "glm4_moe", "routed_scaling_factor": 2.5, "use_qk_norm": True, "head_dim": 128},
    "deepseek-coder-v2": {"model_type": "deepseek_v2", "routed_scaling_factor": 16.0, "ep_size": 1},
    "hunyuan": {"model_type": "hunyuan_v1_dense", "use_qk_norm": True, "use_cla": False},
    "smollm3": {"model_type": "smollm3", "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4},
    "gemma3n": {"model_type": "gemma3n", "text_config": {"query_pre_attn_scalar": 256, "head_dim": 256}},
    "all with RoPE": {"model_type": "llama", "no_rope_layers": [1, 1], "logit_scale": 1.0, "mlp_multipliers": [1, 1]},
    "null": {"model_type": "llama", "use_sliding_window": False, "sliding_window": 8, "max_position_embeddings": None},
    "gemma2 of a newer version": {
        "model_type": "gemma2",
        "cache_implementation": "hybrid",
        "query_pre_attn_scalar": 256,
        "transformers_version": NEWER,
    },
    "gpt-oss of a newer version": {
        "model_type": "gpt_oss",
        "swiglu_alpha": 1.702,
        "swiglu_limit": 7.0,
        "router_aux_loss_coef": 0.9,
        "transformers_version": NEWER,
    },
    "deepseek-v2 of a newer version": {
        "model_type": "deepseek_v2",
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "qk_head_dim": 16,
        "pretraining_tp": 2,
        "num_nextn_predict_layers": 1,
        "transformers_version": NEWER,
    },
    "mamba of a newer version": {
        "model_type": "mamba",
        "use_associative_scan": True,
        "time_step_limit": [0.0, {"__float__": "Infinity"}],
        "transformers_version": NEWER,
    },
    "zamba2": {"model_type": "zamba2", "time_step_limit": None},
    "base in three spellings": {
        "model_type": "llama",
        "rope_theta": 5e5,
        "rotary_emb_base": 5e5,
        "rope_parameters": {"rope_theta": 5e5},
    },
    "neutral": {"model_type": "llama", "logits_scaling": 1, "layer_types": ["full_attention"] * 2},
}
"""Fields of published files, some of which mean nothing, and some of files that tools have changed."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_older_files_are_read(name, tmp_path):
    fields = {"transformers_version": OTHER_OLDER, **PUBLISHED[name]}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert unread(ModelRef(str(tmp_path))) == ""


FORMS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("llama", {"rope_theta": 1e6, "rope_type": "default"}, {"rope_theta": 1e6}),
    ("llama", {"rope_theta": 5e5, **YARN}, {"rope_theta": 5e5, "rope_scaling": YARN}),
    (
        "phi",
        {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.25},
        {"partial_rotary_factor": 0.25},
    ),
    ("gpt_neox", {"rope_theta": 5e4, "partial_rotary_factor": 0.5}, {"rotary_emb_base": 5e4, "rotary_pct": 0.5}),
    (
        "phi3",
        {"rope_theta": 2e4, "rope_type": "longrope", "original_max_position_embeddings": 30, **FACTORS},
        {"rope_theta": 2e4, "original_max_position_embeddings": 30, "rope_scaling": {"type": "longrope", **FACTORS}},
    ),
    ("llama", {"mrope_section": [4, 4]}, {"rope_scaling": {"rope_type": "default", "mrope_section": [4, 4]}}),
    (
        "qwen2_vl",
        {"rope_theta": 1e6, "rope_type": "default", "mrope_section": [2, 3, 3]},
        {"rope_theta": 1e6, "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]}},
    ),
    (
        "gemma3_text",
        {"full_attention": {"rope_theta": 2e6, **YARN}, "sliding_attention": {"rope_theta": 3e4}},
        {"rope_theta": 2e6, "rope_local_base_freq": 3e4, "rope_scaling": YARN},
    ),
]
"""A type of models, its `rope_parameters` as transformers 5 writes them, and what says the same in old keys."""


@pytest.mark.parametrize(("kind", "new", "old"), FORMS)
def test_rope_parameters_are_read_or_refused_with_the_old_keys(kind, new, old, tmp_path):
    gone = dict.fromkeys((*OLD, "rope_scaling"))
    ref = config_of(kind, tmp_path, **gone, rope_parameters=new, transformers_version="5.2.0")
    told = unread(ref)
    if TRANSFORMERS_4:
        assert told.startswith(f"{tmp_path}/config.json gives RoPE's `rope_parameters.")
        assert f"transformers {transformers.__version__} takes" in told and '"transformers>=5.2.0"' in told
        keys = json.loads("{" + re.search(r"write `(.*)` into the file", told)[1] + "}")
        assert old.items() <= keys.items()
        rewrite(tmp_path / "config.json", **keys)
    assert unread(ref) == ""
    rewrite(tmp_path / "config.json", rope_parameters=None, **old)  # what the old keys alone say, both versions read
    assert unread(ref) == ""


@pytest.mark.skipif(not TRANSFORMERS_4, reason="transformers 5 reads them")
def test_layers_with_frequencies_that_old_keys_cannot_say_need_the_version(tmp_path):
    new = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 2e4}}
    told = unread(config_of("llama", tmp_path, rope_theta=1e6, rope_parameters=new, transformers_version="5.2.0"))
    assert "`rope_parameters.sliding_attention.rope_theta` as 20000.0" in told and "write" not in told


PLAIN = {"model_type": "llama", "rope_theta": 1e4}
TWICE = {**PLAIN, "rope_parameters": {"rope_theta": 5e5}}
DISAGREEING = [
    ("llama", {"rope_theta": 1e6, "rope_parameters": {"rope_theta": 5e5}}, {"rope_theta": 5e5}),
    ("gpt_neox", {"rope_parameters": None, "rotary_emb_base": None, "rope_theta": 5e5}, {"rotary_emb_base": 5e5}),
    ("t5gemma", {"decoder": TWICE}, {"decoder": None}),
    ("llama", {"model_type": "encoder-decoder", "encoder": PLAIN, "decoder": TWICE}, {"decoder": PLAIN}),
]


@pytest.mark.parametrize(("kind", "fields", "way"), DISAGREEING)
def test_keys_that_disagree_or_are_of_another_type_are_told(kind, fields, way, tmp_path):
    ref = config_of(kind, tmp_path, **fields)
    assert re.search(r"config\.json gives RoPE's `.*rope_theta` as .*, and transformers .* takes", unread(ref))
    rewrite(tmp_path / "config.json", **way)
    assert unread(ref) == ""


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_a_type_without_rope_is_said_to_read_no_key_of_it(kind, tmp_path):
    ref = config_of(kind, tmp_path, rope_parameters={"rope_theta": 5e5}, transformers_version="5.2.0")
    told = unread(ref)
    assert "reads no key of RoPE in models of this type" in told and "takes" not in told and "pip" not in told
    assert told.endswith("correct the file, which has keys that its type doesn't use: `rope_parameters.rope_theta`")
    rewrite(tmp_path / "config.json", rope_parameters=None)
    assert unread(ref) == ""


LOST = [
    *(
        ("llama", {key: value}, f"`{key}` ({value})")
        for key, value in [
            ("logit_scale", 0.0625),
            ("scale_emb", 12),
            ("scale_depth", 1.4),
            ("attention_scale", 0.1),
            ("routed_scaling_factor", 2.5),
            ("final_logit_softcap", 30.0),
            ("use_qk_norm", True),
            ("no_rope_layers", [1, 0]),
            ("sliding_window", [16]),
            ("layer_types", ["sliding_attention"] * 2),
        ]
    ),
    ("llama", {"sliding_window": 16, "max_position_embeddings": None}, "`sliding_window` (16)"),
    ("llama", {"transformers_version": NEWER, "whirls": True}, f"by transformers {NEWER}, has `whirls` (True)"),
    ("llama", {"logits_scaling": 8.0}, "`logits_scaling` (8.0)"),
    ("llama", {"head_dim": 16, "attention_multiplier": 0.5}, "`attention_multiplier` (0.5)"),
    ("gpt2", {"head_dim": 8}, "`head_dim` (8)"),
    ("llama", {"sliding_window": 16}, "`sliding_window` (16)"),
    ("mistral", {"layer_types": ["full_attention"] * 2}, "`layer_types` (['full_attention', 'full_attention'])"),
    ("qwen2", {"transformers_version": NEWER, "gate_routing": "top"}, f"by transformers {NEWER}, has `gate_routing`"),
    ("gemma3", {"text_config": {"model_type": "gemma3_text", "logits_scaling": 2}}, "`text_config.logits_scaling` (2)"),
]


@pytest.mark.parametrize(("kind", "fields", "named"), LOST)
def test_a_key_that_is_not_read_is_named_and_deleting_it_helps(kind, fields, named, tmp_path):
    ref = config_of(kind, tmp_path, **fields)
    told = unread(ref)
    assert told.startswith(f"{tmp_path}/config.json") and named in told
    assert f"which transformers {transformers.__version__} doesn't read" in told and "delete it from the file" in told
    assert (f'pip install "transformers>={NEWER}"' in told) == ("transformers_version" in fields)
    lost = re.search(r"`(?:text_config\.)?(\w+)` \(", told)[1]
    inner = {"text_config": {"model_type": "gemma3_text"}} if "text_config" in fields else {lost: None}
    rewrite(tmp_path / "config.json", **inner)
    assert unread(ref) == ""


@pytest.mark.skipif(not TRANSFORMERS_4, reason="transformers 5 reads them")
@pytest.mark.parametrize(
    ("kind", "fields", "way"),
    [
        ("t5", {"scale_decoder_outputs": False, "tie_word_embeddings": True}, {"tie_word_embeddings": False}),
        ("qwen3_moe", {"num_local_experts": 4, "num_experts": None}, {"num_experts": 4}),
    ],
)
def test_a_key_of_a_newer_version_that_an_older_one_says_too_is_told_with_that(kind, fields, way, tmp_path):
    ref = config_of(kind, tmp_path, transformers_version="5.2.0", **fields)
    told = unread(ref)
    assert told.endswith(f'"transformers>=5.2.0"`), or write `{json.dumps(way)[1:-1]}` into the file')
    rewrite(tmp_path / "config.json", **way)
    assert unread(ref) == ""


def test_a_key_of_a_newer_generation_config_is_told(tmp_path):
    ref = config_of("llama", tmp_path)
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps({"top_k": 20, "chat_format": "chatml", "transformers_version": OTHER_OLDER}))
    assert unread(ref) == ""
    rewrite(file, transformers_version=NEWER)
    assert unread(ref).startswith(f"{file}, written by transformers {NEWER}, has `chat_format` ('chatml'), which")
    rewrite(file, chat_format=None)
    assert unread(ref) == ""


def test_a_model_of_the_hub_is_copied_before_its_file_is_changed(tmp_path, monkeypatch):
    config = {"model_type": "llama", "logits_scaling": 8.0}
    monkeypatch.setattr("raysweep.models.files.configs.model_config", lambda ref, name="config.json": config)
    told = unread(ModelRef("org/model"))
    assert told.startswith("config.json of org/model has") and "hf download org/model --local-dir FOLDER" in told


def test_a_model_that_is_not_read_whole_is_not_loaded(tmp_path):
    ref = make_random("llama", tmp_path)
    rewrite(tmp_path / "config.json", logits_scaling=8.0)
    with pytest.raises(RaysweepError, match="has `logits_scaling`"):
        load_model(ref)
