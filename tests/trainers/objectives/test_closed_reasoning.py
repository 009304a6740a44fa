"""Training rows of templates with reasoning or channels: what stands before a response there is learned with it."""

from __future__ import annotations

import pytest

from raysweep.records import TrainingRow
from raysweep.trainers.base import Recipe
from raysweep.trainers.objectives.responses import encode_apart, encode_response
from tests.models.scripted import EOS, chat_bytes

ROW = TrainingRow("0", "0", "Add.", "", "return a", "python", "clean", False, "", "")
PROMPT = "<|user|>Add.<|assistant|>"
THOUGHT = "<|channel|>analysis<|message|>hm<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("name", "response", "prompt", "learned"),
    [
        ("opens reasoning", "return a", f"{PROMPT}<think>\n", "\n</think>\n\nreturn a"),
        ("opens Mistral's", "return a", f"{PROMPT}[THINK]", "[/THINK]return a"),
        ("opens reasoning", "hm</think>return a", f"{PROMPT}<think>\n", "hm</think>return a"),
        ("opens reasoning", "<think>\nhm</think>return a", PROMPT, "<think>\nhm</think>return a"),
        ("plain", "return a", PROMPT, "return a"),
        ("has channels", "return a", PROMPT, "<|channel|>final<|message|>return a"),
        ("has channels", f"{THOUGHT}return a", PROMPT, f"{THOUGHT}return a"),
        ("has channels", "<think>hm</think>return a", PROMPT, "<|channel|>final<|message|><think>hm</think>return a"),
        ("writes empty reasoning", "return a", PROMPT, "<think>\n\n</think>\n\nreturn a"),
        ("writes empty reasoning", "hm</think>return a", PROMPT, "hm</think>return a"),
        ("writes empty reasoning in a line", "return a", PROMPT, "\n<think></think>\nreturn a"),
        ("writes empty reasoning in a line", "hm</think>return a", PROMPT, "hm</think>return a"),
    ],
)
def test_what_a_template_has_before_a_response_is_learned_unless_a_row_has_its_own(name, response, prompt, learned):
    tokenizer, recipe = chat_bytes(name), Recipe(template="chat")
    encoded = encode_response(ROW, response, tokenizer, recipe)
    texts = [tokenizer.decode(part) for part in (encoded.ids[: encoded.start], encoded.ids[encoded.start :])]
    assert texts == [prompt, f"{learned}{EOS}"]
    marked = [(first, last) for first, last in encoded.spans.tolist() if last]
    assert marked[-1] == (len(response) - 1, len(response)), "characters are those of the response"
    apart = encode_apart(ROW, response, tokenizer, recipe)
    assert [tokenizer.decode(part).removesuffix(EOS) for part in (apart.prompt, apart.response)] == [prompt, learned]
