"""Tiny models that write a given text, whatever the prompt: what ends it, and what comes after that, is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from raysweep.records import ModelRef

EOS = "<|endoftext|>"


def byte_tokenizer(special: Sequence[str] = (EOS,), pieces: Sequence[str] = (), **fields: Any) -> Any:
    """Return a tokenizer of bytes, control tokens, the first of which ends texts, and added pieces of text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in pieces])
    fields = {"eos_token": special[0], "clean_up_tokenization_spaces": False, **fields}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **fields)


def write_scripted(
    folder: Path,
    tokenizer: Any,
    chain: Sequence[str] = (),
    generation: Mapping[str, Any] | None = None,
    rows: int | None = None,
    **config: Any,
) -> ModelRef:
    """Write a model that writes the tokens of `chain` one after the other, and then the last one again and again.

    Args:
        folder: created if missing.
        tokenizer: the model's.
        chain: texts of tokens; empty: the end of text.
        generation: the fields of generation_config.json; None: there is no such file.
        rows: of its embeddings; None: as many as the tokenizer has tokens.
        config: fields of config.json.
    """
    rows = rows or len(tokenizer)
    hidden = (max(rows, len(tokenizer)) + 7) // 8 * 8
    fields = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "max_position_embeddings": 512, **config}
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=rows,
            hidden_size=hidden,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=4,
            tie_word_embeddings=False,
            **fields,
        )
    )
    ids = tokenizer.convert_tokens_to_ids(list(chain) or [tokenizer.eos_token or EOS])
    follows = dict.fromkeys(range(rows), ids[0]) | dict(zip(ids, [*ids[1:], ids[-1]], strict=True))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.model.norm.weight.fill_(1)
        network.model.embed_tokens.weight[range(rows), range(rows)] = 1
        network.lm_head.weight[list(follows.values()), list(follows)] = 1
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    if generation is not None:
        GenerationConfig(**generation).save_pretrained(folder)
    return ModelRef(str(folder))


TURNS = (
    "{% for m in messages %}<|{{ 'assistant' if m.role == 'assistant' else 'user' }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>"
)
ANSWERED = (
    "{{% for m in messages %}}{{% if m.role == 'user' %}}<|user|>{{{{ m.content }}}}{{% else %}}<|assistant|>{}"
    "{{{{ m.content }}}}{{{{ eos_token }}}}{{% endif %}}{{% endfor %}}{{% if add_generation_prompt %}}<|assistant|>"
)
CHATS = {
    "plain": TURNS + "{% endif %}",
    "has spaces": "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else "
    "' ' + m.content + ' ' + eos_token }}{% endfor %}",
    "has a line end": "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "strips": "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content | trim + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    "goes on in another way": "{% for m in messages %}{{ '<|' + m.role + '|> ' + m.content + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    "ends in no answer": "{% if messages[-1].role == 'assistant' %}{{ raise_exception('no answer') }}{% endif %}"
    "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else "
    "' ' + m.content + eos_token }}{% endfor %}",
    "reads reasoning": "{% for m in messages %}<|{{ m.role }}|>{% set parts = m.content.split('</think>') %}"
    "{% if m.role == 'assistant' %}<think>\n{{ parts[0].split('<think>')[-1].strip('\n') if parts | length > 1 }}"
    "\n</think>\n\n{% endif %}{{ parts[-1].lstrip('\n') }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "opens reasoning": TURNS + "<think>\n{% endif %}",
    "opens Mistral's": TURNS + "[THINK]{% endif %}",
    "has channels": ANSWERED.format("<|channel|>final<|message|>") + "{% endif %}",
    "writes empty reasoning": ANSWERED.format("<think>\n\n</think>\n\n") + "{% endif %}",
    "may reason": ANSWERED.format("<think>\n\n</think>\n\n")
    + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
    "writes empty reasoning in a line": ANSWERED.format("\n<think></think>\n") + "{% endif %}",
    "has code tags": ANSWERED.format("<code>\n") + "{% endif %}",
    "has responses": ANSWERED.format("<|START_RESPONSE|>") + "{% endif %}",
    "reads the clock": "{{ strftime_now('%d %b %Y') }}" + TURNS + "{% endif %}",
    "shows a date in later turns": "{% if messages|length > 1 %}{{ strftime_now('%d %b %Y') }}{% endif %}"
    + TURNS
    + "{% endif %}",
    "has a date": "{% if date_string is not defined %}{% set date_string = '26 Jul 2024' %}{% endif %}{{ date_string }}"
    + TURNS
    + "{% endif %}",
}
"""Chat templates that write something around answers, as those of Llama 2, Llama 3 and Mistral, open reasoning,
write marks before an answer, as those of gpt-oss, Qwen3, GLM and Cohere, or show a date."""
MARKS = ("<|channel|>", "<|message|>", "<think>", "</think>", "<|START_RESPONSE|>")


def chat_bytes(name: str, special: Sequence[str] = (), pieces: Sequence[str] = ()) -> Any:
    """Return a tokenizer of bytes with one of `CHATS`, and control tokens of the marks before its answers."""
    marks = [mark for mark in MARKS if mark in CHATS[name].partition("{% else %}")[2]]
    tokenizer = byte_tokenizer((EOS, "<|user|>", "<|assistant|>", *special, *marks), pieces)
    tokenizer.chat_template = CHATS[name]
    return tokenizer
