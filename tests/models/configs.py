"""Tiny random models of transformers' architectures, built from each architecture's own config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.models.finding import resolve
from raysweep.models.scratch import train_tokenizer
from raysweep.records import ModelRef
from raysweep.testing.tiny import pairs
from raysweep.trainers.loop import seeded_torch

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
}
"""Fields of the configs that make models tiny, by model type."""


def make_random(model_type: str, folder: Path, **fields: Any) -> ModelRef:
    """Write a random model and a tokenizer; `fields` of its config override those of `ARCHITECTURES`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = train_tokenizer([p + o for p, o in pairs()], 320)
    ends = {name: tokenizer.eos_token_id for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    given = {**ARCHITECTURES[model_type], "vocab_size": len(tokenizer), **ends, **fields}
    config = AutoConfig.for_model(model_type, **given)
    with seeded_torch(0, model_type):
        AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return resolve(str(folder)).ref()
