"""Calls are sent ahead without telling an answer: no batch contains a call that has an earlier call's answer in it."""

from __future__ import annotations

import sys
from collections import ChainMap, UserString
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest

from raysweep.execution.pool import Executor
from raysweep.execution.python.outside.asked_tests import compile_tests
from raysweep.execution.python.outside.batches import ends_of_batches
from raysweep.execution.python.outside.beside import values_beside
from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.outside.plain import NotPlain
from raysweep.execution.python.outside.set_order import SetOrder
from raysweep.programs import Limits, Outcome, Program

SQUARES = "assert f(2) == 4\nassert f(4) == 16\nassert f(5) == 25\nassert f(16) == 256\n"
RIGHT = "def f(n): return n * n\n"
LOOKS_AHEAD = """
import sys

def calls():
    frame = sys._getframe()
    while frame is not None:
        if frame.f_locals.get("calls"):
            return frame.f_locals["calls"]
        frame = frame.f_back
    return []

def f(n):
    later = [arguments[0] for _, arguments, _ in calls()]
    return next((m for m in later if n < m and m % n == 0), n * n if n in (4, 5, 16) else 0)
"""
SEES_ALL = LOOKS_AHEAD.replace("def f(n):", "def f(n):\n    return n + 1 if len(calls()) == 3 else 0\n\ndef g(n):")


SHARED = [[0, 0]] * 2


def plain(value):
    def nothing(*fields):
        raise NotPlain

    return plain_data(nothing, nothing, SetOrder()).write(value)


@pytest.mark.parametrize(
    ("answers_and_arguments", "ends"),
    [
        ([(4, [2]), (9, [3]), (16, [5])], [3]),
        ([(4, [2]), (9, [3]), (16, [4]), (0, [16])], [2, 3, 4]),
        ([("ab", ["a"]), ("c", [["x", ("ab", 1)]])], [1, 2]),
        ([((1, 2), [0]), (3, [[1, 2]])], [1, 2]),
        ([([1, 2], [0]), (3, [1, 2])], [1, 2]),
        ([({1: "a"}, [0]), (3, [[{1: "a"}]])], [1, 2]),
        ([({1, 2}, [0]), (3, [{2, 1}])], [1, 2]),
        ([(0.5000000001, [1.0]), (3, [0.5])], [1, 2]),
        ([(4.0, [2]), (3, [4])], [1, 2]),
        ([(Decimal("sNaN"), [1]), (Decimal(4), [1]), (Fraction(1, 2), [4.0]), (0, [numpy.float64(0.5)])], [2, 3, 4]),
        ([(True, [2]), (False, [1, 0])], [2]),
        ([("abc", [1]), ("d", ["ab"])], [2]),
        ([("abc", [1]), ({"a": 1}, [UserString("abc")]), (0, [ChainMap({"a": 1}, {})])], [1, 2, 3]),
        ([(bytearray(b"a"), [1]), (range(2), [b"a"]), ({1: 2}.keys(), [[0, 1]]), (0, [{1}])], [1, 2, 3, 4]),
        ([([[0, 0], [0, 0]], [1]), ("d", [SHARED]), (0, [[[0, 0], [0, 0]]])], [1, 3]),
        ([(SHARED, [1]), (SHARED[0], [[[0, 0], [0, 0]]]), (0, [5])], [1, 3]),
        ([([4], [2]), ({}, [4])], [2]),
    ],
)
def test_a_batch_ends_before_a_call_that_tells_an_answer_in_it(answers_and_arguments, ends):
    calls = [("f", [plain(one) for one in arguments], None) for _, arguments in answers_and_arguments]
    answers = [["result", [], plain(answer)] for answer, _ in answers_and_arguments]
    assert ends_of_batches(calls, answers, [[]] * len(calls)) == ends


def test_what_an_argument_becomes_is_an_answer_too():
    calls = [("f", [[2, 1]], None), ("f", [[1, 2]], None)]
    assert ends_of_batches(calls, [["result", [[0, [1, 2]]], None], ["result", [], None]], [[], []]) == [1, 2]


def outcomes(executor: Executor, tests: str, *texts: str) -> list[Outcome]:
    """Judge programs one after another in one slot."""
    return [executor.run([Program(text, tests)], Limits())[0].outcome for text in texts]


