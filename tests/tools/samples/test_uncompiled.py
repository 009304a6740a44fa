"""Samples don't compile: one line says so, why, and what helps."""

from __future__ import annotations

import pytest

from raysweep.prompts.answers.extraction import Extract
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem
from raysweep.tools.samples.format import Sample
from raysweep.tools.samples.uncompiled import Uncompiled

PROBLEM = Problem("t/1", 'def add(a, b):\n    """Add."""\n', "add", "def check(f):\n    assert f(1, 2) == 3\n")
FENCED = "```python\ndef add(a, b):\n    return a + b\n```"


JAVA = Problem(
    "t/1", "class Solution {\n    public int add(int a, int b) {\n", "add", "class Main { }", language="java"
)


def advice(*texts: str, of: int, way: Extract = Extract.NONE, whole: bool = False, problem: Problem = PROBLEM) -> str:
    uncompiled = Uncompiled(way)
    for text in texts:
        uncompiled.add(Sample("s:1", "t/1", text, whole, {}), problem)
    return uncompiled.advice(of)


@pytest.mark.parametrize(
    ("texts", "of", "said"),
    [
        (
            [FENCED] * 3,
            10,
            "3 of 10 samples don't compile: fenced code (```) or tags in 3; --extract auto "
            "finds a program in 3 of them",
        ),
        (
            ["Here it is:\n\ndef add(a, b):\n    return a + b\n"],
            10,
            "1 of 10 samples doesn't compile: a repeated signature in 1; --extract auto finds a program in 1 of them",
        ),
        (["    return (\n"], 2, ""),
        ([], 0, ""),
        (
            [FENCED, FENCED],
            3,
            "2 of 3 samples don't compile: fenced code (```) or tags in 2; --extract auto finds a program in 2 of them",
        ),
        (
            ["return a + b", "x = \n", FENCED],
            3,
            "3 of 3 samples don't compile: no indentation in 2, fenced code (```) or tags in 1; --extract auto "
            "finds a program in 2 of them",
        ),
        (["    return (\n"] * 2, 2, "2 of 2 samples don't compile"),
        (["def add(a, b):\n    return ("], 1, "1 of 1 sample doesn't compile: a repeated signature in 1"),
    ],
)
def test_the_reason_and_the_option_that_helps(texts, of, said):
    assert advice(*texts, of=of) == said


def test_of_a_compiled_language_the_line_that_opens_the_function_is_looked_for():
    whole = "class Solution {\n  public int add(int a,int b)\n  {\n    return a + b;\n  }\n}\n"
    said = advice(f"```java\n{whole}```", whole, "return a +;\n}\n}\n", of=3, problem=JAVA)
    assert said == (
        "3 of 3 samples don't compile: fenced code (```) or tags in 1, a repeated signature in 1; --extract auto "
        "finds a program in 2 of them"
    )


def test_a_patch_in_fenced_code_is_said_and_taken_out():
    hunk = Hunk("def f(n):\n", "    return n - 1\n", "")
    problem = RepairProblem("t/1", marked(hunk, "#"), "f", "tests", "    return n\n", hunk=hunk)
    assert advice("```python\n    return n\n```", of=2, problem=problem) == (
        "1 of 2 samples doesn't compile: fenced code (```) or tags in 1; --extract auto finds a program in 1 of them"
    )


def test_what_was_tried_already_is_not_advised():
    text = advice("no code", of=1, way=Extract.AUTO)
    assert text == "1 of 1 sample doesn't compile: no indentation in 1; --extract auto found no program in them"
    assert advice("no code", of=10, way=Extract.AUTO) == ""
    assert "finds a program in 200 of the first 200" in advice(*[FENCED] * 300, of=300, whole=True)
