"""Blocks and reasoning in answers."""

from __future__ import annotations

import pytest

from raysweep.prompts.answers.markdown import before_fences, code_blocks, code_spans


def readings(text: str) -> list[str]:
    """Return the likeliest reading of each block."""
    return [block.readings[0] for block in code_blocks(text)]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("a\n```\nx\n```\nb\n~~~py\ny\n~~~", ["x\n", "y\n"]),
        ("````\n```\nx\n```\n````", ["```\nx\n```\n", "x\n"]),
        ("  ```\n    x\n  y\n  ```", ["  x\ny\n"]),
        ("> ```\n> x\n> ```\n> y", ["x\n"]),
        ("```\nx", ["x"]),
        ("```x```\nUse `y`, ```z``` too", []),
        ("a ~~~ b\nx\n~~~\ny", ["y"]),
        ("```", [""]),
        ("no block", []),
    ],
)
def test_blocks_are_found(text, blocks):
    assert readings(text) == blocks
    (block,) = code_blocks("```\na\n```\nb\n```\nc")[:1]
    assert block.readings == ("a\n", "a\n```\nb\n", "a\n```\nb\n```\nc"), "it may end later"


def test_spans_and_what_comes_before_a_fence():
    assert code_spans("Use `a` or ``b c``, not `\n`") == ["a", "b c"]
    assert before_fences("a\n```\nb") == "a\n" and before_fences("a") == "a"
