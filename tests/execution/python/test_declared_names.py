"""Tests take from a program only the names that they ask for; those of libraries are the libraries' own."""

from __future__ import annotations

import pytest

from raysweep.problems.file_problems import with_names
from raysweep.programs import Limits, Oracle, Outcome, Program

CHECK = "def check(candidate):\n    {}\ncheck(add)\n"
ADD = "def add(a, b): return a + b\n"


OF_LIBRARIES = [
    ("Counter = lambda *a: 7\ndef add(a, b): return 7", "assert Counter([add(1, 2)]) == Counter([3])", False),
    ("Counter = lambda *a: 7\ndef add(a, b): return 7", CHECK.format("assert Counter([add(1, 2)]) == 7"), False),
    ("class math:\n    isclose = all\ndef add(a, b): return ()", "assert add(1, 2) == 3", False),
    ("from collections import Counter\n" + ADD, "assert Counter([add(1, 2)]) == Counter([3])", True),
    ("import math\n" + ADD, CHECK.format("assert math.isclose(candidate(1, 2), 3)"), True),
    ("def gcd(a, b): return 3", "assert gcd(6, 9) == 3", True),
    ("def enc(a): return a + 1\ndef dec(a): return a - 1", "assert enc(1) == 2\nassert dec(5) == 4", True),
    ("Counter = 3\n" + ADD, "global Counter\n" + CHECK.format("assert candidate(1, 2) == Counter"), True),
    ("def gcd(a, b): return 3", "def check(f):\n    for x in f(6, 9), gcd(6, 9): assert x == 3\ncheck(gcd)", True),
    ("def max(x): return 3\n" + ADD, "global max\nassert max(()) == add(1, 2)", True),
    ("def add(a, b): return a + b\nlist = lambda x: [3]", "assert list((add(1, 1),)) == [3]", False),
]


@pytest.mark.parametrize(("text", "tests", "passes"), OF_LIBRARIES)
def test_a_name_of_a_library_is_the_librarys(strict, text, tests, passes):
    outcome = strict.run([Program(text, tests, oracle=Oracle.OUTSIDE)], Limits())[0].outcome
    assert (outcome == Outcome.PASSED) is passes


@pytest.mark.parametrize(
    ("text", "tests", "passes"),
    [
        ("right = lambda *a: True\ndef add(a, b): return 0", CHECK.format("assert right(candidate(1, 2), 3)"), False),
        ("two = 2\n" + ADD, CHECK.format("assert candidate(1, two) == 3"), False),
        ("two = 2\n" + ADD, "global two\n" + CHECK.format("assert candidate(1, two) == 3"), True),
        ("x = 3\ndef add(a, b): raise KeyError", "try: x = add(1, 2)\nexcept KeyError: pass\nassert x == 3", False),
        ("x = 3\ndef add(a, b): return []", "for x in add(1, 2): pass\nassert x == 3", False),
        (
            "x = 3\n" + ADD,
            "def t():\n    global x\n    for x in (): pass\n    assert x == 3\nt()\nx = add(1, 2)",
            False,
        ),
        (ADD, "def twice(f): return lambda a, b: f(f(a, b), b)\nadd = twice(add)\nassert add(1, 2) == 5", True),
        ("n = 2\n" + ADD, "n += add(1, 2)\nassert n == 5", True),
    ],
)
def test_a_name_that_tests_do_not_ask_for_is_not_taken_from_a_program(strict, text, tests, passes):
    outcome = strict.run([Program(text, tests)], Limits())[0].outcome
    assert (outcome == Outcome.PASSED) is passes


FORGES = """
import sys
frame = sys._getframe()
while frame is not None:
    module = frame.f_globals
    if "_Program" in module:
        module["_Program"].wanted_names = lambda self, *names: [["add", {"h": self._handle_of(add)}], ["Counter", NODE]]
    frame = frame.f_back

def add(a, b):
    return []
"""


@pytest.mark.parametrize("library", [["typing", "get_origin"], ["numpy", ""], ["typing", "Counter"]])
def test_a_librarys_name_is_not_taken_for_another_one(strict, library):
    text, tests = FORGES.replace("NODE", repr({"l": library})), "assert Counter(add(1, 2)) == Counter([3])"
    assert strict.run([Program(text, tests)], Limits())[0].outcome is not Outcome.PASSED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "test", "stated"),
    [
        ("class Node: pass\n\ndef f(n):\n", "def check(c):\n    assert c(Node()) == 1", "global Node\n"),
        ("LIMIT = 3\ndef f(n):\n", "def check(c):\n    assert c(LIMIT) == 1", "global LIMIT\n"),
        ("def f(n):\n", "def check(c):\n    assert c(Node()) == 1", ""),
        ("class Node: pass\n\ndef f(n):\n", "class Node: pass\ndef check(c):\n    assert c(Node()) == f", ""),
    ],
)
def test_names_that_a_prompt_or_reference_defines_are_stated(code, test, stated):
    assert with_names(code, "f", test) == f"{stated}{test}"


BOX = "class Box: pass\n"


@pytest.mark.parametrize(
    ("code", "test", "stated"),
    [
        (BOX + "class Counter: pass\n", "Counter(Box())", "global Counter\nCounter(Box())"),
        (BOX + "class Counter: pass\n", "import collections\nCounter(1)", "import collections\nCounter(1)"),
        (BOX, "from collections import Counter\nCounter(Box())", "from collections import Counter\nCounter(Box())"),
        (BOX + "def max(x): pass\n", "max(Box())", "global max\nmax(Box())"),
        ("def sum(a, b): pass\n", "sum(1, 2)", "sum(1, 2)"),
        ("def gcd(a, b): pass\n", "gcd(1, 2)", "gcd(1, 2)"),
        (
            BOX + "class Text: pass\n",
            "from __future__ import annotations\nText(Box())",
            "from __future__ import annotations\nglobal Text\nText(Box())",
        ),
    ],
)
def test_tests_that_run_as_they_are_state_names_of_a_library_alone(code, test, stated):
    assert with_names(code, None, test) == stated
