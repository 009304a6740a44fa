"""Runs candidates with their tests in a forked process and reports the outcome of each.

Once a candidate's first statement has run, this module must not call anything that a candidate can change: functions
of the standard library that are written in Python, methods of classes, the interpreter's built-in functions. So it has
its own copy of the built-in functions (start.py loads it with them), uses only built-in functions and types, defines
no classes, and is removed from `sys.modules`.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Sequence
from operator import is_
from os import _exit, getpid, write
from time import process_time
from types import CodeType
from typing import Any

from raysweep.execution.python.inside.comparisons import compare, equal
from raysweep.execution.python.inside.prepared_tests import FROZEN, PreparedTests, imports_used_by, private_builtins
from raysweep.execution.python.inside.rewriting import COMPARE, EQUAL, NOT_ENDING, not_ending
from raysweep.execution.python.outcomes import (
    DETAIL_CHARACTERS,
    PARTS,
    PROGRAM,
    TESTS,
    FrameOf,
    compiled,
    outcome_of,
    parts_passed,
)
from raysweep.execution.python.processes import (
    NEEDS_OWN_PROCESS,
    flush,
    forget_equal_keys,
    has_grown,
    prepare_process,
    reseed,
    wrote_little,
)
from raysweep.execution.python.screen import code_objects, is_pure, sets_attributes

Reporter = Callable[[str, str, float, str], None]


def run_alone(text: str, tests: PreparedTests | None, report: Reporter, frame_of: FrameOf) -> None:
    end_process, streams = _exit, (sys.stdout, sys.stderr)
    copies_builtins = tests is None or not tests.patches_builtins
    prepare_process(copies_builtins)
    parts = ""
    outcome, detail = compiled(text)
    if not isinstance(outcome, str):
        imports = imports_used_by(outcome, tests) if tests else []
        outcome, detail, parts = _run(outcome, text, tests, imports, frame_of)
        if outcome == "passed" and copies_builtins and not _builtins_are_unchanged():
            outcome, detail = "exception", "the program changed the built-in functions of libraries"
    flush(streams)
    report(outcome, detail, 0.0, parts)
    end_process(0)


def run_together(
    items: Sequence[tuple[str, PreparedTests | None]], report: Reporter, frame_of: FrameOf, output_bytes: int
) -> None:
    largest = prepare_process()
    for text, tests in items:
        reseed()
        forget_equal_keys()
        began, parts = process_time(), ""
        outcome, detail = compiled(text)
        if outcome == "memory":
            outcome = NEEDS_OWN_PROCESS
        elif not isinstance(outcome, str):
            if is_pure(outcome, text) and (tests is None or _are_harmless(tests, outcome)):
                outcome, detail, parts = _run(outcome, text, tests, [], frame_of)
                if (
                    outcome in ("memory", "killed")
                    or detail.startswith("RecursionError")
                    or not wrote_little(output_bytes)
                ):
                    outcome = NEEDS_OWN_PROCESS
            else:
                outcome = NEEDS_OWN_PROCESS
        report(outcome, detail, process_time() - began, parts)
        if has_grown(largest):
            break
    _exit(0)


def _are_harmless(tests: PreparedTests, candidate: CodeType) -> bool:
    """Return True if tests leave nothing behind and give a pure candidate no module that it could change."""
    if not tests.pure or imports_used_by(candidate, tests):
        return False
    return not (tests.has_imports and any(map(sets_attributes, code_objects(candidate))))


def _builtins_are_unchanged() -> bool:
    """Return True if built-in functions, and the methods of built-in types and tests' classes, are the originals."""
    tables = ((_INTERPRETER_BUILTINS, _ORIGINAL_BUILTINS), *_METHODS, *FROZEN)
    return all(all(map(is_, map(table.get, original), original.values())) for table, original in tables)


def _run(
    code: CodeType, text: str, tests: PreparedTests | None, imports: Sequence[tuple[str, CodeType]], frame_of: FrameOf
) -> tuple[str, str, str]:
    """Return the `raysweep.programs.Outcome`, one line about it, and the parts that passed.

    `tests`: None to judge the candidate by whether it ends without an error. `imports`: those of the tests that it
    relies on.
    """
    names: dict[str, Any] = {"__builtins__": sys.modules["builtins"].__dict__}
    # All facts about the tests are read before the candidate runs, since it may change the class PreparedTests.
    tests_code = tests.guarded if tests else None
    shared_names = _sharer(tests) if tests else None
    tests_builtins = _PRIVATE_BUILTINS
    if tests and (tests.patches_builtins or tests.patches_modules):
        tests_builtins = _INTERPRETER_BUILTINS if tests.patches_builtins else _PLAIN_BUILTINS
    sources = {PROGRAM: text, TESTS: tests.text} if tests else {PROGRAM: text}
    tests_names: dict[str, Any] = {}
    try:
        exec(code, names)
        for name, import_code in imports:
            if name not in names:
                exec(import_code, names)  # the module itself, not the tests' private copy
        if tests_code is not None and shared_names is not None:
            tests_names = shared_names(names) | {"__builtins__": tests_builtins}
            # a candidate's own list of parts doesn't count
            tests_names |= {COMPARE: compare, EQUAL: equal, NOT_ENDING: not_ending, PARTS: None}
            exec(tests_code, tests_names)
    except BaseException as error:
        return *outcome_of(error, sources, frame_of), parts_passed(tests_names)
    return "passed", "", parts_passed(tests_names)


def _sharer(tests: PreparedTests) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function of a candidate's globals: those of its names that its tests get as globals.

    A name of a built-in function is taken from the candidate only if it defines none that tests read and don't bind:
    then the task asks for a function of that name. Otherwise the candidate's `abs` might return 0 for everything. A
    candidate's own `Counter` is no library's. Tests that look names up by text get all that they don't bind.
    """
    bound, libraries, looks_up_names = tests.names_bound, tests.libraries, tests.looks_up_names
    candidate_names = [name for name in tests.names_read if name not in bound]
    all_names = [*candidate_names, *(name for name in tests.names_read if name in bound)]
    builtin_names = list(tests.builtins_read)

    def shared_names(names: dict[str, Any]) -> dict[str, Any]:
        shared = {
            name: names[name]
            for name in all_names
            if name in names and (name not in libraries or any(names[name] is value for value in libraries[name]))
        }
        if looks_up_names:
            others = [
                name for name in names if type(name) is str and name not in _ORIGINAL_BUILTINS and name not in bound
            ]
            shared |= {name: names[name] for name in others}
        if not any(name in names for name in candidate_names):
            shared |= {name: names[name] for name in builtin_names if name in names}
        return shared

    return shared_names


_INTERPRETER_BUILTINS = vars(builtins)
_ORIGINAL_BUILTINS = dict(_INTERPRETER_BUILTINS)
_COMPARED_TYPES = (int, float, str, bool, bytes, list, tuple, dict, set, object)
_METHODS = [(kind.__dict__, dict(kind.__dict__)) for kind in _COMPARED_TYPES]
"""The attributes of these types, now and at first: comparing `int.__dict__` hands the real dictionary to a program."""
_PRIVATE_BUILTINS, _PLAIN_BUILTINS = private_builtins(), dict(_ORIGINAL_BUILTINS)


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
