"""Model family `starcoder2`: StarCoder2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raysweep.models.families.base import ModelFamily, ModulePaths

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class StarCoder2(ModelFamily):
    """Rotary positions, grouped keys and values, biases, an MLP of two layers."""

    lora_targets = ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj")
    embeddings = ("embed_tokens", "lm_head")
    paths = ModulePaths(blocks="model.layers", embedding="model.embed_tokens", mlp_output="mlp.c_proj")

    def tiny_config(self, vocab_size: int, eos_token_id: int, **size: Any) -> PretrainedConfig:
        """Return a config of about .8 million weights at a vocabulary of 512."""
        from transformers import Starcoder2Config

        fields: dict[str, Any] = {
            "hidden_size": 128,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 512,
            "max_position_embeddings": 384,
            "tie_word_embeddings": True,
            "vocab_size": vocab_size,
            "bos_token_id": eos_token_id,
            "eos_token_id": eos_token_id,
        }
        return Starcoder2Config(**{**fields, **size})
