"""Runs candidates with their tests in a forked process and reports each one's end. Loaded apart, see `zygote`.

From the candidate's first statement on, nothing here may call what a candidate can change: functions of the standard
library that are written in Python, methods of classes, the interpreter's builtins. So this module has builtins of its
own, uses built-in functions and types only, defines no classes, and is in no table that a program can look into.
"""

from __future__ import annotations

import builtins
import errno
import gc
import sys
from collections.abc import Callable, Sequence
from operator import is_
from os import _exit, fstat, ftruncate, getpid, write
from resource import RUSAGE_SELF, getrusage
from time import process_time
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from raysweep.execution.comparisons import compare
from raysweep.execution.rewriting import COMPARE
from raysweep.execution.screen import code_objects, is_pure, sets_attributes
from raysweep.execution.tested import PROGRAM, TESTS, Tests, lent_imports, private_builtins

DETAIL = 300  # characters
FrameOf = Callable[[TracebackType], FrameType]
Report = Callable[[int, str, str, float], None]
LEFT_KIB = 64 * 2**10  # of memory that programs may have had when the next one comes to their process
UNSUITED = "unsuited"  # for the shared lane: run it alone


def run_alone(text: str, tests: Tests | None, report: Report, frame_of: FrameOf) -> None:
    """Run one program that has this process to itself, report how it ended, and end the process."""
    leave, streams = _exit, (sys.stdout, sys.stderr)
    _begin(lends := tests is None or not tests.patches_builtins)
    outcome, detail = _compiled(text)
    if not isinstance(outcome, str):
        lent = lent_imports(outcome, tests) if tests else []
        outcome, detail = _judge(outcome, text, tests, lent, frame_of)
        if outcome == "passed" and lends and not _is_untouched():
            outcome, detail = "exception", "the program changed the built-in functions of libraries"
    for stream in streams:
        try:
            stream.flush()
        except BaseException:  # closed or full: the output is the program's business
            continue
    report(0, outcome, detail, 0.0)
    leave(0)


def run_together(
    items: Sequence[tuple[int, str, Tests | None]], report: Report, frame_of: FrameOf, output_bytes: int
) -> None:
    """Run those programs that are found pure, report `UNSUITED` for the others, and end the process."""
    _begin(lends=True)
    most = getrusage(RUSAGE_SELF).ru_maxrss + LEFT_KIB
    for number, text, tests in items:
        began = process_time()
        outcome, detail = _compiled(text)
        if outcome == "memory":
            outcome = UNSUITED
        elif not isinstance(outcome, str):
            if is_pure(outcome, text) and (tests is None or _are_harmless(tests, outcome)):
                outcome, detail = _judge(outcome, text, tests, [], frame_of)
                if outcome in ("memory", "killed") or detail.startswith("RecursionError") or not _quiet(output_bytes):
                    outcome = UNSUITED
            else:
                outcome = UNSUITED
        report(number, outcome, detail, process_time() - began)
        if getrusage(RUSAGE_SELF).ru_maxrss > most:  # it may keep what the next ones need
            break
    _exit(0)


def _are_harmless(tests: Tests, candidate: CodeType) -> bool:
    """Say whether tests leave nothing behind, and lend a pure candidate nothing to leave something in."""
    if not tests.pure or lent_imports(candidate, tests):
        return False
    return not (tests.imports_any and any(map(sets_attributes, code_objects(candidate))))


def _begin(lends: bool) -> None:
    """Set up what a fork has and its zygote has not: garbage collection, and built-in functions to be changed."""
    gc.enable()
    if lends:
        sys.modules["builtins"] = _LENT


def _is_untouched() -> bool:
    """Say whether the interpreter's own built-in functions, which libraries use, are what they were."""
    return all(map(is_, map(_OWN.get, _PRISTINE), _PRISTINE.values()))


def _quiet(output_bytes: int) -> bool:
    """Empty the output files; say whether a program wrote little on stdout and nothing on stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    written = fstat(1).st_size, fstat(2).st_size
    for descriptor, size in enumerate(written, 1):
        if size:
            ftruncate(descriptor, 0)
    return written[0] <= output_bytes and not written[1]


def _compiled(text: str) -> tuple[CodeType | str, str]:
    """Return the candidate's code, or its outcome and why."""
    try:
        return compile(text, PROGRAM, "exec", dont_inherit=True), ""
    except MemoryError:
        return "memory", "MemoryError while compiling"
    except (SyntaxError, ValueError, OverflowError) as error:
        return "syntax_error", _describe(error)
    except RecursionError as error:
        return "exception", _describe(error)


