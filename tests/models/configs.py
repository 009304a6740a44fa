"""Tiny random models of transformers' architectures, built from each architecture's own config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.models.finding import resolve
from raysweep.models.loading import architecture_of, auto_model
from raysweep.models.scratch import train_tokenizer
from raysweep.records import ModelRef
from raysweep.trainers.loop import seeded_torch
from tests.tiny import pairs

USUAL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
GROUPED = {**USUAL, "num_key_value_heads": 1, "head_dim": 16}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_inner": 48, "n_positions": 512}
LATENT = {
    "num_key_value_heads": 2,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
}
EXPERTS = {"n_routed_experts": 4, "n_shared_experts": 1, "moe_intermediate_size": 16, "first_k_dense_replace": 1}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": USUAL,
    "gpt_bigcode": GPT2,
    "codegen": {**GPT2, "n_head": 4, "rotary_dim": 4, "n_ctx": 512},
    "qwen2": {**USUAL, "num_key_value_heads": 1},
    "qwen3": GROUPED,
    "starcoder2": {**USUAL, "num_key_value_heads": 1},
    "mistral": {**GROUPED, "sliding_window": 64},
    "mixtral": {**GROUPED, "num_local_experts": 4},
    "gemma": GROUPED,
    "gemma2": {**GROUPED, "sliding_window": 64, "query_pre_attn_scalar": 16},
    "phi": USUAL,
    "gpt_neox": USUAL,
    "gpt2": GPT2,
    "deepseek_v2": {**USUAL, **LATENT, **EXPERTS, "topk_group": 1, "n_group": 1, "num_experts_per_tok": 2},
    "deepseek_v3": {**USUAL, **LATENT, **EXPERTS, "topk_group": 1, "n_group": 1, "num_experts_per_tok": 2},
    "granite": {**USUAL, "num_key_value_heads": 1},
    "olmo": USUAL,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
}
"""Fields of the configs that make models tiny, by model type."""


NO_HEADS = {"hidden_size": 32, "num_hidden_layers": 2}
MAMBA = {**NO_HEADS, "state_size": 8, "time_step_rank": 4}
MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
FEW_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
WINDOWS = {**GROUPED, "sliding_window": 24}
GENERATED: dict[str, dict[str, Any]] = {
    **ARCHITECTURES,
    "mistral": WINDOWS,
    "gemma2": {**WINDOWS, "query_pre_attn_scalar": 16},
    "mamba": MAMBA,
    "falcon_mamba": MAMBA,
    "mamba2": {**NO_HEADS, "num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "rwkv": {"hidden_size": 32, "num_hidden_layers": 7, "context_length": 512},
    "recurrent_gemma": {**GROUPED, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 512},
    "jamba": {
        **USUAL,
        "num_key_value_heads": 1,
        "attn_layer_offset": 1,
        "attn_layer_period": 2,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "bamba": {**USUAL, **MAMBA2, "num_key_value_heads": 1, "attn_layer_indices": [1]},
    "falcon_h1": {**GROUPED, **MAMBA2, "mamba_d_ssm": 64},
    "granitemoehybrid": {
        **USUAL,
        **MAMBA2,
        "num_key_value_heads": 1,
        "layer_types": ["mamba", "attention"],
        "shared_intermediate_size": 48,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
    },
    "zamba2": {
        **USUAL,
        "num_hidden_layers": 3,
        "layers_block_type": ["mamba", "hybrid", "mamba"],
        "mamba_d_state": 8,
        "mamba_headdim": 16,
        "n_mamba_heads": 4,
        "mamba_ngroups": 1,
        "num_mem_blocks": 1,
        "use_mamba_kernels": False,
    },
    "lfm2": {**USUAL, "num_key_value_heads": 1, "layer_types": ["conv", "full_attention"]},
    "qwen3_next": {
        **GROUPED,
        **FEW_EXPERTS,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "shared_expert_intermediate_size": 16,
    },
    "minimax": {
        **GROUPED,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "block_size": 8,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "phi3": {
        **USUAL,
        "num_key_value_heads": 1,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [4.0] * 8},
        "original_max_position_embeddings": 30,
        "max_position_embeddings": 512,
    },
    "opt": {
        **NO_HEADS,
        "num_attention_heads": 2,
        "ffn_dim": 48,
        "max_position_embeddings": 512,
        "word_embed_proj_dim": 32,
    },
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 2, "max_seq_len": 512},
    "falcon": {**USUAL, "alibi": True, "new_decoder_architecture": False},
    "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 2, "ffn_dim": 48, "max_position_embeddings": 512},
    "gptj": {**GPT2, "n_head": 4, "rotary_dim": 4},
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 48,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 24,
        "max_position_embeddings": 512,
    },
    "cohere": USUAL,
    "cohere2": WINDOWS,
    "gpt_oss": {**WINDOWS, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gemma3n_text": {
        **WINDOWS,
        "num_hidden_layers": 5,
        "num_kv_shared_layers": 2,
        "layer_types": [
            "sliding_attention",
            "full_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
        ],
        "vocab_size_per_layer_input": 320,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 4,
        "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.0] * 5,
    },
    "gemma3_text": {**WINDOWS, "query_pre_attn_scalar": 16},
    "llama4_text": {
        **GROUPED,
        "intermediate_size_mlp": 48,
        "num_local_experts": 2,
        "attention_chunk_size": 24,
        "no_rope_layers": [1, 0],
        "floor_scale": 140,
    },
    "smollm3": GROUPED,
    "stablelm": {**USUAL, "num_key_value_heads": 2},
    "persimmon": USUAL,
    "glm": GROUPED,
    "exaone4": WINDOWS,
    "ernie4_5": GROUPED,
    "olmo2": USUAL,
    "olmoe": {**USUAL, "num_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {**GROUPED, **FEW_EXPERTS},
    "nemotron": {**USUAL, "num_key_value_heads": 1},
    "helium": GROUPED,
    "biogpt": USUAL,
}
"""Those of `ARCHITECTURES`, with narrower windows, and more that are only generated with. phi3 has LongRoPE, whose long
texts are those of more than 30 tokens."""
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 128,
    "dropout": 0.0,
    "forced_eos_token_id": None,
    "init_std": 0.2,
}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 2, "initializer_factor": 3.0}
WITH_ENCODERS = {"t5": T5, "umt5": {**T5, "num_layers": 3}, "longt5": T5, "bart": BART, "plbart": BART, "pegasus": BART}
"""Of models with an encoder and a decoder; their random weights are such that a text depends on what is before it."""


def make_random(model_type: str, folder: Path, **fields: Any) -> ModelRef:
    """Write a random model and a tokenizer; `fields` of its config override those that are known here."""
    from transformers import AutoConfig

    tokenizer = train_tokenizer([p + o for p, o in pairs()], 320)
    ends = {name: tokenizer.eos_token_id for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    if model_type in WITH_ENCODERS:
        ends["decoder_start_token_id"] = tokenizer.eos_token_id
    known = {**GENERATED, **WITH_ENCODERS}.get(model_type, {})
    given = {**known, "vocab_size": len(tokenizer), **ends, **fields}
    config = AutoConfig.for_model(model_type, **given)
    with seeded_torch(0, model_type):
        auto_model(architecture_of(config)).from_config(config).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return resolve(str(folder)).ref()
