"""Runs a program and its unittest cases in one module, in a fork, and reports the outcome of each test method.

The module is `__test__`, in which `sys`, `os` and `environ` are defined, as in BigCodeBench's own checker; patches of
``__test__.name`` find it. Its cases are those classes of the tests that derive from `unittest.TestCase`. A skip counts
as passed where the tests ask for it, and as an error where the program does.

Nothing here is a boundary: program and tests share a process. The report needs a number that no program is given, and
this module has its own copy of the built-in functions (start.py loads it with them).

Source: https://github.com/bigcode-project/bigcodebench, bigcodebench/eval/__init__.py, `unsafe_execute`.
"""

from __future__ import annotations

import builtins
import gc
import os
import sys
import unittest
from collections.abc import Callable, Mapping
from os import _exit
from types import CodeType, ModuleType
from typing import Any

from raysweep.execution.python.inside.child import Reporter, reporter
from raysweep.execution.python.inside.rewriting import refuse_skips
from raysweep.execution.python.lanes import PROGRESS
from raysweep.execution.python.outcomes import (
    DETAIL_CHARACTERS,
    PROGRAM,
    TESTS,
    FrameOf,
    compiled,
    describe,
    outcome_of,
)
from raysweep.execution.python.processes import flush, reseed

__all__ = ["prepare", "reporter", "run_alone"]

MODULE = "__test__"
_SHORTEST = 40  # characters of a test's name and message, however many fail
_NETWORK = {
    "socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0, "socket.getnameinfo": 0,
}  # fmt: skip
"""Events of Python's audit that ask for a host, each with the place of its name or address."""
_HERE = ("", "localhost", "0.0.0.0", "::", "::1", "ip6-localhost")


def prepare(text: str) -> CodeType:
    """Compile tests; raise SyntaxError or ValueError if that can't be done."""
    refuse_skips()
    return compile(text, TESTS, "exec", dont_inherit=True)


def run_alone(text: str, tests: CodeType, report: Reporter, frame_of: FrameOf) -> None:
    """Run a program with its cases, report how it ended, and end the process."""
    end_process, streams = _exit, (sys.stdout, sys.stderr)
    gc.enable()
    reseed()
    hosts: list[str] = []
    sys.addaudithook(_noting(hosts))
    outcome, detail, parts = _run(text, tests, report, frame_of)
    if hosts and outcome != "passed":
        detail = f"it asked for the network ({hosts[0]}); {detail}"
    flush(streams)
    report(outcome, detail, 0.0, parts)
    end_process(0)


def _run(text: str, tests: CodeType, report: Reporter, frame_of: FrameOf) -> tuple[str, str, str]:
    """Return the `raysweep.programs.Outcome`, one line about it, and the names of the tests that passed.

    After each test it reports how those ended that have run, for a program that is killed later.
    """
    code, why = compiled(text)
    if isinstance(code, str):
        return code, why, ""
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
