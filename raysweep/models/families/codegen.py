"""CodeGen: Salesforce's multi-language models.

LoRA targets: SafeCoder's list without lm_head, https://github.com/eth-sri/SafeCoder/blob/main/scripts/train.py.
"""

from __future__ import annotations

from types import MappingProxyType

from raysweep.models.families.base import FAMILIES, ModelFamily, ModulePaths


@FAMILIES.register("codegen")
class CodeGen(ModelFamily):
    """GPT-J's layers: rotary positions on a part of each head, attention and MLP in parallel."""

    lora_targets = ("qkv_proj", "out_proj", "fc_in", "fc_out")
    ia3_targets = ("qkv_proj", "fc_out")
    ia3_feedforward = ("fc_out",)
    embeddings = ("wte", "lm_head")
    paths = ModulePaths(
        blocks="transformer.h", embedding="transformer.wte", mlp_output="mlp.fc_out", norm="transformer.ln_f"
    )
    packs = False
    tiny = MappingProxyType(
        {  # `n_head` must be a multiple of 4, since CodeGen splits its heads over 4 shards
            "n_embd": 128,
            "n_layer": 4,
            "n_head": 4,
            "n_inner": 512,
            "n_positions": 384,
            "n_ctx": 384,
            "rotary_dim": 16,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "tie_word_embeddings": False,
        }
    )
