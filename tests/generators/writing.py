"""Texts of models: by raysweep's own generator, and by transformers' `generate`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from raysweep.generators.base import GENERATORS, LiveModel
from raysweep.records import Decoding, ModelRef, Spec


def create(model: ModelRef | LiveModel | None, decoding: Decoding, **args: Any) -> Any:
    """Return raysweep's own generator."""
    return GENERATORS.create(Spec("transformers", args), model=model, decoding=decoding)


def texts_of_generate(network: Any, tokenizer: Any, prompts: Iterable[str], tokens: int, **how: Any) -> list[str]:
    """Return what transformers' `generate` writes after each prompt, one after the other, without sampling."""
    texts = []
    for prompt in prompts:
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "max_new_tokens": tokens}
        begun = 1 if network.config.is_encoder_decoder else ids.shape[1]
        for text in network.generate(**given, do_sample=False, **how):
            texts.append(tokenizer.decode(text[begun:], skip_special_tokens=True))
    return texts
