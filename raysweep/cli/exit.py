"""Ends commands: exit codes, one line about an error, and signals that stop a command so that it can be resumed.

Exit codes: 0 all done, 1 something failed, 2 bad usage, 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from typing_extensions import override

from raysweep.errors import RaysweepError, escaped

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and SIGTERM: 128 and the signal's number."""
SETTINGS = ("RAYSWEEP_STORAGE", "OPENAI_BASE_URL")
"""Variables that decide what a command does, and hold no secret."""
NAME = "raysweep"
LOOK_SECONDS = 0.3
"""Seconds between two checks whether a stopped command is ending."""

_USAGE_ERROR: Any = typer.BadParameter.__mro__[2]  # click's ClickException, which typer brings under its own name


@dataclass
class Invocation:
    """The command being run and what it keeps when interrupted."""

    debug: bool = False
    command: str = ""
    part: Path | None = None  # a file from which the same command resumes, if it exists
    stopped_by: int = 0  # number of the signal that stopped it; 0: none
    goes_on: str = ""  # what goes on elsewhere when this process stops, and how to reach it; empty: nothing
    again: bool = False  # the handler shall raise the stop's exception once more

    @property
    def kept(self) -> str:
        """What the same command resumes from, in words; empty if it would start over."""
        if self.command in ("run", "evaluate", "attack"):
            return "artefacts, checkpoints and blocks that were written are kept"
        return f"the verdicts so far are kept in {self.part}" if self.part is not None and self.part.exists() else ""


invocation = Invocation()
"""The invocation of this process; the command line's callback fills it in."""


def run_to_exit_code(app: typer.Typer, arguments: list[str] | None) -> int:
    if threading.current_thread() is not threading.main_thread():  # only that thread may handle signals
        return _run(app, arguments)
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    passed_over, sys.unraisablehook = sys.unraisablehook, _without_stops
    try:
        return _run(app, arguments)
    finally:
        invocation.stopped_by, invocation.again, invocation.goes_on = 0, False, ""
        sys.unraisablehook = passed_over
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def log_to_stderr(level: int) -> None:
    """Print raysweep's messages of a level and above on stderr; log files get all messages."""
    logger = logging.getLogger("raysweep")
    logger.setLevel(logging.DEBUG)
    for handler in [handler for handler in logger.handlers if handler.name == "terminal"]:
        logger.removeHandler(handler)
    handler = _Stderr()
    handler.name = "terminal"
    handler.setLevel(level)
    handler.setFormatter(_Level())
    logger.addHandler(handler)


