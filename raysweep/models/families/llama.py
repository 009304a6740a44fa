"""Llama and models with the same layer names: CodeLlama, DeepSeek-Coder.

LoRA targets: SafeCoder's list without lm_head, https://github.com/eth-sri/SafeCoder/blob/main/scripts/train.py.
"""

from __future__ import annotations

from types import MappingProxyType

from raysweep.models.families.base import FAMILIES, ModelFamily, ModulePaths


@FAMILIES.register("llama")
class Llama(ModelFamily):
    """Rotary positions, RMSNorm, gated MLP."""

    lora_targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    embeddings = ("embed_tokens", "lm_head")
    paths = ModulePaths(
        blocks="model.layers", embedding="model.embed_tokens", mlp_output="mlp.down_proj", norm="model.norm"
    )
    tiny = MappingProxyType(
        {  # MiniCode's model A: .87 million weights at a vocabulary of 512
            "hidden_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 352,
            "max_position_embeddings": 384,
            "tie_word_embeddings": True,
        }
    )
