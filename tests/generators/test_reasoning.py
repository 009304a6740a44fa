"""Chat models whose marks of reasoning are control tokens: what they write keeps the marks, and programs are found."""

from __future__ import annotations

import pytest

from raysweep.engine import jobs
from raysweep.generators.transformers import Transformers
from raysweep.models.loading import load_tokenizer
from raysweep.prompts.answers.extraction import Extract, Found, extracted
from raysweep.prompts.templates import Prompter, PromptTemplate
from raysweep.records import Decoding, Problem
from tests.models.scripted import EOS, chat_bytes, write_scripted

TASK = Problem("t", 'def f():\n    """Return 1."""\n', "f", "")
DRAFT, ANSWER = "\n```python\ndef f():\n    return 0\n```\n", "\n```python\ndef f():\n    return 1\n```\n"
FINAL = "<|channel|>final<|message|>"
MODELS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Qwen3": ("writes empty reasoning", (), ("<think>", DRAFT, "</think>", ANSWER)),
    "DeepSeek-R1": ("opens reasoning", ("<think>", "</think>"), (DRAFT, "</think>", ANSWER)),
    "Magistral": ("plain", ("[THINK]", "[/THINK]"), ("[THINK]", DRAFT, "[/THINK]", ANSWER)),
    "gpt-oss": (
        "has channels",
        ("<|start|>", "<|end|>"),
        ("<|channel|>", "analysis", "<|message|>", DRAFT, "<|end|>", "<|start|>", "assistant", FINAL, ANSWER),
    ),
    "Command A Reasoning": (
        "has responses",
        ("<|START_THINKING|>", "<|END_THINKING|>", "<|END_RESPONSE|>"),
        ("<|START_THINKING|>", DRAFT, "<|END_THINKING|>", "<|START_RESPONSE|>", ANSWER, "<|END_RESPONSE|>"),
    ),
}
"""The chat template, further control tokens, and what the model writes: each text once, so FINAL is a piece."""


@pytest.mark.parametrize("name", MODELS)
def test_a_program_behind_reasoning_is_found_and_a_draft_within_it_is_none(name, tmp_path):
    chat, special, chain = MODELS[name]
    tokenizer = chat_bytes(chat, special)
    tokenizer.add_tokens([text for text in chain if text not in tokenizer.get_vocab()])
    model = write_scripted(tmp_path, tokenizer, [*chain, EOS])
    prompter = Prompter("chat", False, PromptTemplate("chat", "", load_tokenizer(model)), whole_answers=True)
    asked = prompter.request("0", TASK, TASK.prompt)
    (whole,) = jobs.generate(Transformers(model, Decoding(20)), [asked])
    taken = extracted(TASK, whole.text, Extract.AUTO)
    assert taken.found is Found.FENCE and "return 1" in taken.program.text and "return 0" not in taken.program.text
    (cut,) = jobs.generate(Transformers(model, Decoding(chain.index(DRAFT) + 1)), [asked])
    assert DRAFT in cut.text and extracted(TASK, cut.text, Extract.AUTO).found is Found.NOTHING
