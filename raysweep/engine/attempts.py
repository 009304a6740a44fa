"""Retries work that fails, a limited number of times with growing pauses, and ends a process that hangs.

Exceptions are retried in the same process. If a process dies, the engine starts another one, which continues the count
of attempts, since the progress file holds it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

from raysweep.engine.progress import BEGINS_AGAIN, NOTE, Activity, ProgressFile
from raysweep.errors import RaysweepError, Stopped, last_line
from raysweep.machine import disk
from raysweep.periodic import run_periodically
from raysweep.records import Recovery
from raysweep.storage.backends import is_full
from raysweep.units import size

log = logging.getLogger("raysweep")

T = TypeVar("T")

STALLED = 70
"""Exit code of a process that was ended since it made no progress."""
MAX_PAUSE_SECONDS = 300.0
NO_PROGRESS = "no progress"


class GaveUp(RaysweepError):
    """The process died in every attempt."""

    retry = False


def with_retries(run: Callable[[], T], progress: ProgressFile, recovery: Recovery) -> T:
    """Call `run` until it succeeds, as often as `recovery` allows; return its result.

    Raises:
        Exception: the error of the last attempt, or the first error that is marked as not retryable. An error that Ray
            wrapped is unwrapped. Where the storage is out of reach, a StoreError takes the place of any error; once it
            is back, the attempt is not counted.
        GaveUp: the process died in every attempt.
    """
    with progress.files.noting_outages() as outage:
        reason, on_full_disk = _death_of_last_process(progress.activity), False
        is_same = BEGINS_AGAIN in reason
        while True:
            attempt = progress.begin_attempt()
            if is_same:
                progress.update("starting", force=True)
            elif attempt > 1:
                _pause(attempt, reason, progress, recovery)
            try:
                with _watched(progress, recovery):
                    result = run()
                if on_full_disk:
                    log.warning("%s: there is space again, %s", progress.activity.id, _free(progress))
                return result
            except Exception as error:
                progress.record_trace(traceback.format_exc())
                cause = root_cause(error)
                away = None if isinstance(cause, Stopped) or getattr(cause, "has_waited", False) else outage()
                cause = away or cause
                is_same = not getattr(cause, "counts", True)
                if is_same:
                    progress.repeat_attempt(last_line(cause))
                if (attempt > recovery.retries and not is_same) or not is_retryable(away or error):
                    if cause is error:
                        raise
                    raise cause from error
                reason = last_line(cause)  # keeping the error itself would keep its frames' objects in memory
                if is_full(cause) and not on_full_disk:  # the progress file may be on that disk
                    on_full_disk = True
                    log.warning("%s waits for a full disk, %s: %s", progress.activity.id, _free(progress), reason)


def _free(progress: ProgressFile) -> str:
    root = progress.files.root
    with contextlib.suppress(OSError):
        return f"{size(disk(Path(root)).free)} free in {root}"
    return f"storage {root}"


def _death_of_last_process(activity: Activity) -> str:
    lines = [line.split(" ", 2)[-1].removeprefix(NOTE) for line in activity.tail]
    last = lines[-2] if len(lines) > 1 else ""  # the last line is this process's "starting"
    if last.startswith(NO_PROGRESS) or BEGINS_AGAIN in last:
        return last
    return f"its process died after: {last}" if activity.attempt else ""


def _pause(attempt: int, reason: str, progress: ProgressFile, recovery: Recovery) -> None:
    progress.note(f"attempt {attempt - 1} failed: {reason}")
    if attempt > recovery.retries + 1:
        raise GaveUp(f"gave up after {attempt - 1} attempts: {reason}")
    seconds = min(recovery.backoff_seconds * 2 ** (attempt - 2), MAX_PAUSE_SECONDS)
    progress.report_wait(f"attempt {attempt} of {recovery.retries + 1}, in {seconds:g} s")
    time.sleep(seconds)
    progress.update("starting", force=True)


def is_retryable(error: BaseException) -> bool:
    """Return True if another attempt may succeed, by the error and all errors that it wraps."""
    causes = [*_wrapped_errors(error), *([error.__cause__] if error.__cause__ else [])]
    return bool(getattr(error, "retry", True)) and all(map(is_retryable, causes))


def root_cause(error: Exception) -> Exception:
    """Unwrap an error of Ray to its root cause; of several causes prefer raysweep's own, first those not retryable."""
    inner = [root_cause(cause) for cause in _wrapped_errors(error)]
    ours = [cause for cause in inner if isinstance(cause, RaysweepError)]
    permanent = [cause for cause in ours if not cause.retry]
    return [*permanent, *ours, *inner, error][0]


def _wrapped_errors(error: BaseException) -> list[Exception]:
    single = [getattr(error, name, None) for name in ("cause", "controller_failure")]
    inner = [*single, *getattr(error, "worker_failures", {}).values()]
    return [cause for cause in inner if isinstance(cause, Exception) and cause is not error]


def _watched(progress: ProgressFile, recovery: Recovery) -> AbstractContextManager[None]:
    """End the process if the activity's progress file stays unchanged too long, unless it reports a wait.

    A thread that hangs inside a library's call can't be interrupted by an exception, but the process can be ended.
    """
    if not recovery.stall_seconds or not recovery.may_exit:
        return nullcontext()
    updated, unchanged_since = 0.0, time.monotonic()

    def check() -> None:
        nonlocal updated, unchanged_since
        latest = progress.latest()
        if latest is None or latest.waits or latest.updated != updated:
            updated, unchanged_since = latest.updated if latest else 0.0, time.monotonic()
        elif time.monotonic() - unchanged_since > recovery.stall_seconds:
            limit = f"{recovery.stall_seconds:g} s (`recovery.stall_seconds`)"
            progress.note(f"{NO_PROGRESS} for {limit} at: {latest.amount}")
            os._exit(STALLED)

    return run_periodically(check, min(10.0, recovery.stall_seconds / 5), "watchdog")
