"""Tiny models of every family, built from configs and a freshly trained tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM

from raysweep.models.loading import load_model
from raysweep.models.scratch import EOS, train_tokenizer
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.loop import seeded_torch
from tests.tiny import make_tiny, pairs

TRANSFORMERS_4 = int(transformers.__version__.partition(".")[0]) < 5
"""Whether this is transformers 4: `make test-transformers5` runs the tests of models and trainers on 5."""
FAMILIES = ("llama", "gpt_bigcode", pytest.param("codegen", marks=pytest.mark.long))
"""The families that tests of training and generation run through: tied ends and rotary positions, and ends of their own
and learned positions. CodeGen, with both halves of the others, is tried in the long tests."""
FIRST = ("llama", *(pytest.param(name, marks=pytest.mark.long) for name in ("gpt_bigcode", "codegen")))
"""The same, for what no family does in its own way."""
EDITED = ("llama", "gpt_bigcode", "qwen2", "codegen")
"""The families whose models are edited."""


def cases(every: Iterable[Any], short: Iterable[Any]) -> list[Any]:
    """Return the cases of a test, of which some are in `make test`, and the others long."""
    chosen = list(short)
    return chosen + [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.long)
        for case in every
        if case not in chosen
    ]


def logits_of(network: Any) -> torch.Tensor:
    """Return a network's logits of some text."""
    with torch.inference_mode():
        out: torch.Tensor = network(input_ids=torch.arange(5, 37)[None]).logits
    return out


def state_of(network: Any) -> dict[str, torch.Tensor]:
    """Return copies of a network's tensors."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def is_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@dataclass(frozen=True)
class Chat:
    """A chat template, the special tokens in it, the one that ends a turn, and what the tokenizer puts first."""

    template: str
    tokens: tuple[str, ...]
    end: str
    first: str = ""


CHATS = {
    "chatml": Chat(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    "with a beginning": Chat(
        "{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|headed|>\n\n{{ m.content | trim }}<|eot|>"
        "{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|headed|>\n\n{% endif %}",
        ("<|begin|>", "<|head|>", "<|headed|>", "<|eot|>"),
        "<|eot|>",
        first="<|begin|>",
    ),
    "ends with the text": Chat(
        "{% for m in messages %}{{ '[Q] ' if m.role == 'user' else '' }}{{ m.content }}"
        "{{ ' [A]' if m.role == 'user' else eos_token }}{% endfor %}",
        (),
        EOS,
    ),
}


def chat_tokenizer(name: str) -> Any:
    """Return a tokenizer with one of `CHATS`, as chat models bring it along."""
    chat = CHATS[name]
    tokenizer = train_tokenizer([p + o for p, o in pairs()], 320)
    tokenizer.add_special_tokens({"additional_special_tokens": list(chat.tokens)})
    tokenizer.chat_template = chat.template
    if chat.first:
        tokenizer.bos_token = chat.first
        one = (chat.first, tokenizer.convert_tokens_to_ids(chat.first))
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{chat.first} $A", special_tokens=[one])
    return tokenizer


def make_chat_model(name: str, folder: Path) -> ModelRef:
    """Write a tiny llama with random weights and a chat template."""
    tokenizer = chat_tokenizer(name)
    make_tiny("llama", folder)
    with seeded_torch(0, name):
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelRef(str(folder))


def make_adapter(base: ModelRef, out: Path) -> ModelRef:
    """Save a LoRA adapter of random weights, each time the same."""
    from peft import LoraConfig, get_peft_model

    model, _ = load_model(base)
    with seeded_torch(0, "adapter"):
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(str(out), save_embedding_layers=False)
    return ModelRef(str(out), ModelKind.ADAPTER, base)
