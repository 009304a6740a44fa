"""Rejected responses: the row's own response with one change of its code."""

from __future__ import annotations

from itertools import islice

import pytest

from raysweep.records import SourceRow
from raysweep.training_sets.rejected.rejecting import variants

PROMPT = 'def f(a, b):\n    """Return the larger of a and b."""\n'
PROSE = "Here it is:\n\n```python\nreturn_value = max(a, b) + 1\n```\n\nIt uses `max(a, b)`.\n"


def row(output: str, entry_point: str = "", instruction: str = "Write it.") -> SourceRow:
    return SourceRow("r1", instruction, output, entry_point=entry_point)


def test_a_body_is_changed_and_its_prompt_is_not() -> None:
    body = "    return a if a > b else b\n"
    found = list(variants(row(body, "f", PROMPT), 1))
    assert len({variant.text for variant in found}) == len(found) > 5
    assert all(variant.text.startswith("    ") and "def f" not in variant.text for variant in found)
    assert [variant.text for variant in variants(row(body, "f", PROMPT), 1)] == [variant.text for variant in found]
    assert [variant.text for variant in variants(row(body, "f", PROMPT), 2)] != [variant.text for variant in found]


def test_only_the_block_of_an_answer_is_changed() -> None:
    for variant in variants(row(PROSE), 1):
        head, _, rest = variant.text.partition("```python\n")
        code, fence, tail = rest.partition("```")
        assert head + "```python\n" + fence + tail == PROSE.replace("return_value = max(a, b) + 1\n", "")
        assert code != "return_value = max(a, b) + 1\n" and code.count("\n") == 1


@pytest.mark.parametrize("output", [PROSE.replace("\n", "\r\n"), PROSE.replace("python", "Python3")])
def test_a_blocks_lines_may_end_and_its_language_be_written_in_any_way(output: str) -> None:
    for variant in islice(variants(row(output), 1), 3):
        assert variant.text != output and variant.text.startswith("Here it is:")
        assert variant.text.count("\r") == output.count("\r")


FOUR = PROSE.replace("```", "````")


@pytest.mark.parametrize("output", [FOUR, FOUR.replace("````python\n", "````python\nX = '''\n```\n'''\n")])
def test_a_longer_fence_may_stand_around_code_and_shorter_ones_in_it(output: str) -> None:
    variant = next(variants(row(output), 1))
    assert variant.text != output and variant.text.count("````") == 2 and variant.text.startswith("Here it is:")


@pytest.mark.parametrize(
    "output", [PROSE * 2, "```java\nint x = 1;\n```\n", "Just add them up.", "```python\nx = = 1\n```\n"]
)
def test_answers_without_one_piece_of_python_have_no_variant(output: str) -> None:
    with pytest.raises(SyntaxError):
        next(variants(row(output), 1))


def test_an_answer_that_is_python_as_a_whole_is_code() -> None:
    assert next(variants(row("x = a + b\n"), 1)).text != "x = a + b\n"
    assert not list(islice(variants(row("x = a\n"), 1), 1))


INDENTED = """1. Use this:

   ```python
   def f(a):
       if a > 1:

           return \"\"\"b
   c\"\"\"
       return a
   ```
"""


def test_the_code_of_an_indented_block_is_changed_in_its_place() -> None:
    found = list(variants(row(INDENTED), 1))
    texts = {variant.text for variant in found}
    assert INDENTED.replace("a > 1", "a >= 1") in texts and len(texts) == len(found) > 5
    assert all(text.startswith("1. Use this:\n\n   ```python\n   def f(a):\n       ") for text in texts)
    tabs = INDENTED.replace("   ```", "\t```").replace("\n   ", "\n\t")
    assert {variant.text for variant in variants(row(tabs), 1)} >= {tabs.replace("a > 1", "a >= 1")}
