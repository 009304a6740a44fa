"""What one program's answers make known to the judge never decides about another program that answers otherwise."""

from __future__ import annotations

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.execution.python.outside.asked_tests import compile_tests
from raysweep.programs import Lane, Limits, Oracle, Outcome, Program, Verdict

TESTS = """
def check(candidate):
    assert candidate(2) == 4
    assert candidate(3) == 9
    assert candidate(4) == 16

check(square)
"""
RIGHT = "def square(n):\n    return n * n\n"
REWRITES = """
import json
import os
import sys
import time

frame, memory = sys._getframe(), None
while memory is None:
    frame = frame.f_back
    memory = getattr(frame.f_locals.get("ahead"), "_memory", None)

def put(*answers):
    data = b""
    for answer in ([["ready", [["square", {"h": [0, "callable", True, "function"]}]]], *answers]):
        answer = json.dumps(answer, separators=(",", ":")).encode()
        data += len(answer).to_bytes(4, "little") + answer
    memory[8 : 8 + len(data)] = data
    memory[:8] = (len(answers) + 1).to_bytes(4, "little") + (8 + len(data)).to_bytes(4, "little")

put(["result", [], 4], ["result", [], 9])
time.sleep(PAUSE)  # the judge takes these two
put(["result", [], 0], ["result", [], 0], ["result", [], 16])
done = b'["done", true, 0.1]'
os.write(3, len(done).to_bytes(4, "big") + done)
time.sleep(0.2)
"""
WRONG = "def square(n):\n    return 16 if n == 4 else 0\n"


@pytest.mark.slow
@pytest.mark.parametrize("lane", Lane)
def test_records_that_change_after_they_were_read_make_nothing_known(executors, lane):
    changing = [Program(REWRITES.replace("PAUSE", f"{pause / 1000}"), TESTS) for pause in range(0, 40, 4)]
    texts = [Program(RIGHT, TESTS), *changing, Program(WRONG, TESTS), Program(f"{RIGHT}# again\n", TESTS)]
    work = [(index, program, Limits(timeout=2.0)) for index, program in enumerate(texts)]
    verdicts = dict(executors[lane].stream(work))
    outcomes = [verdicts[index].outcome for index in range(len(texts))]
    assert outcomes[0] == outcomes[-1] == Outcome.PASSED
    assert outcomes[-2] == Outcome.FAILED
    assert Outcome.HARNESS_ERROR not in outcomes


CHAIN = """
def check(candidate):
    number = 2
    for expected in (4, 16, 256):
        number = candidate(number)
        assert number == expected
    assert candidate(number) > 0

check(square)
"""
PEEKS = """
import sys

def square(n):
    frame = sys._getframe()
    while frame is not None:
        for name, value in frame.f_locals.items():
            if name == "calls" and value:
                return value
        frame = frame.f_back
    return "alone"
"""


@pytest.mark.parametrize(
    "tests",
    [
        CHAIN,
        "def check(candidate):\n    assert candidate(candidate(2)) == 16\ncheck(square)\n",
        "def check(c):\n    seen = []\n    seen.append(c(2))\n    assert c(*seen) == 16\ncheck(square)\n",
        "def run(f, given):\n    return f(given)\ndef check(c):\n    assert run(c, run(c, 2)) == 16\ncheck(square)\n",
    ],
)
def test_calls_that_depend_on_answers_are_not_sent_ahead(executors, tests):
    tests += "assert square(1) != 'alone'\n"
    peeks = PEEKS.replace('return "alone"', "return n * n if n > 1 else 'alone'")
    work = [(0, Program(RIGHT, tests), Limits()), (1, Program(peeks, tests), Limits())]
    verdicts = dict(executors[Lane.STRICT].stream(work))
    assert verdicts[0].outcome == Outcome.PASSED
    assert verdicts[1].detail == "assert square(1) != 'alone'"


SORTS = """
def ordered(numbers):
    numbers.sort()
    return numbers
"""
TELLS = """
def ordered(numbers):
    assert numbers == sorted(numbers), "asked in disorder"
    return numbers
"""


