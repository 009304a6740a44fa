"""Bloom: BigScience's multilingual models.

It names no LoRA or IA3 targets, so adapters change the modules that PEFT knows for it.
"""

from __future__ import annotations

from types import MappingProxyType

from raysweep.models.families.base import FAMILIES, ModelFamily


@FAMILIES.register("bloom")
class Bloom(ModelFamily):
    """Attention that falls with the distance (ALiBi) in place of positions, a norm behind the embeddings."""

    lora_targets = ()
    embeddings = ("word_embeddings", "lm_head")
    packs = False
    tiny = MappingProxyType(
        {  # .86 million weights at a vocabulary of 512
            "hidden_size": 128,
            "n_layer": 4,
            "n_head": 4,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
        }
    )
