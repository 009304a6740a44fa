"""Qwen2 and models with the same layer names: Qwen2.5, Qwen2.5-Coder.

It names no LoRA or IA3 targets, so adapters change the modules that PEFT knows for it.
"""

from __future__ import annotations

from types import MappingProxyType

from raysweep.models.families.base import FAMILIES, ModelFamily, ModulePaths


@FAMILIES.register("qwen2")
class Qwen2(ModelFamily):
    """Llama's layers, with keys and values that heads share, and biases in the attention."""

    lora_targets = ()
    embeddings = ("embed_tokens", "lm_head")
    paths = ModulePaths(
        blocks="model.layers", embedding="model.embed_tokens", mlp_output="mlp.down_proj", norm="model.norm"
    )
    tiny = MappingProxyType(
        {  # .81 million weights at a vocabulary of 512
            "hidden_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 352,
            "max_position_embeddings": 384,
            "tie_word_embeddings": True,
        }
    )