def _judge(
    code: CodeType, text: str, tests: Tests | None, lent: Sequence[tuple[str, CodeType]], frame_of: FrameOf
) -> tuple[str, str]:
    """Run a candidate and its tests; return the outcome (`raysweep.programs.Outcome`) and one line about it.

    `lent`: the imports of the tests that it relies on.
    """
    names: dict[str, Any] = {"__builtins__": sys.modules["builtins"].__dict__}
    judge = tests.guarded if tests else None
    takes = _takes(tests) if tests else None  # here, since the candidate may change the class
    offered = _offered(tests) if tests else {}
    sources = {PROGRAM: text, TESTS: tests.text} if tests else {PROGRAM: text}
    try:
        exec(code, names)
        for name, imported in lent:
            if name not in names:
                exec(imported, names)  # the module itself, not the tests' private copy
        if judge is not None and takes is not None:
            exec(judge, _tests_names(*takes, names) | {"__builtins__": offered, COMPARE: compare})
    except BaseException as error:
        traceback = _TRACEBACK.__get__(error)
        _TRACEBACK.__set__(error, None)  # its own methods may look for the frames that were below it
        try:
            return _ending(error, traceback, sources, frame_of)
        except BaseException:
            return "exception", "an error that can't be described"
    return "passed", ""


def _offered(tests: Tests) -> dict[str, Any]:
    """Return the built-in functions of tests."""
    if tests.patches_builtins:
        return _OWN
    return _PLAIN_BUILTINS if tests.patches else _TEST_BUILTINS


def _ending(
    error: BaseException, traceback: TracebackType | None, sources: dict[str, str], frame_of: FrameOf
) -> tuple[str, str]:
    if isinstance(error, AssertionError):
        return "failed", _failing_line(traceback, sources, frame_of) or _describe(error)
    if isinstance(error, SystemExit):
        return "killed", f"{_describe(error)}, before the tests ended"
    out_of_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    return "memory" if out_of_memory else "exception", _describe(error)


def _takes(tests: Tests) -> tuple[list[str], list[str], list[str], frozenset[str] | None]:
    """Return the names that tests take from a candidate: those that are its alone, others, and those of built-ins.

    Last, where tests may ask for any other name: all but which.
    """
    own = [name for name in tests.needs if name not in tests.defines]
    others = [name for name in tests.needs if name in tests.defines]
    return own, others, list(tests.built_in), tests.defines if tests.looks_up else None


def _tests_names(
    own: list[str], others: list[str], built_in: list[str], all_but: frozenset[str] | None, names: dict[str, Any]
) -> dict[str, Any]:
    """Return what of the `names` that a candidate has left is in the globals of its tests.

    What is called like a built-in function is the candidate's only if it has nothing else that the tests ask for: then
    the task is called so. Otherwise its `abs` might be 0 for everything.
    """
    shared = {name: names[name] for name in [*own, *others] if name in names}
    if all_but is not None:
        known = [name for name in names if type(name) is str and name not in _PRISTINE and name not in all_but]
        shared |= {name: names[name] for name in known}
    if not any(name in names for name in own):
        shared |= {name: names[name] for name in built_in if name in names}
    return shared


_OWN = vars(builtins)
_PRISTINE = dict(_OWN)
_LENT = ModuleType("builtins", builtins.__doc__)  # what programs change in it isn't changed for libraries
vars(_LENT).update(_PRISTINE)
_TRACEBACK: Any = BaseException.__dict__["__traceback__"]
_TEST_BUILTINS, _PLAIN_BUILTINS = private_builtins(), dict(_PRISTINE)


def _failing_line(traceback: TracebackType | None, sources: dict[str, str], frame_of: FrameOf) -> str:
    """Return the source line in which an assertion failed, or "" when there is none."""
    number, source = 0, ""
    while traceback is not None:
        name = frame_of(traceback).f_code.co_filename
        if name in sources:
            number, source = traceback.tb_lineno, sources[name]
        traceback = traceback.tb_next
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # splitlines() also splits at form feeds
    return lines[number - 1].strip()[:DETAIL] if 0 < number <= len(lines) else ""


def _describe(error: BaseException) -> str:
    """Return ``NameError: name 'x' is not defined`` in one line, whatever the error's own methods do."""
    name = str(type(error).__name__)
    try:
        message = " ".join(str(error)[: 2 * DETAIL].split())
    except BaseException:
        message = ""
    return f"{name}: {message}"[:DETAIL] if message else name[:DETAIL]


def reporter(descriptor: int, nonce: bytes) -> Report:
    """Return what writes a report behind its nonce: its length, number, outcome, seconds and detail."""
    own = getpid()

    def report(number: int, outcome: str, detail: str, seconds: float) -> None:
        if getpid() != own:  # a fork that the program made
            return
        text = f"{number}\n{outcome}\n{seconds:.6f}\n{detail}".encode("utf-8", "backslashreplace")
        write(descriptor, nonce + len(text).to_bytes(4, "big") + text)

    return report
