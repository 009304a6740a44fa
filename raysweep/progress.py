"""What each part of a running sweep is doing, as one small JSON file each in the sweep's folder.

Any process may write its own file, the driver and ``raysweep status`` read them all: the same for Ray, for worker
processes and for the local engine, and it outlives a crash. It is news, not results: what can't be written is left out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from raysweep.errors import RaysweepError, StoreError
from raysweep.storage.files import Files

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"

TRAINING = "training"
NOTE = "! "
"""Begins, after the time, a line of the tail that is shown at once."""
TRACE = 8000
"""Characters of a traceback that an activity remembers."""
TAIL = 40
"""Lines that an activity remembers."""
LINE_SECONDS = 10.0
"""Between two lines about one stage."""


@dataclass(frozen=True)
class Activity:
    """One cell or shared input: its state, and how far its present stage is (`done` of `total` units)."""

    id: str
    state: str = WAITING
    stage: str = ""  # training | generating | executing | making
    done: int = 0
    total: int = 0
    detail: str = ""  # such as "loss 0.61, lr 2.0e-05"
    training: str = ""  # how far training is or was: "118/118: loss 0.61, lr 2.0e-05"
    waits: str = ""  # what it waits for; empty while it works
    attempt: int = 0  # 1: the first
    error: str = ""
    started: float = 0.0  # seconds since the epoch; 0: not yet
    updated: float = 0.0
    trace: str = ""  # the end of the last traceback
    tail: tuple[str, ...] = ()  # the last events, each with its time

    @property
    def amount(self) -> str:
        """How far the stage is, in words."""
        amount = f" {self.done:,}/{self.total:,}" if self.total else ""
        return f"{self.stage}{amount}" + (f": {self.detail}" if self.detail else "")


class ProgressFile:
    """Writes one activity, at most twice a second (every five seconds into an object store).

    Args:
        files: of the folder of progress files.
        name: the activity's id. What an earlier process said of it is read first.
    """

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = f"{name}.json"
        self._least = 0.5 if files.local is not None else 5.0
        self._last = self._last_line = 0.0
        self.activity = read_activity(files, name) or Activity(name)

    def update(self, stage: str, done: int = 0, total: int = 0, detail: str = "", *, force: bool = False) -> None:
        """Tell how far the present stage is; skipped when the last write was a moment ago, unless it is a new stage."""
        now, before = time.time(), self.activity
        new_stage = stage != before.stage or before.state != RUNNING or bool(before.waits)
        if new_stage:
            before = self._newest()
        self.activity = dataclasses.replace(
            before,
            state=RUNNING,
            stage=stage,
            done=done,
            total=total,
            detail=detail,
            waits="",
            error="",
            started=before.started or now,
            updated=now,
        )
        if stage == TRAINING and total:
            training = self.activity.amount.removeprefix(f"{TRAINING} ")
            self.activity = dataclasses.replace(self.activity, training=training)
        if new_stage or now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._add_line(self.activity.amount)
        if force or new_stage or now - self._last >= self._least:
            self._write()

    def wait_for(self, what: str) -> None:
        """Tell what is waited for; the next update ends it."""
        self.activity = self._newest()
        if what != self.activity.waits:
            self._add_line(f"waits for {what}")
        now = time.time()
        started = self.activity.started or now
        self.activity = dataclasses.replace(self.activity, state=RUNNING, waits=what, started=started, updated=now)
        self._write()

    def go_on(self) -> None:
        """Tell that a wait is over, and nothing else yet."""
        now = self._newest()
        self.update(now.stage, now.done, now.total, now.detail, force=True)

    def remember(self, trace: str) -> None:
        """Keep the end of a traceback, for the log."""
        self.activity = dataclasses.replace(self._newest(), trace=trace[-TRACE:])
        self._write()

    def note(self, text: str) -> None:
        """Remember an event that a person should hear of."""
        self.activity = self._newest()
        self._add_line(f"{NOTE}{text}")
        self._write()

    def latest(self) -> Activity | None:
        """Return what was last written of the activity, by any process."""
        return read_activity(self._files, self.activity.id)

    def begin_attempt(self) -> int:
        """Count an attempt and return its number; those of processes that died count, too."""
        newest = self._newest()
        self.activity = dataclasses.replace(newest, attempt=newest.attempt + 1)
        self._write()
        return self.activity.attempt

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
            kind = "" if isinstance(error, RaysweepError) else f"{type(error).__name__}: "
            self._finish(FAILED, f"{kind}{error}")
            raise
        self._finish(DONE, "")

    def fail(self, error: str) -> None:
        """Mark the activity as failed without its having run."""
        self._finish(FAILED, error)

    def stop(self) -> None:
        """Mark the activity as stopped."""
        self._finish(STOPPED, "")

    def _finish(self, state: str, error: str) -> None:
        self.activity = dataclasses.replace(self._newest(), state=state, error=error, waits="", updated=time.time())
        self._add_line(f"{state}: {error}" if error else state)
        self._write()

    def _newest(self) -> Activity:
        """Return what this process last said, or another one after it: a training worker writes the same file."""
        latest = self.latest()
        return latest if latest is not None and latest.updated > self.activity.updated else self.activity

    def _add_line(self, text: str) -> None:
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"
        self.activity = dataclasses.replace(self.activity, tail=(*self.activity.tail, line)[-TAIL:])

    def _write(self) -> None:
        self._last = time.time()
        with contextlib.suppress(StoreError):
            self._files.write(self._name, json.dumps(dataclasses.asdict(self.activity)), patient=False)


def read_activity(files: Files, name: str) -> Activity | None:
    """Return an activity, None when there is no such file or it is none."""
    try:
        content = json.loads(files.read(f"{name}.json", patient=False) or b"")
        return Activity(**{**content, "tail": tuple(content.get("tail", ()))})
    except (StoreError, ValueError, TypeError, AttributeError):
        return None


def read_activities(files: Files, *, strict: bool = False) -> dict[str, Activity]:
    """Return the activities of a folder by id; files that are no activity are passed over.

    Raises:
        StoreError: the folder can't be read, and `strict` asks to be told.
    """
    try:
        names = sorted(name.removesuffix(".json") for name in files.infos(patient=False) if name.endswith(".json"))
    except StoreError:
        if strict:
            raise
        return {}
    found = [read_activity(files, name) for name in names if not name.startswith(".")]
    return {activity.id: activity for activity in found if activity is not None}
