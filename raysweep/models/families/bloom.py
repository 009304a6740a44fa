"""Bloom: BigScience's multilingual models.

It names no LoRA or IA3 targets, so adapters change the modules that PEFT knows for it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from raysweep.models.families.base import FAMILIES, ModelFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@FAMILIES.register("bloom")
class Bloom(ModelFamily):
    """Attention that falls with the distance (ALiBi) in place of positions, a norm behind the embeddings."""

    lora_targets = ()
    embeddings = ("word_embeddings", "lm_head")
    packs = False
    tiny = MappingProxyType(
        {
            "hidden_size": 128,
            "n_layer": 4,
            "n_head": 4,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
        }
    )

    def tiny_config(self, vocab_size: int, eos_token_id: int, **size: Any) -> PretrainedConfig:
        """Return a small config: .86 million weights at a vocabulary of 512, tied embeddings, no dropout."""
        from transformers import BloomConfig

        return BloomConfig(**self.fields(vocab_size, eos_token_id, size))