@pytest.mark.parametrize(
    ("tests", "is_new"),
    [
        ("assert ordered([2, 1]) == [1, 2]\nassert ordered(list((5, 4)))[0] == min([4])\n", True),
        ("def check(f):\n    assert f([2, -1]) == [-1, 2]\ncheck(ordered)\n", True),
        ("numbers = [2, 1]\nassert ordered(numbers) == [1, 2]\nassert ordered(numbers) == [1, 2]\n", False),
        ("for one in ([2, 1],):\n    assert ordered(one) == [1, 2]\n", False),
    ],
)
def test_arguments_that_a_candidate_changed_are_sent_to_another_one_only_if_they_are_made_anew(
    executors, tests, is_new
):
    assert compile_tests(tests).has_new_arguments is is_new
    work = [(number, Program(text, tests), Limits()) for number, text in enumerate((SORTS, TELLS, SORTS + "#\n"))]
    verdicts = dict(executors[Lane.STRICT].stream(work))
    assert [verdicts[number].outcome for number in range(3)] == [Outcome.PASSED, Outcome.FAILED, Outcome.PASSED]
    assert "asked in disorder" in verdicts[1].detail


def judged(executor: Executor, tests: str, *texts: str) -> list[Verdict]:
    """Judge programs one after another in one slot."""
    return [executor.run([Program(text, tests)], Limits(timeout=60.0))[0] for text in texts]


def outcomes(executor: Executor, tests: str, *texts: str) -> list[str]:
    return [verdict.outcome for verdict in judged(executor, tests, *texts)]


ROUND_TRIP = "assert encode('abc') == 'bcd'\nassert decode('bcd') == 'abc'\n"
SHIFTS = """
def encode(s): return ''.join(chr(ord(c) + 1) for c in s)
def decode(s): return ''.join(chr(ord(c) - 1) for c in s)
"""
SEES_CALLS = """
import sys
def ahead():
    frame = sys._getframe()
    while frame is not None:
        for name, value in frame.f_locals.items():
            if name == "calls" and value:
                return True
        frame = frame.f_back
    return False
SEEN = []
def encode(s):
    SEEN.append(ahead())
    return ''.join(chr(ord(c) + 1) for c in s)
def decode(s):
    return 'seen' if any(SEEN) else ''.join(chr(ord(c) - 1) for c in s)
"""


def test_calls_of_two_functions_are_not_sent_ahead(executors):
    assert outcomes(executors[Lane.STRICT], ROUND_TRIP, SHIFTS, SEES_CALLS) == ["passed", "passed"]


@pytest.mark.parametrize(
    "tests",
    [
        "xs = [[3, 1], [4, 2]]\nlist(map(f, xs))\nassert xs == [[1, 3], [2, 4]]\n",
        "from heapq import heappush\nh = []\nheappush(h, f(1))\nheappush(h, f(2))\nassert f(h) == 23\n",
        "d = {}\nd.setdefault('k', []).append(f(1))\nassert f(d) == 1\n",
        "match f(1):\n    case [x, *y]:\n        assert f(x) == f(y)\n",
        "g = f\nassert g(g(1)) == 1\n",
        "import time\nstart = time.time()\nassert f(1) == 1 and time.time() - start < 1\n",
    ],
)
def test_calls_are_not_sent_ahead_where_an_answer_may_travel_on_or_where_tests_read_a_clock(tests):
    assert compile_tests(tests).is_live


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(1) == 1\nassert set(f([2])) == {2}\nassert abs(f(3) - 1.5) < 1e-6\n",
        "def check(candidate):\n    for n in range(3):\n        assert candidate(n) == n\ncheck(f)\n",
        "import math\nassert math.isclose(f(1, x=[2]), 1.0)\n",
    ],
)
def test_the_calls_of_ordinary_tests_are_sent_ahead(tests):
    assert not compile_tests(tests).is_live


@pytest.mark.slow
def test_a_slow_program_makes_nothing_known_about_quick_ones(executors):
    tests = "import time\nstart = time.time()\nf(1)\nassert time.time() - start < 6\n"
    slow, quick = "import time\ndef f(x): time.sleep(6)\n", "def f(x): return None\n"
    assert outcomes(executors[Lane.SHARED], tests, quick, slow, quick + "#\n", quick + "##\n") == [
        "passed",
        "failed",
        "passed",
        "passed",
    ]


