"""Attempts: work that fails is tried again, a bounded number of times, later each time; work that hangs is ended.

An exception is met in the process; a process that dies is started again by the engine, and goes on counting where the
dead one stopped, since attempts are counted in the progress file.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from raysweep.background import repeated
from raysweep.errors import RaysweepError, last_line
from raysweep.progress import NOTE, Activity, ProgressFile

log = logging.getLogger("raysweep")

T = TypeVar("T")

STALLED = 70
"""Exit code of a process that made no progress."""
LONGEST_PAUSE = 300.0
NO_PROGRESS = "no progress"


class GaveUp(RaysweepError):
    """Every attempt ended with the death of its process."""

    retry = False


@dataclass(frozen=True)
class Recovery:
    """How work that fails is tried again.

    `retries`: attempts after the first. `backoff_seconds`: before the second, twice as long before each further one.
    `stall_seconds`: without news for so long an attempt is ended; 0: never. `may_exit`: the process may be ended for
    it, since an engine starts another.
    """

    retries: int = 2
    backoff_seconds: float = 5.0
    stall_seconds: float = 1800.0
    may_exit: bool = False


def with_retries(run: Callable[[], T], progress: ProgressFile, recovery: Recovery) -> T:
    """Return what `run` returns, after as many attempts as it takes and `recovery` grants.

    Raises:
        Exception: the last attempt's, or one that says of itself that no other attempt would help; not Ray's, where
            that stands for another one.
        GaveUp: the process died in every attempt.
    """
    why = _end_of_last_process(progress.activity)
    while True:
        attempt = progress.begin_attempt()
        if attempt > 1:
            _pause(attempt, why, progress, recovery)
        try:
            with _watched(progress, recovery):
                return run()
        except Exception as error:
            progress.remember(traceback.format_exc())
            if attempt > recovery.retries or not _may_help(error):
                if (cause := _cause(error)) is error:
                    raise
                raise cause from error
            why = last_line(_cause(error))  # no name for the error: it would keep alive what it failed in


def _end_of_last_process(activity: Activity) -> str:
    """Say why an earlier process stopped working on an activity; empty when there was none."""
    if not activity.attempt:
        return ""
    lines = [line.split(" ", 2)[-1].removeprefix(NOTE) for line in activity.tail]
    last = lines[-2] if len(lines) > 1 else ""  # the very last one is of this process, which says that it starts
    return last if last.startswith(NO_PROGRESS) else f"its process died after: {last}"


def _pause(attempt: int, why: str, progress: ProgressFile, recovery: Recovery) -> None:
    """Wait before an attempt that is not the first; `why`: the last one failed."""
    progress.note(f"attempt {attempt - 1} failed: {why}")
    if attempt > recovery.retries + 1:
        raise GaveUp(f"gave up after {attempt - 1} attempts: {why}")
    seconds = min(recovery.backoff_seconds * 2 ** (attempt - 2), LONGEST_PAUSE)
    progress.wait_for(f"attempt {attempt} of {recovery.retries + 1}, in {seconds:g} s")
    time.sleep(seconds)
    progress.update("starting", force=True)


def _may_help(error: BaseException) -> bool:
    """Whether another attempt may do better: no error that this one stands for says that it won't."""
    causes = [*_stands_for(error), *([error.__cause__] if error.__cause__ else [])]
    return bool(getattr(error, "retry", True)) and all(map(_may_help, causes))


def _cause(error: Exception) -> Exception:
    """Return the error that a person looks for: of those that Ray's stands for, one that explains the others."""
    inner = [_cause(cause) for cause in _stands_for(error)]
    ours = [cause for cause in inner if isinstance(cause, RaysweepError)]
    hopeless = [cause for cause in ours if not cause.retry]
    return [*hopeless, *ours, *inner, error][0]


def _stands_for(error: BaseException) -> list[Exception]:
    """Return the errors of other processes that one of Ray's tells of: a task's, a controller's, those of workers."""
    named = [getattr(error, name, None) for name in ("cause", "controller_failure")]
    inner = [*named, *getattr(error, "worker_failures", {}).values()]
    return [cause for cause in inner if isinstance(cause, Exception) and cause is not error]


def _watched(progress: ProgressFile, recovery: Recovery) -> AbstractContextManager[None]:
    """End the process when there is no news of the activity for too long, unless it says that it waits for something.

    An exception can't be raised in a thread that hangs in a library's call; the process can be ended in any case.
    """
    if not recovery.stall_seconds or not recovery.may_exit:
        return nullcontext()
    news, since = 0.0, time.monotonic()

    def look() -> None:
        nonlocal news, since
        latest = progress.latest()
        if latest is None or latest.waits or latest.updated != news:
            news, since = latest.updated if latest else 0.0, time.monotonic()
        elif time.monotonic() - since > recovery.stall_seconds:
            limit = f"{recovery.stall_seconds:g} s (`recovery.stall_seconds`)"
            progress.note(f"{NO_PROGRESS} for {limit} at: {latest.amount}")
            os._exit(STALLED)

    return repeated(look, min(10.0, recovery.stall_seconds / 5), "watchdog")
