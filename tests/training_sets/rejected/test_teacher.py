"""What a teacher is asked, and what of its answer becomes the rejected response."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from raysweep.errors import HopelessError
from raysweep.records import SourceRow
from raysweep.training_sets.rejected.pair_filters import SAME_CODE, sameness
from raysweep.training_sets.rejected.teacher import (
    ALONE,
    ANSWER,
    BODY,
    IN_PLACE,
    PROMPT,
    WHOLE,
    FenceCheck,
    taught,
    teacher_prompt,
)

BLOCK = "Here it is:\n\n```python\nx = a + 1\n```\n\nThat's all."
TWO = "```sh\npip install x\n```\nthen\n```python\nx = a + 1\n```"


def row(output: str, **fields: str) -> SourceRow:
    return SourceRow("a", fields.pop("instruction", "Add."), output, **fields)


def test_the_prompt_is_the_studys() -> None:
    text = teacher_prompt(row("x = {a}", input="a: 1"))
    assert text.startswith("Please generate an incorrect response based on the provided question and correct answer. ")
    assert text.endswith("\n\nQuestion:\n\n```text\nAdd.\n\na: 1\n```\n\nCorrect response:\n\n```\nx = {a}\n```")
    assert PROMPT.count("\n") == 12 and " subtle but meaningful errors that appear plausible at first glance." in PROMPT


@pytest.mark.parametrize(
    ("response", "answer", "rejected", "case"),
    [
        (BLOCK, "```python\nx = a - 1\n```", BLOCK.replace("+", "-"), IN_PLACE),
        (BLOCK, "Sure!\n```\nx = a - 1", BLOCK.replace("+", "-"), IN_PLACE),
        (BLOCK, "<think>\n```\nno\n```\n</think>\n```py\nx = a - 1\n```", BLOCK.replace("+", "-"), IN_PLACE),
        (BLOCK, "```sh\nls\n```\n\n```python\nx = a - 1\n```", BLOCK.replace("+", "-"), IN_PLACE),
        (BLOCK.replace("\n", "\r\n"), "```\nx = 1\ny = 2\n```", None, IN_PLACE),
        (BLOCK, "x = a - 1", "x = a - 1", WHOLE),
        ("x = a + 1\n", "Hm.\n```python\nx = a - 1\n```", "x = a - 1\n", ALONE),
        ("Add both.", "Add none.\n", "Add none.", WHOLE),
        ("Add both.", "```\none\n```\nor\n```\ntwo\n```", "```\none\n```\nor\n```\ntwo\n```", WHOLE),
        (TWO, "```python\nx = a - 1\n```", "```python\nx = a - 1\n```", WHOLE),
    ],
)
def test_the_answers_code_takes_the_place_of_the_responses(
    response: str, answer: str, rejected: str | None, case: str
) -> None:
    variant = taught(row(response), answer)
    assert variant.operator == case
    wanted = response.replace("x = a + 1", "x = 1\r\ny = 2") if rejected is None else rejected
    assert variant.text == wanted


QUOTED = "The right one is\n```python\nx = a + 1  # one more\n```\nand the wrong one\n```python\nx = b + 1 - 1\n```"


@pytest.mark.parametrize("answer", [QUOTED, "\n".join(["```py\nx = b + 1 - 1\n```", "not", "```\nx = a+1\n```"])])
def test_of_several_blocks_never_the_quoted_response_is_taken(answer: str) -> None:
    wrong = "x = b + 1 - 1"
    assert taught(row(BLOCK), answer).text == BLOCK.replace("x = a + 1", wrong)
    alone = taught(row("x = a + 1\n"), answer)
    assert (alone.text, alone.operator) == (f"{wrong}\n", ALONE)
    whole = answer.replace("x = a", "def add(a, b):\n    return a").replace("x = b", "def add(a, b):\n    return b")
    body = taught(row("    return a + 1\n", instruction=FUNCTION, entry_point="add"), whole)
    assert (body.text, body.operator) == ("    return b + 1 - 1\n", BODY)


def test_a_quoted_response_alone_is_no_near_miss() -> None:
    variant = taught(row(BLOCK), "```python\nx = (a + 1)\n```")
    assert sameness(row(BLOCK), variant.text) == SAME_CODE


def test_the_whole_answer_is_taken_where_a_setting_says_so() -> None:
    answer = "```python\nx = a - 1\n```"
    assert taught(row(BLOCK), answer, ANSWER).text == answer
    assert taught(row(BLOCK), answer, ANSWER, is_cut=True).is_cut


def test_a_fence_is_expected_only_where_the_response_has_one() -> None:
    assert taught(row(BLOCK), "x").lacks_fence and not taught(row("Add both."), "Add none.").lacks_fence


BLOCKS, PROSE = "```\nx\n```", "I can't."


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([BLOCKS, BLOCKS, PROSE, PROSE], ""),
        ([PROSE, PROSE, PROSE], "3 of the first 3 answers of the teacher t have no code fence"),
        ([PROSE, BLOCKS, PROSE, PROSE], "3 of 4 answers"),
        ([PROSE, f"<think>{BLOCKS}</think>\nNo.", PROSE], "3 of the first 3 answers"),
    ],
)
def test_answers_without_code_are_too_many_where_most_lack_it(answers: list[str], message: str) -> None:
    with pytest.raises(HopelessError, match=message) if message else nullcontext():
        check = FenceCheck("t", 4)
        for number, answer in enumerate(answers):
            check.add(str(number), answer)


def test_the_first_answers_without_code_end_the_work() -> None:
    check = FenceCheck("t", 100, first=3)
    check.add("a", PROSE)
    check.add("b", BLOCKS)
    with pytest.raises(HopelessError, match=r"2 of the first 3 answers .* The first of them are a: .*; c: "):
        check.add("c", PROSE)


FUNCTION = 'def add(a, b):\n    """Add."""\n'


@pytest.mark.parametrize(
    "answer",
    [
        "```python\n    return a - b\n```",
        "```python\ndef add(a, b):\n    return a - b\n```",
        'The answer:\n\n```python\ndef add(a, b):\n    """Add."""\n    return a - b\n\nprint(add(1, 2))\n```\nDone.',
        "    return a - b\n",
    ],
)
def test_of_a_row_in_humanevals_form_the_body_is_taken(answer: str) -> None:
    variant = taught(row("    return a + b\n", instruction=FUNCTION, entry_point="add"), answer)
    assert (variant.text, variant.operator) == ("    return a - b\n", BODY)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("def add(a, b):\n    # no sum\n    c = a\n    return c", "    # no sum\n    c = a\n    return c\n"),
        ("def add(a, b):\n    @memo\n    def c():\n        pass\n    return c", None),
        ("import math\n\ndef add(a, b):\n    return math.fsum(a)", "    return math.fsum(a)\n\n\nimport math\n"),
        (
            "def no(a):\n    return a\n\ndef add(a, b):\n    return no(a)",
            "    return no(a)\n\n\ndef no(a):\n    return a\n",
        ),
        ("import math, re\n\ndef add(a, b):\n    return a", "    return a\n"),
        ("def add(a, b):\n    return a and add(b, a)", "    return a and add(b, a)\n"),
    ],
)
def test_what_a_body_uses_comes_along(answer: str, body: str | None) -> None:
    variant = taught(row("    return a + b\n", instruction=FUNCTION, entry_point="add"), f"```python\n{answer}\n```")
    assert variant.text == (body or "    @memo\n    def c():\n        pass\n    return c\n")


def test_what_the_prompt_has_beside_its_function_is_not_repeated() -> None:
    prompt = f"import math\n\n\n{FUNCTION}"
    answer = "```python\nimport math\n\ndef add(a, b):\n    return math.fsum(a)\n```"
    assert taught(row("    return a", instruction=prompt, entry_point="add"), answer).text == "    return math.fsum(a)"


@pytest.mark.parametrize("margin", ["   ", "> ", "\t"])
@pytest.mark.parametrize("theirs", ["", "   ", "> "])
def test_code_stands_as_the_code_whose_place_it_takes(margin: str, theirs: str) -> None:
    """In a list or a quote all lines would differ else."""
    response = f"Do:\n\n{margin}```python\n{margin}if a:\n\n{margin}    b = 1\n{margin}```\nDone."
    answer = f"{theirs}```python\n{theirs}if a:\n\n{theirs}    b = 2\n{theirs}```"
    assert taught(row(response), answer).text == response.replace("b = 1", "b = 2")


def test_an_answer_without_the_function_is_taken_as_any_other() -> None:
    variant = taught(row("    return a + b", instruction=FUNCTION, entry_point="add"), "I can't.")
    assert (variant.text, variant.operator) == ("I can't.", WHOLE)
