"""What each part of a running sweep is doing, as one small JSON file each in the sweep's folder.

Any process may write its own file, the driver and ``raysweep status`` read them all: the same for Ray, for worker
processes and for the local engine, and it outlives a crash.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raysweep.store import write_atomically

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"


@dataclass(frozen=True)
class Activity:
    """One cell or shared input: its state, and how far its present stage is (`done` of `total` units)."""

    id: str
    state: str = WAITING
    stage: str = ""  # training | generating | executing | making
    done: int = 0
    total: int = 0
    detail: str = ""  # such as "loss 0.61"
    error: str = ""
    started: float = 0.0  # seconds since the epoch; 0: not yet
    updated: float = 0.0


class ProgressFile:
    """Writes one activity, at most twice a second."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.json"
        self._last = 0.0
        self.activity = Activity(name)

    def update(self, stage: str, done: int = 0, total: int = 0, detail: str = "", *, force: bool = False) -> None:
        """Tell how far the present stage is; skipped when the last write was a moment ago, unless it is a new stage."""
        now = time.time()
        new_stage = stage != self.activity.stage or self.activity.state != RUNNING
        started = self.activity.started or now
        self.activity = Activity(self.activity.id, RUNNING, stage, done, total, detail, "", started, now)
        if force or new_stage or now - self._last >= 0.5:
            self._write()

    @contextmanager
    def running(self, stage: str) -> Iterator[ProgressFile]:
        """Mark the activity as running, then as done, failed (with the error's text) or stopped; let errors pass.

        Stopped: by Ctrl-C, or by a signal that asks the process to end; its stage and amount stay as they were.
        """
        self.update(stage, force=True)
        try:
            yield self
        except (KeyboardInterrupt, SystemExit):
            self._finish(STOPPED, "")
            raise
        except BaseException as error:
            self._finish(FAILED, f"{type(error).__name__}: {error}")
            raise
        self._finish(DONE, "")

    def fail(self, error: str) -> None:
        """Mark the activity as failed without its having run."""
        self._finish(FAILED, error)

    def _finish(self, state: str, error: str) -> None:
        self.activity = dataclasses.replace(self.activity, state=state, error=error, updated=time.time())
        self._write()

    def _write(self) -> None:
        self._last = time.time()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps(dataclasses.asdict(self.activity)))


def read_activities(folder: Path) -> dict[str, Activity]:
    """Return the activities below a folder by id; files that are no activity are passed over."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            activity = Activity(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        found[activity.id] = activity
    return found