def test_a_program_that_looks_ahead_finds_no_answer(executor):
    texts = [RIGHT, LOOKS_AHEAD, RIGHT + "#\n", RIGHT.replace("n * n", "n * n - (n == 16)")]
    assert outcomes(executor, SQUARES, *texts) == [Outcome.PASSED, Outcome.FAILED, Outcome.PASSED, Outcome.FAILED]


FORGES = """
import sys, time
frame, ahead = sys._getframe(), None
while ahead is None:
    frame = frame.f_back
    ahead = frame.f_locals.get("ahead")
ahead.put(FIRST)
def f(n): return n + 1
"""


@pytest.mark.parametrize("record", [b"null", b"[]", b"1", b"", b"\xff", b'["ready",[]]', b"x" * 2**18])
def test_a_forged_record_changes_nothing_for_later_programs(strict, record):
    tests = "assert f(10) == 11\nassert f(20) == 21\nassert f(30) == 31\n"
    tests += f"# {record[:9]!r}\n"
    forges = FORGES.replace("FIRST", repr(record) if len(record) < 100 else "b'x' * (2**18 - 100)")
    texts = ["def f(n): return n + 1\n", forges, SEES_ALL]
    first, forged, last = outcomes(strict, tests, *texts)
    assert first == last == Outcome.PASSED
    assert forged in (Outcome.KILLED, Outcome.EXCEPTION)


@pytest.mark.parametrize(
    ("tests", "is_live"),
    [
        ("def fresh(x): return [*x]\ndef check(c):\n    for x in ([1], [2]):\n        assert c(fresh(x)) == x", False),
        ("def agrees(a, b): return a == b\ndef check(c):\n    assert agrees(c(1), 1) and agrees(c(2), 2)", False),
        ("T = 1e-6\ndef near(a, b): return abs(a - b) < T\ndef check(c):\n    assert near(c(1), 1)", False),
        ("SEEN = []\ndef keep(x):\n    SEEN.append(x)\ndef check(c):\n    keep(c(1))\n    assert c(SEEN[0])", True),
        ("T = 1\ndef t(): return T\ndef check(c):\n    global T\n    T = c(1)\n    assert c(t())", True),
        ("def same(x): return x\ndef check(c):\n    assert c(same(c(1)))", True),
        ("def ask(g, x): return g(x)\ndef check(c):\n    assert ask(c, ask(c, 1))", True),
        ("def put(x, a): x.append(a)\ndef check(c):\n    x = []\n    put(x, c(1))\n    assert c(x)", True),
    ],
)
def test_functions_of_tests_that_reach_no_candidate_tell_nothing(tests, is_live):
    assert compile_tests(f"{tests}\ncheck(f)\n").is_live is is_live


LISTS = "assert list(f([2])) == [4]\nassert list(f([4])) == [16]\nassert list(f([16])) == [256]\n"
LATER = """
import sys
SEEN = []

def look():
    frame = sys._getframe()
    while frame is not None:
        SEEN.extend(arguments[0] for _, arguments, _ in frame.f_locals.get("calls") or ())
        frame = frame.f_back

class Squares:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return self
    def __next__(self):
        if self.n is None:
            raise StopIteration
        n, self.n = self.n, None
        return next((m for (m,) in SEEN if m > n and m % n == 0), 256 if n == 16 else 0)

def f(numbers):
    look()
    return Squares(*numbers)
"""


def test_an_iterator_gives_its_items_before_a_later_batch_is_sent(executor):
    right = "def f(n): return [n[0] ** 2]\n"
    yields = "def f(n): yield n[0] ** 2\n"
    texts = [right, *(LATER + "#" * n for n in range(6)), yields, right + "#\n", yields + "#\n", LATER + "# again\n"]
    passed, failed = Outcome.PASSED, Outcome.FAILED
    assert outcomes(executor, LISTS, *texts) == [passed, *[failed] * 6, passed, passed, passed, failed]


def test_an_answer_that_is_part_of_an_argument_and_of_itself():
    """What is shared is read as the values that it stands for; circles end."""
    calls = [("f", [[[1, 2], 3]], None), ("f", [[3, [1, 2]]], None), ("f", [0], None)]
    shares = ["result", [], [3, {"@": 1}]]
    circles = [["result", [], [1, {"@": number}]] for number in (2, 0)]
    assert ends_of_batches(calls, [shares, *circles], [[]] * 3) == [1, 3]


