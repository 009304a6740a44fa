"""Tests that run in a process of their own: what passes between them and a program, and what a program can't do."""

from __future__ import annotations

import random

import pytest

from raysweep.execution import execute
from raysweep.execution.oracle import judge_references, oracle_of, reason_for_inside
from raysweep.execution.pool import Executor
from raysweep.programs import Lane, Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict

LIMITS = Limits(timeout=2)


def judged(executor: Executor, text: str, tests: str, copies: int = 3) -> list[tuple[Outcome, str]]:
    """Judge several copies of a program: the first is asked call by call, later ones get all calls at once."""
    verdicts = executor.run([Program(f"{text}\n# {n}", tests) for n in range(copies)], LIMITS)
    assert {verdict.oracle for verdict in verdicts} == {Oracle.OUTSIDE}
    return [(verdict.outcome, verdict.detail) for verdict in verdicts]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "tests"),
    [
        ("def f(a): a.append(1); return a", "a = [0]\nassert f(a) is a and a == [0, 1]"),
        ("def f(a): a['x'].add(3)", "a = {'x': {1}}\nassert f(a) is None and a == {'x': {1, 3}}"),
        ("def f(a):\n    a.sort()\n    raise ValueError(a[0])", "a = [2, 1]\ntry: f(a)\nexcept ValueError as e: b = e\n"
         "assert b.args == (1,) and a == [1, 2]"),
        ("def f(a): a.append(a); return a", "a = f([])\nassert a[0] is a"),
        ("def f(a, *b, key=1, **c): return a, b, key, c", "assert f(1, 2, key=3, d=4) == (1, (2,), 3, {'d': 4})"),
        ("def f(n):\n    while True:\n        yield n\n        n += 1",
         "g = f(3)\nassert [next(g), next(g)] == [3, 4]"),
        ("def f(n): return lambda m: m + n", "assert f(2)(3) == 5"),
        ("def f(n): return float('nan')", "x = f(1)\nassert x != x and [x] == [x]"),
        ("def f(a): return a", "n = float('nan')\nassert f([n]) == [n]"),
        ("import re\ndef f(s): return re.search('b', s)", "assert f('abc') and not f('x')"),
        ("def f(): return {1: (2, [3.5]), 'a': {4}, None: b'x'}",
         "assert f() == {1: (2, [3.5]), 'a': {4}, None: b'x'}"),
        ("from collections import *\ndef f(): return Counter('aab'), OrderedDict(b=1, a=2), deque([1], 2)",
         "from collections import *\nassert f() == (Counter('aab'), OrderedDict(b=1, a=2), deque([1], 2))"),
        ("from fractions import Fraction\nfrom decimal import Decimal\ndef f(): return Fraction(1, 3), Decimal('1.50')",
         "from fractions import Fraction\nfrom decimal import Decimal\nassert f() == (Fraction(1, 3), Decimal('1.5'))"),
        ("A = type('A', (list,), {})\ndef f(x): return [A(x), {1: A()}]", "assert f([1, 2]) == [[1, 2], {1: []}]"),
        ("from types import MappingProxyType as P\ndef f(d): return P(d), [P({1: P({})})]",
         "assert f({1: 2}) == ({1: 2}, [{1: {}}]) and len(f({})[0]) == 0"),
        ("from collections import *\nclass S(UserString): pass\nclass D(UserDict): pass\n"
         "def f(s): return UserString(s), S(s), UserDict(a=s), D(a=[s]), ChainMap({1: s}, {2: s}, OrderedDict(b=s))",
         "from collections import *\ns, t, d, e, c = f('x')\nassert s == t == 'x' and s.upper() == 'X'\n"
         "assert d == {'a': 'x'} and e == {'a': ['x']} and c == {1: 'x', 2: 'x', 'b': 'x'} and len(c.maps) == 3"),
        ("def f(d, c): d['b'] = 1; c['b'] = 2",
         "from collections import *\nd, c = UserDict(), ChainMap({})\nf(d, c)\nassert d == {'b': 1} and c == {'b': 2}"),
        ("import enum\nclass C(enum.IntEnum):\n    RED = 1\ndef f(): return C.RED", "assert f() == 1"),
        ("import numpy as np\ndef f(a): return a * 2",
         "import numpy as np\nassert (f(np.arange(3)) == [0, 2, 4]).all()"),
        ("def f(n): return 10 ** n", "assert f(5000) == 10 ** 5000 and f(-1) == 0.1"),
        ("limit = 5\ndef f(): return limit", "assert f() == limit"),
        ("def f(x): return type(x)", "assert f(1) is int and f('') is str"),
        ("def f(s): return s + '\\ud800'", "assert f('a') == 'a\\ud800'"),
        ("def f(s):\n    print('x' * 100)\n    return s", "print('y')\nassert f(1) == 1"),
    ],
)  # fmt: skip
def test_what_honest_programs_and_tests_exchange_arrives(executor, text, tests):
    assert reason_for_inside(Program("", tests)) == ""
    assert judged(executor, text, tests) == [(Outcome.PASSED, "")] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "outcome", "detail"),
    [
        ("def f(n): return n + (n > 1)", Outcome.FAILED, "assert f(2) == 2"),
        ("def f(n):\n    assert n < 2, 'small'\n    return n", Outcome.FAILED, "assert n < 2, 'small'"),
        ("def f(n): return n if n < 2 else [][n]", Outcome.EXCEPTION, "IndexError: list index out of range"),
        ("class Odd(ValueError): pass\ndef f(n): raise Odd('no', n)", Outcome.EXCEPTION, "Odd: ('no', 1)"),
        ("import sys\ndef f(n): return n if n < 2 else sys.exit(3)",
         Outcome.KILLED, "SystemExit: 3, before the tests ended"),
        ("def f(n): return n if n < 2 else [0] * 10**10", Outcome.MEMORY, "MemoryError"),
        ("def f(n): return f(n)", Outcome.EXCEPTION, "RecursionError: maximum recursion depth exceeded"),
        ("def g(n): return n", Outcome.EXCEPTION, "NameError: name 'f' is not defined"),
    ],
)  # fmt: skip
def test_how_a_program_failed_is_told_as_if_its_tests_ran_inside(executor, text, outcome, detail):
    tests = "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3"
    right = [Program(f"def f(n): return n #{n}", tests) for n in range(3)]  # their calls are sent ahead to later ones
    verdicts = executor.run([*right, *(Program(f"{text} #{n}", tests) for n in range(3))], LIMITS)[3:]
    assert {(verdict.outcome, verdict.detail) for verdict in verdicts} == {(outcome, detail)}
    inside = executor.run([Program(text, tests, oracle=Oracle.INSIDE)], LIMITS)[0]
    assert (inside.outcome, inside.detail) == (outcome, detail)