@contextmanager
def without_library_warnings() -> Iterator[None]:
    """Keep warnings of other libraries, which a user can do nothing about, off the terminal; with --debug they stay."""
    levels = {f"{library}_VERBOSITY": "error" for library in ("TRANSFORMERS", "DATASETS", "HF_HUB")}
    if invocation.debug:
        yield
        return
    for name, level in levels.items():  # before the libraries are imported
        os.environ.setdefault(name, level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Level(logging.Formatter):
    """Begins a warning with "warning:", and escapes what a terminal would obey."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        return escaped(f"{level}{super().format(record)}")


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the present sys.stderr, which a live display replaces for a while."""

    @property
    @override
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        pass


def _stop(number: int, frame: FrameType | None) -> None:
    if invocation.again:
        invocation.again = False
        raise KeyboardInterrupt
    if invocation.stopped_by:
        print(f"ended{_kept(None)}", file=sys.stderr, flush=True)
        os._exit(128 + number)
    invocation.stopped_by = number
    if invocation.kept:
        print("\nstopping; once more ends at once", file=sys.stderr, flush=True)
    threading.Thread(target=_insist, name="is the command ending", daemon=True).start()
    raise KeyboardInterrupt  # the only exception that leaves every call of Ray


def _insist() -> None:
    """Raise a stop's exception again while the main thread shows no sign of it.

    It is lost if it is raised in a finaliser or a callback, whose exceptions Python ignores, or in code that catches
    every exception: tests/cli/test_exit.py, `test_a_signal_that_comes_where_exceptions_are_passed_over_...`, fails
    without this thread.
    """
    if invocation.stopped_by:  # in the log, which a job that is ended by force seconds later leaves
        logging.getLogger(NAME).debug("stopping, after %s", signal.Signals(invocation.stopped_by).name)
    missed = 0
    while invocation.stopped_by:
        time.sleep(LOOK_SECONDS)
        handled: Any = sys._current_exceptions().get(threading.main_thread().ident or 0)
        error = handled[1] if isinstance(handled, tuple) else handled  # Python 3.11 gives triples
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        missed = missed + 1 if error is None else 0
        if missed > 1 and invocation.stopped_by:  # a single miss may lie between two blocks that handle it
            missed, invocation.again = 0, True
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _without_stops(unraisable: Any) -> None:
    if not (unraisable.exc_type is KeyboardInterrupt and invocation.stopped_by):
        sys.__unraisablehook__(unraisable)


def _run(app: typer.Typer, arguments: list[str] | None) -> int:
    try:
        code: Any = app(args=arguments, standalone_mode=False)
    except RaysweepError as error:
        return _print_error(error, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if isinstance(error, _USAGE_ERROR):
            shown: Any = error
            more = _several_values(shown, sys.argv[1:] if arguments is None else arguments)
            shown.message = escaped(shown.message + more)
            shown.show()
            return int(shown.exit_code)
        return _print_error(error, 1)
    if invocation.stopped_by:  # typer turns Ctrl-C into an exit code
        code = 128 + invocation.stopped_by
    if invocation.stopped_by and invocation.goes_on:
        print(f"\n{invocation.goes_on}", file=sys.stderr)
    elif code in (INTERRUPTED, TERMINATED) and not invocation.goes_on:
        print(f"stopped{_kept(arguments)}", file=sys.stderr)
    return int(code or 0)


def _several_values(error: Any, words: Sequence[str]) -> str:
    context = getattr(error, "ctx", None)
    extra = _EXTRA.search(error.message)
    if not (context and extra and extra[1] in words):
        return ""
    options = {name: option for option in context.command.params for name in option.opts}
    until = words[: words.index(extra[1]) + 1]
    at = max((at for at, word in enumerate(until) if word.partition("=")[0] in options), default=len(until))
    name, _, first = "".join(until[at : at + 1]).partition("=")
    values = [value.rstrip(",") for value in (*([first] if first else []), *until[at + 1 :])][:2]
    if len(values) < 2:
        return ""
    if getattr(options[name], "multiple", False):
        return f"; several are given as `{name} {values[0]} {name} {values[1]}`"
    has_commas = "," in (options[name].metavar or "")
    return f"; several have commas between them: `{name} {','.join(values)}`" if has_commas else ""


_EXTRA = re.compile(r"unexpected extra arguments?\S* \((\S+?)[ )]")
"""What click says of words that no argument takes, with the first of them."""


def _kept(arguments: list[str] | None) -> str:
    values = {name: os.environ.get(name, "") for name in SETTINGS}  # another shell would not have them
    settings = [f"{name}={shlex.quote(value)}" for name, value in values.items() if value and "@" not in value]
    words = shlex.join([_program(), *(sys.argv[1:] if arguments is None else arguments)])
    command = " ".join([*settings, words])  # without a URL that has a password
    return f"; {invocation.kept}, and this command resumes:\n  {command}" if invocation.kept else ""


def _program() -> str:
    is_unknown = Path(sys.argv[0]).name == NAME and shutil.which(NAME) is None
    return sys.argv[0] if is_unknown else NAME


def _print_error(error: Exception, code: int) -> int:
    if invocation.debug:
        print(escaped("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    kind = "" if isinstance(error, RaysweepError) else f"{type(error).__name__}: "
    hint = "" if isinstance(error, RaysweepError) else " (--debug before the command shows where)"
    print(escaped(f"error: {kind}{error}{hint}"), file=sys.stderr)
    if invocation.goes_on and not isinstance(error, RaysweepError):
        print(f"\n{invocation.goes_on}", file=sys.stderr)
    return code
