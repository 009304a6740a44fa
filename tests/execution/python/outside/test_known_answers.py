"""What one program's answers make known to the judge never decides about another program that answers otherwise."""

from __future__ import annotations

import pytest

from raysweep.execution.pool import Executor
from raysweep.execution.python.outside.asked_tests import compile_tests
from raysweep.programs import Lane, Level, Limits, Outcome, Program, Sandbox

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


@pytest.mark.parametrize("lane", Lane)
def test_records_that_change_after_they_were_read_make_nothing_known(lane):
    with Executor(1, Sandbox(lane, Level.LIMITS)) as executor:
        changing = [Program(REWRITES.replace("PAUSE", f"{pause / 1000}"), TESTS) for pause in range(0, 40, 4)]
        texts = [Program(RIGHT, TESTS), *changing, Program(WRONG, TESTS), Program(f"{RIGHT}# again\n", TESTS)]
        work = [(index, program, Limits(timeout=2.0)) for index, program in enumerate(texts)]
        verdicts = dict(executor.stream(work))
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
def test_calls_that_depend_on_answers_are_not_sent_ahead(tests):
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as executor:
        tests += "assert square(1) != 'alone'\n"
        peeks = PEEKS.replace('return "alone"', "return n * n if n > 1 else 'alone'")
        work = [(0, Program(RIGHT, tests), Limits()), (1, Program(peeks, tests), Limits())]
        verdicts = dict(executor.stream(work))
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
def test_arguments_that_a_candidate_changed_are_sent_to_another_one_only_if_they_are_made_anew(tests, is_new):
    assert compile_tests(tests).has_new_arguments is is_new
    with Executor(1, Sandbox(Lane.STRICT, Level.LIMITS)) as executor:
        work = [(number, Program(text, tests), Limits()) for number, text in enumerate((SORTS, TELLS, SORTS + "#\n"))]
        verdicts = dict(executor.stream(work))
    assert [verdicts[number].outcome for number in range(3)] == [Outcome.PASSED, Outcome.FAILED, Outcome.PASSED]
    assert "asked in disorder" in verdicts[1].detail