def test_a_wrong_answer_before_an_endless_call_fails_and_costs_no_time(executor):
    tests = "assert f(1) == 1\nassert f(2) == 2"
    right = [Program(f"def f(n): return n #{n}", tests) for n in range(3)]
    hangs = Program("def f(n):\n    while n > 1: pass\n    return 0", tests)
    executor.run(right, LIMITS)
    verdicts = executor.run([hangs, *right], Limits(timeout=20))
    assert (verdicts[0].outcome, verdicts[0].detail) == (Outcome.FAILED, "assert f(1) == 1")
    assert verdicts[0].seconds < 10  # of effective time


def test_tests_whose_calls_depend_on_the_answers_are_asked_call_by_call(executor):
    tests = "x = f(1)\nassert f(x) == x"
    texts = ["def f(n): return 5", "def f(n): return 7", "def f(n): return 5 #", "def f(n): return n + 1"]
    verdicts = executor.run([Program(text, tests) for text in texts], LIMITS)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 3 + [Outcome.FAILED]


def test_random_numbers_are_the_same_for_every_copy_of_a_program(executor):
    text = "import random\ndef f(n): return random.randint(0, n)"
    tests = f"import random\nassert random.random() == {random.Random(0).random()}\nassert f(10**6) == EXPECTED"
    told = executor.run([Program(f"{text}\nassert False, f(10**6)", "pass\nf")], LIMITS)[0]
    assert told.outcome is Outcome.FAILED
    first = random.Random(0).randint(0, 10**6)
    verdicts = executor.run([Program(f"{text} #{n}", tests.replace("EXPECTED", str(first))) for n in range(50)], LIMITS)
    assert {(verdict.outcome, verdict.detail) for verdict in verdicts} == {(Outcome.PASSED, "")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        "from decimal import Decimal\ndef f(): return Decimal('1e999999999')",
        "def f():\n    x = []\n    for _ in range(60): x = [x, x]\n    return x",
    ],
)
def test_answers_that_keep_the_judge_busy_are_the_programs_fault(answer, monkeypatch):
    """Its work on them is limited by CPU time; without the limit both take hours."""
    monkeypatch.setattr("raysweep.execution.slot.JUDGE_SECONDS", 1.0)
    tests = "x, y = f(), f()\nassert x == y and int(x) == 1"
    good = Program("def square(n): return n * n", "assert square(3) == 9")
    bad, other = execute([Program(answer, tests), good], [Limits(timeout=1), LIMITS], 1, Sandbox(Lane.STRICT))
    late = bad.outcome is Outcome.TIMEOUT and bad.detail == "its tests needed more than 1 s for its answers"
    assert late or bad.outcome is Outcome.MEMORY, bad
    assert other.outcome is Outcome.PASSED


