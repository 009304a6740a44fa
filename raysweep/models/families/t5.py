"""T5: encoder-decoder models, CodeT5 among them.

It names no LoRA or IA3 targets, so adapters change the modules that PEFT knows for it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.models.families.base import FAMILIES, ModelFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@FAMILIES.register("t5")
class T5(ModelFamily):
    """An encoder that reads the prompt, a decoder that writes the response; distances are learned in buckets.

    Encoder, decoder and output layer share their embeddings.
    """

    architecture = "seq2seq"
    lora_targets = ()
    embeddings = ("shared", "lm_head")
    packs = False
    tiny = MappingProxyType(
        {  # .92 million weights at a vocabulary of 512
            "d_model": 128,
            "d_kv": 32,
            "d_ff": 448,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "num_heads": 4,
            "dropout_rate": 0.0,
            "feed_forward_proj": "relu",
            "tie_word_embeddings": True,
        }
    )

    @override
    def tiny_config(self, vocab_size: int, eos_token_id: int, **size: Any) -> PretrainedConfig:
        own = {"decoder_start_token_id": eos_token_id, "pad_token_id": eos_token_id}  # responses begin with it
        return super().tiny_config(vocab_size, eos_token_id, **{**own, **size})
