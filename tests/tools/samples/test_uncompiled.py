"""Samples don't compile: one line says so, why, and what helps."""

from __future__ import annotations

from raysweep.prompts.answers.ways import Extract
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.records import Problem
from raysweep.tools.samples.format import Sample
from raysweep.tools.samples.uncompiled import Uncompiled

PROBLEM = Problem("t/1", 'def add(a, b):\n    """Add."""\n', "add", "def check(f):\n    assert f(1, 2) == 3\n")
FENCED = "```python\ndef add(a, b):\n    return a + b\n```"


IN_SOLUTION = "class Solution {\n    public int add(int a, int b) {\n"
JAVA = Problem("t/1", IN_SOLUTION, "add", "class Main { }", language="java")


def advice(*texts: str, of: int, way: Extract = Extract.NONE, whole: bool = False, problem: Problem = PROBLEM) -> str:
    uncompiled = Uncompiled(way)
    for text in texts:
        uncompiled.add(Sample("s:1", "t/1", text, whole, {}), problem)
    return uncompiled.advice(of)


HUNK = Hunk("def f(n):\n", "    return n - 1\n", "")
TO_REPAIR = RepairProblem("t/1", marked(HUNK, "#"), "f", "tests", "    return n\n", hunk=HUNK)
IN_JAVA = "class Solution {\n  public int add(int a,int b)\n  {\n    return a + b;\n  }\n}\n"


def test_the_reason_and_the_option_that_helps(snapshot):
    said = {
        "fenced": advice(*[FENCED] * 3, of=10),
        "most are fenced": advice(*[FENCED] * 2, of=3),
        "a signature": advice("Here it is:\n\ndef add(a, b):\n    return a + b\n", of=10),
        "a wrong signature": advice("def add(a, b):\n    return (", of=1),
        "broken": advice("    return (\n", of=2),
        "all are broken": advice(*["    return (\n"] * 2, of=2),
        "none": advice(of=0),
        "of all kinds": advice("return a + b", "x = \n", FENCED, of=3),
        "Java": advice(f"```java\n{IN_JAVA}```", IN_JAVA, "return a +;\n}\n}\n", of=3, problem=JAVA),
        "Java, broken bodies": advice(*["    return a +;\n    }\n}\n\n\n"] * 2, of=2, problem=JAVA),
        "a body as a solution": advice("    return 1\n", of=1, whole=True),
        "a patch": advice("```python\n    return n\n```", of=2, problem=TO_REPAIR),
        "tried already": advice("no code", of=1, way=Extract.AUTO),
        "tried already, few": advice("no code", of=10, way=Extract.AUTO),
        "many": advice(*[FENCED] * 300, of=300, whole=True),
    }
    assert said == snapshot