def test_values_that_refer_to_one_another_take_no_time_and_end_nothing():
    doubled, nested = [[[0]]], [[0]]
    for number in range(3000):
        doubled.append([{"@": number + 1}, {"@": number + 1}])
        nested.append([{"@": number + 2}])
    calls = [("f", [0], None)] * 2
    assert ends_of_batches(calls, [["result", [], doubled]] * 2, [[], []]) == [2]
    from_the_last = {"cm": [{"d": [[0], [nested]]}, {"d": [[1], [{"@": 3001}]]}]}
    with pytest.raises(RecursionError):
        ends_of_batches(calls, [["result", [], from_the_last]] * 2, [[], []])
    tests = compile_tests("assert f(0)\n")
    assert tests.note([(call, ["result", [], from_the_last], []) for call in calls]) == 0
    assert tests.is_live


TOLERATED = "assert abs(f(2) - 4) < 1e-2\nassert abs(f(4) - 16) < 1e-2\n"
BESIDE = {
    "assert f(2) in (4, -4)\nassert f(-4) == 16": [1, 2],
    "assert f(2) in (4, -4)\nassert f(-5) == 25": [2],
    "assert f(2) == 4, -4\nassert f(-4) == 16": [2],
    TOLERATED: [1, 2],
    "import math\nassert math.isclose(f(2), 4, rel_tol=0.01)\nassert f(4) == 16": [1, 2],
    "assert round(f(2), 4) == 4\nassert round(f(5), 4) == 25": [2],
    "assert 5 > f(2) != 9\nassert f(9) == 81": [1, 2],
    "for x, y in ((2, (4, -4)), (-4, (16, 4))):\n    assert f(x) in y": [1, 2],
    "assert all(f(x) in y for x, y in ((2, (4, -4)), (-4, (16, 4))))": [1, 2],
    "assert all(f(x) in y for x, y in ((2, (4, -4)), (-5, (25, 4))))": [2],
    "def agrees(g, x, y): return g(x) in y\nassert agrees(f, 2, (4, -4))\nassert agrees(f, -4, [16])": [1, 2],
    "assert f(2) in [\n    4,\n    -4,\n]\nassert f(\n    -4\n) == 16": [1, 2],
    "given = [4, -4]\nassert f(2) in given\nassert f(-4) == 16": [1, 2],
    "given = [object(), 4, -4]\nassert f(2) in given\nassert f(-4) == 16": [1, 2],
    "given = iter([4, 5])\nassert f(2) in given\nassert f(5) == 25": [2],
    "given = range(10**12)\nassert f(2) in given\nassert f(5) == 25": [2],
    "assert (f(2) if 5 else 6) + 5 == 9\nassert f(9) == 81": [1, 2],
    "result = f(2)\nassert result in (4, -4)\nassert f(-4) == 16": [1, 2],
    "result = f(2)\nassert result == 4 and -4 < 0\nassert f(-4) == 16": [2],
    "def check(c):\n    result = c(2)\n    assert abs(result - 5) < 2\n    assert c(5) == 25\ncheck(f)": [1, 2],
    "assert f(2).bit_length() == 3\nassert f(5).bit_length() == 5": [2],
    "assert [f(2)] == [4] and not f(0)\nassert f(1) == 1": [3],
}


@pytest.mark.parametrize(("tests", "ends"), BESIDE.items())
def test_what_stands_beside_a_call_tells_an_answer_too(tests, ends):
    made, answers, beside = [], [], []

    def f(x):
        made.append(("f", [x], None))
        answers.append(["result", [], x * x])
        beside.append(list(values_beside(sys._getframe(), compiled.beside)))
        return x * x

    compiled = compile_tests(tests)
    exec(compiled.code, {"f": f})
    assert ends_of_batches(made, answers, beside) == ends


@pytest.mark.slow
def test_a_program_that_looks_ahead_finds_no_value_within_a_tolerance(strict):
    right = "def f(n): return n * n + 0.001\n"
    assert outcomes(strict, TOLERATED, right, LOOKS_AHEAD) == [Outcome.PASSED, Outcome.FAILED]
