"""Marks around code that aren't Markdown's."""

from __future__ import annotations

import pytest

from raysweep.prompts.answers.marks import fenced, has_meaning, is_marked
from raysweep.prompts.answers.tool_calls import argument_texts


def test_texts_with_marks_are_known():
    texts = ("x", "~~~", "a```", "</think>", "1 < 2", "[BEGIN]\nx", "x[0]\n", "a<|eom_id|>", "<code>\nx")
    assert [is_marked(text) for text in texts] == [False, True, True, True, False, True, False, True, True]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("[BEGIN]\nx\n[DONE]\ny", ["x"]),
        ("<code>x</code>\ny\n<code>\nz", ["x", "z"]),
        ("<answer>\n```\nx\n```\n</answer>", ["x"]),
        ("a <|python_tag|>x<|eom_id|>", ["x"]),
        ("<a>\nprose\n</a>", []),
        ("s = '<|python_tag|>'", []),
    ],
)
def test_what_stands_between_marks_becomes_a_block(text, blocks):
    from raysweep.prompts.answers.markdown import code_blocks

    assert [block.readings[0].strip() for block in code_blocks(fenced(text))] == blocks


def test_blocks_with_fences_keep_what_looks_like_a_mark():
    text = "```\nif a[a[0]]>1:\n<code>\n```\n"
    assert fenced(f"{text}<b>\n").startswith(text)


def test_texts_of_a_call_come_the_likeliest_first():
    call = '{"explanation": "e", "code": "c", "tests": ["t"], "arguments": "{\\"code\\": \\"d\\"}"}'
    assert argument_texts(call) == ["d", "c"]
    assert argument_texts('{"explanation": "e", "text": "t", "input": "i"}') == ["i", "t"]
    assert argument_texts('{"code": "c", "wrong_code": "d", "notes": "n"}') == ["c"]
    assert argument_texts('{"plan": "p", "text": "t"}') == ["t", "p"]
    assert argument_texts('[python(code="c")]') == argument_texts("{'code': 'c'}") == ["c"]
    assert argument_texts("{" * 10_000) == argument_texts('{"' * 10_000) == []


def test_control_tokens_with_a_meaning_are_told_from_others():
    assert all(map(has_meaning, ("[THINK]", "<|python_tag|>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]")))
    assert not any(map(has_meaning, ("<|im_end|>", "<s>", "[INST]", "<fim_prefix>", "<file_sep>", "<|eom_id|>")))
