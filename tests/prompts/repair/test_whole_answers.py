"""Answers that are the whole function around a hunk, or a diff, instead of the hunk's lines."""

from __future__ import annotations

import time

import pytest

from raysweep.prompts.answers.extraction import Extract, Found, extracted, in_words
from raysweep.prompts.repair.hunks import Hunk, marked
from raysweep.prompts.repair.problems import RepairProblem

GCD = Hunk("def gcd(a, b):\n    if b == 0:\n        return a\n", "    return gcd(a % b, b)\n", "")
ONE = Hunk("    @property\n    def one(self):\n", "        return 2\n", "")
TWICE = Hunk("    static int twice(int n) {\n", "        return n;\n", "    }\n")
PROBLEMS = {
    "function": RepairProblem(
        "p",
        marked(GCD, "#"),
        "gcd",
        "t",
        "    return gcd(b, a % b)\n",
        hunk=GCD,
        file_before="import math\n\n\n",
        file_after="\n\ndef lcm(a, b):\n    return a * b // gcd(a, b)\n",
    ),
    "method": RepairProblem(
        "m",
        marked(ONE, "#"),
        "A",
        "t",
        "        return 1\n",
        hunk=ONE,
        file_before='class A:\n    """It is."""\n\n',
        file_after="\n    two = 2\n",
    ),
    "Java": RepairProblem(
        "j",
        marked(TWICE, "//"),
        "twice",
        "t",
        "        return 2 * n;\n",
        "java",
        hunk=TWICE,
        file_before="class A {\n    int m;\n\n",
        file_after="}\n",
    ),
}
ANSWERS = {
    "function": [
        "def gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n",
        "Fixed:\n```python\ndef gcd(a, b):\n    if b == 0:\n        return a\n    return gcd(b, a % b)\n```",
        "--- a/x.py\n+++ b/x.py\n@@ -4,4 +4,4 @@\n     if b == 0:\n         return a\n"
        "-    return gcd(a % b, b)\n+    return gcd(b, a % b)\n",
        "```diff\n-    return gcd(a % b, b)\n+    return gcd(b, a % b)\n```",
        "<<<<<<< SEARCH\n    return gcd(a % b, b)\n=======\n    return gcd(b, a % b)\n>>>>>>> REPLACE\n",
    ],
    "method": [
        "def one(self):\n    return 1\n",
        "@property\ndef one(self):\n    return 1\n",
        "@@ @@\n def one(self):\n-    return 2\n+    return 1\n",
    ],
    "Java": [
        "static int twice(int n) {\n    return 2 * n;\n}\n",
        "```java\n    static int twice(int n) {\n        return 2 * n;\n    }\n```",
        "class A {\n    int m;\n\n    static int twice(int n) {\n        return 2 * n;\n    }\n}\n",
        "@@ -4,3 +4,3 @@\n     static int twice(int n) {\n-        return n;\n+        return 2 * n;\n     }\n",
    ],
}


@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, some in ANSWERS.items() for answer in some])
def test_a_whole_function_or_a_diff_is_put_where_it_belongs_or_named(name, answer):
    problem = PROBLEMS[name]
    patched = extracted(problem, answer, Extract.AUTO)
    assert patched.found is Found.PATCH and patched.is_exact, patched.program.text
    assert patched.program.tests == problem.assemble("").tests
    as_lines = extracted(problem, answer, Extract.NONE)
    assert as_lines.found is Found.MISPLACED and "--extract auto" in in_words({as_lines.found: 1})
    assert as_lines.program == problem.assemble(answer), "what is judged stays as it is"


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_lines_of_a_hunk_are_a_patch_as_ever(name):
    problem = PROBLEMS[name]
    assert problem.reference is not None
    for answer in (problem.reference, f"```\n{problem.reference}```"):
        assert extracted(problem, answer, Extract.AUTO).is_exact
        assert extracted(problem, answer.replace("\n    ", "\n").lstrip(), Extract.AUTO).is_exact, "it lost its indent"
    assert extracted(problem, problem.reference, Extract.HUNK).found is Found.PATCH
    recursive = "    return gcd(b, a % b) if b else a\n"
    assert extracted(PROBLEMS["function"], recursive, Extract.NONE).found is Found.PATCH


def test_a_diff_that_does_not_fit_the_file_is_no_patch_and_another_function_stays_in_the_hunks_place():
    problem = PROBLEMS["function"]
    unfit = extracted(problem, "@@ -1 +1 @@\n-    return 7\n+    return 8\n", Extract.AUTO)
    assert (unfit.found, unfit.is_exact) == (Found.NO_PATCH, False)
    helper = "    def help(x):\n        return x\n    return gcd(b, a % b)\n"
    assert extracted(problem, helper, Extract.AUTO).program == problem.assemble(helper)
    heading = Hunk("", "def f(n):\n    return n\n", "")
    own = RepairProblem("h", marked(heading, "#"), "f", "t", "def f(n):\n    return 1\n", hunk=heading)
    assert extracted(own, own.reference, Extract.HUNK).found is Found.PATCH, "the hunk is the function itself"


def test_searches_without_an_end_are_read_in_one_pass():
    began = time.process_time()
    assert extracted(PROBLEMS["function"], "<<<<<<< SEARCH\n" * 13_000, Extract.AUTO).found is Found.NO_PATCH
    assert time.process_time() - began < 10, "tenths of a second"
