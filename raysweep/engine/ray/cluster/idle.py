"""Says what a sweep waits for while none of its tasks runs: Ray itself waits silently and for ever."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from raysweep.engine.progress import RUNNING, ProgressFile, read_activities
from raysweep.periodic import run_periodically
from raysweep.storage.files import Files

POLL_SECONDS = 10.0
LOOKS = 3
"""So many looks in a row must find nothing that runs: between two tasks there are moments without one."""


def watch_idle(progress: Files, needs: Mapping[str, str]) -> AbstractContextManager[None]:
    """Report for the next task that it waits, while the block runs. `needs`: in words, by tasks in their order."""
    watch = IdleWatch(progress, needs)
    return run_periodically(watch.check, POLL_SECONDS, "idle")


class IdleWatch:
    """Counts looks at the activities at which none ran."""

    def __init__(self, progress: Files, needs: Mapping[str, str]) -> None:
        self._progress, self._needs, self._idle = progress, needs, 0

    def check(self) -> None:
        activities = read_activities(self._progress)
        task = next((name for name in self._needs if name not in activities), None)
        self._idle = 0 if any(one.state == RUNNING for one in activities.values()) else self._idle + 1
        if self._idle == LOOKS and task is not None:
            ProgressFile(self._progress, task).report_wait(self._needs[task])
