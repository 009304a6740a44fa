"""Keeps errors of a candidate's function from leaving out tests instead of failing them.

``map(f, cases)`` ends at a StopIteration of `f`, and unittest counts a SkipTest as no failure.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from raysweep.execution.python.outcomes import TESTS, TRACEBACK

_FRAME: Any = TracebackType.__dict__["tb_frame"]  # guards.py hides it later

ITERATORS = frozenset(
    ("map", "filter", "iter", "starmap", "takewhile", "dropwhile", "filterfalse", "accumulate", "groupby")
)
"""Functions of Python and of itertools that call a function for each item, and end when it raises StopIteration."""


def not_ending(value: Any) -> Any:
    """Return a function that raises RuntimeError where `value` raises StopIteration, as generators do (PEP 479).

    What isn't a function, or can be iterated, is returned as it is.
    """
    if not callable(value) or hasattr(type(value), "__iter__"):
        return value

    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return value(*arguments, **options)
        except StopIteration as error:
            raise RuntimeError("the program raised StopIteration") from error

    return call


@functools.cache
def refuse_skips() -> None:
    """Let unittest count what a program raises to skip a test, or to end it early, as an error."""
    case, result = importlib.import_module("unittest.case"), importlib.import_module("unittest.result")
    trusted = (TESTS, __file__, contextmanager.__code__.co_filename, os.path.dirname(case.__file__ or ""))  # noqa: PTH120
    add_skip, run_part = result.TestResult.addSkip, case._Outcome.testPartExecutor

    def is_programs(error: BaseException | None) -> bool:
        traceback = TRACEBACK.__get__(error) if error else None
        while traceback is not None:
            frame: FrameType = _FRAME.__get__(traceback)
            if not frame.f_code.co_filename.startswith(trusted):
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
            except case._ShouldStop as error:
                if is_programs(error):
                    raise RuntimeError("the program ended a test") from error
                raise

    result.TestResult.addSkip = add_skip_of_tests
    case._Outcome.testPartExecutor = run_whole_part