def test_large_answers_and_names_are_computed_once(executors):
    counts = "N = 0\ndef f(n):\n    global N\n    N += 1\n    return [N] * n\n"
    tests = "assert f(60000)[0] == 1\nassert f(60000)[0] == 2\n"
    assert outcomes(executors[Lane.STRICT], tests, counts, counts + "#\n", counts + "##\n") == ["passed"] * 3
    tests = "assert len(TABLE) == 60000 and f(1) == 2\n"
    table = "TABLE = list(range(60000))\ndef f(x): return x + 1\n"
    assert outcomes(executors[Lane.STRICT], tests, table, table + "#\n") == ["passed"] * 2


def test_an_end_after_a_wrong_answer_changes_nothing(executors):
    tests = "assert f(1) == 1\nassert f(2) == 2\n"
    ends = "import os, time\ndef f(x):\n    if x == 2: time.sleep(0.003); os._exit(0)\n    return 0\n"
    right = "def f(x): return x\n"
    assert outcomes(executors[Lane.STRICT], tests, right, *(ends + "#" * n for n in range(12))) == [
        "passed",
        *["failed"] * 12,
    ]


def test_an_exceeded_output_limit_is_not_forgotten_when_tests_go_on_asking(executors):
    tests = "assert list(f(3)) == [0, 1, 2]\n"
    lists, prints = "def f(n): return [0, 1, 2]\n", "def f(n):\n    print('x' * 5000)\n    yield from range(n)\n"
    texts = [lists, *(prints + "#" * n for n in range(4))]
    verdicts = executors[Lane.SHARED].run([Program(text, tests) for text in texts], Limits(output_kib=1))
    assert [verdict.outcome for verdict in verdicts] == ["passed", *["output_limit"] * 4]


MALFORMED = """
import sys
frame = sys._getframe()
while frame is not None:
    module = frame.f_globals
    if "_Program" in module:
        module["encoded"] = lambda message, own=module["encoded"]: FIRST if message[0] == "ready" else own(message)
    frame = frame.f_back
def f(x): return 0
"""


@pytest.mark.parametrize("first", [b"[1.0]", b"{}", b"[]", b'["ready",[],{},0.1]', b'["ready",[[]],0.1]', b"1"])
def test_a_malformed_first_answer_is_the_programs_end(executors, first):
    tests = f"assert f(1) == 1  # {first}\n"
    forged = MALFORMED.replace("FIRST", repr(first))
    verdicts = judged(
        executors[Lane.STRICT], tests, forged, "def f(x): return x\n", forged + "#\n", "def f(x): return 1\n"
    )
    assert [verdict.outcome for verdict in verdicts] == ["killed", "passed", "killed", "passed"]
    assert "ended its slot" not in verdicts[0].detail + verdicts[2].detail


def test_tests_of_a_task_named_as_a_built_in_function_keep_their_own_types(executors):
    tests = "def agrees(one: bool, other) -> bool:\n    return bool(one == other)\n"
    tests += "def check(candidate):\n    assert agrees(candidate(1, 2), 3)\ncheck(sum)\n"
    forged = "def sum(a, b): return 0\ndef bool(x=False): return True\n"
    assert outcomes(executors[Lane.STRICT], tests, "def sum(a, b): return a + b\n", forged) == ["passed", "failed"]


@pytest.mark.slow
def test_programs_without_tests_are_not_judged_outside_and_the_oracle_tells_equal_programs_apart(executors):
    with pytest.raises(UsageError, match="a program without tests can't have out-of-process ones"):
        executors[Lane.STRICT].run([Program("x = 1", oracle=Oracle.OUTSIDE)], Limits())
    programs = [Program("def f(): return 1", "assert f() == 1", oracle=oracle) for oracle in Oracle]
    assert [verdict.oracle for verdict in executors[Lane.STRICT].run(programs, Limits())] == list(Oracle)
