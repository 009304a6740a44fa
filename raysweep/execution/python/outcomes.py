"""Describes how a program ended: the outcome of an error, and one line about it.

Forks use it after a program has run, so it calls only built-in functions and types (start.py loads it with its own copy
of the built-in functions).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

PROGRAM, TESTS = "<program>", "<tests>"  # file names in the code objects of candidates and of tests
DETAIL_CHARACTERS = 300
MAX_TEXT = 2 * DETAIL_CHARACTERS  # characters of an error's text that are looked at
FrameOf = Callable[[TracebackType], FrameType]
NO_THREAD = ("can't start new thread",)
"""The arguments of Python's error where there is no memory for a thread's stack, or the limit of threads is reached."""
PARTS = "PARTS_PASSED"
"""The name of the list in which tests note the parts that have passed."""
_MAX_PARTS = 8
TRACEBACK: Any = BaseException.__dict__["__traceback__"]


def compiled(text: str) -> tuple[CodeType | str, str]:
    """Return a candidate's code and "", or the outcome and detail if it can't be compiled."""
    try:
        return compile(text, PROGRAM, "exec", dont_inherit=True), ""
    except MemoryError:
        return "memory", "MemoryError while compiling"
    except (SyntaxError, ValueError, OverflowError) as error:
        return "syntax_error", describe(error)
    except RecursionError as error:
        return "exception", describe(error)


def outcome_of(error: BaseException, sources: dict[str, str], frame_of: FrameOf) -> tuple[str, str]:
    """The error loses its traceback. `sources`: the texts to find a line in, by file names of code objects."""
    traceback = TRACEBACK.__get__(error)
    TRACEBACK.__set__(error, None)  # the error's own methods could reach the frames in it
    try:
        if isinstance(error, AssertionError):
            return "failed", failing_line(traceback, sources, frame_of) or describe(error)
        if isinstance(error, SystemExit):
            return "killed", f"{describe(error)}, before the tests ended"
        out_of_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        out_of_memory = out_of_memory or (type(error) is RuntimeError and error.args == NO_THREAD)
        return "memory" if out_of_memory else "exception", describe(error)
    except BaseException:
        return "exception", "an error that can't be described"


def parts_passed(names: dict[str, Any]) -> str:
    parts = names.get(PARTS)
    if type(parts) is not list:
        return ""
    return ",".join([part[:DETAIL_CHARACTERS] for part in parts[:_MAX_PARTS] if type(part) is str])


def failing_line(traceback: TracebackType | None, sources: dict[str, str], frame_of: FrameOf) -> str:
    number, source = 0, ""
    while traceback is not None:
        name = frame_of(traceback).f_code.co_filename
        if name in sources:
            number, source = traceback.tb_lineno, sources[name]
        traceback = traceback.tb_next
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # splitlines() also splits at form feeds
    return lines[number - 1].strip()[:DETAIL_CHARACTERS] if 0 < number <= len(lines) else ""


def describe(error: BaseException) -> str:
    """Return ``NameError: name 'x' is not defined`` in one line, even if the error's own methods fail."""
    name = str(type(error).__name__)
    try:
        message = " ".join(str(error)[:MAX_TEXT].split())
    except BaseException:
        message = ""
    return f"{name}: {message}"[:DETAIL_CHARACTERS] if message else name[:DETAIL_CHARACTERS]