@pytest.mark.slow
@pytest.mark.parametrize(
    "without", [(), ("namespaces",), ("namespaces", "landlock"), ("namespaces", "landlock", "seccomp")]
)
def test_no_program_can_look_into_the_judge(without):
    """At every level, a program tries to read the memory, the files and the environment of all other processes."""
    text = """
import os
found = []
def read(path):
    with open(path, "rb") as file:
        file.read(1)
def f():
    for pid in (name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if "raysweep.execution" not in file.read():
                    continue
        except OSError:
            continue
        for name in ("mem", "environ", "fd/10", "maps", "map_files", "exe", "cwd"):
            path = f"/proc/{pid}/{name}"
            try:
                look = {"map_files": os.listdir}.get(name, os.readlink if name in ("exe", "cwd", "fd/10") else read)
                look(path)
                found.append(f"{pid} {name}")
            except OSError:
                pass
    return found
"""
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS), without) as executor:
        verdict = executor.run([Program(text, "assert f() == [], f()")], Limits(timeout=10))[0]
    if verdict.outcome is Outcome.EXCEPTION:
        assert "PermissionError" in verdict.detail  # it can't even list processes
    else:
        assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        ("assert f(1) == 1", ""),
        ("import math, numpy as np\ndef check(c):\n    assert np.isclose(c(1), math.pi)\ncheck(f)", ""),
        ("", "there are no tests"),
        ("import inspect\nassert 'x' in inspect.getsource(f)", "they import inspect"),
        ("from unittest.mock import patch\nassert f()", "they import unittest.mock"),
        ("assert eval('f(1)') == 1", "they use eval"),
        ("assert f(lambda x: x) == 1", "they hand a function to f"),
        ("def g(): pass\nassert f(g)", "they hand a function to f"),
        ("import math\nassert f(math)", "they hand a function to f"),
        ("import random\nrandom.seed(1)\nassert f()", "they use .seed"),
        ("assert C.RED == 1", "they use .RED of the candidate"),
        ("f.calls = 0\nassert f()", "they set .calls"),
        ("x = [2, 1]\nx.sort(key=lambda n: n)\nassert f(x) == x", ""),
        ("def check(c):\n    assert c(lambda n: n)\ncheck(f)", "they hand a function to c"),
    ],
)
def test_where_tests_run_is_found_from_the_tests(tests, reason):
    assert reason_for_inside(Program("", tests)) == reason
    assert oracle_of(Program("", tests)) is (Oracle.INSIDE if reason else Oracle.OUTSIDE)


def test_a_reference_solution_decides_where_the_tests_alone_do_not():
    point = "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x\n"
    programs = [
        Program("def f(n): return n", "assert f(1) == 1"),
        Program(f"{point}def f(n): return P(n)", "assert f(1) == f(1)"),  # its own __eq__ decides
        Program("def f(n): return 0", "assert f(1) == 1"),  # fails in both places
    ]
    judged = judge_references(programs, lambda some: execute(some, LIMITS, 1))
    assert [(verdict.outcome, oracle) for verdict, oracle in judged] == [
        (Outcome.PASSED, Oracle.OUTSIDE),
        (Outcome.PASSED, Oracle.INSIDE),
        (Outcome.FAILED, Oracle.OUTSIDE),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("errors", "oracle"), [(1, Oracle.OUTSIDE), (2, Oracle.INSIDE)])
def test_an_error_of_the_machine_moves_no_tests_inside_unless_it_repeats(errors, oracle):
    left = [Outcome.HARNESS_ERROR] * errors

    def run(programs):
        return [Verdict(left.pop() if left and one.oracle is Oracle.OUTSIDE else Outcome.PASSED) for one in programs]

    ((verdict, found),) = judge_references([Program("def f(n): return n", "assert f(1) == 1")], run)
    assert (verdict.outcome, found) == (Outcome.PASSED, oracle)
