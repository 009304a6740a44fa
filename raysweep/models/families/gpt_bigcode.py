"""GPTBigCode: StarCoderBase and models derived from it.

LoRA targets: SafeCoder's list without lm_head, https://github.com/eth-sri/SafeCoder/blob/main/scripts/train.py.
"""

from __future__ import annotations

from types import MappingProxyType

from raysweep.models.families.base import FAMILIES, ModelFamily, ModulePaths


@FAMILIES.register("gpt_bigcode")
class GptBigCode(ModelFamily):
    """Learned positions, multi-query attention. Longer inputs than `n_positions` are impossible."""

    lora_targets = ("c_attn", "c_proj", "c_fc")
    embeddings = ("wte", "lm_head")
    paths = ModulePaths(
        blocks="transformer.h", embedding="transformer.wte", mlp_output="mlp.c_proj", norm="transformer.ln_f"
    )
    tiny = MappingProxyType(
        {  # MiniCode's model B: .87 million weights at a vocabulary of 512
            "n_embd": 128,
            "n_layer": 4,
            "n_head": 4,
            "n_inner": 512,
            "n_positions": 384,
            "multi_query": True,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "tie_word_embeddings": False,
        }
    )
