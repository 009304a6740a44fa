"""Progress files: one small JSON file for each task of a sweep, which says what the task is doing.

The process that runs a task writes its file; the command line reads them all. This works the same on all engines and
outlives a crash. No result depends on progress files, so a write that fails is skipped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from raysweep.errors import HopelessError, RaysweepError, Stopped, StoreError
from raysweep.storage.files import Files
from raysweep.storage.leases import Holder, holder_from, this_process
from raysweep.units import duration

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"

TRAINING = "training"
NOTE = "! "
"""Marks a line of the tail that is shown to the user at once; it follows the time."""
BEGINS_AGAIN = "begins again"
"""Part of the note on an attempt that is not counted."""
TRACE = 8000
"""Characters of a traceback that an activity keeps."""
TAIL = 40
"""Lines that an activity keeps."""
TOUCH_SECONDS = 30.0
"""Time between two signs of life of a stage that has nothing to report."""
LINE_SECONDS = 10.0
"""Time between two lines about one stage."""
SILENT_SECONDS = TOUCH_SECONDS + LINE_SECONDS
"""An activity that has shown no sign of life for so long is shown with that, and without the time left."""

DIED = "died"
"""Name under which an activity's `process` is kept beside it once that is known to have died."""
END = ".end"
"""The file beside the activities that says how the run of a sweep ended."""
MODEL = re.compile(r"\.(base|s-?\d+)$")
"""Ends the id of a model's task; other tasks make inputs that models share."""
STEADY_SECONDS = 1.0
"""Seconds of a pace before a time left is told from it: the first of many units take long, or come at once."""


@dataclass(frozen=True)
class Activity:
    """The state of one task, and how far its current stage is (`done` of `total` units)."""

    id: str
    state: str = WAITING
    stage: str = ""  # training | generating | executing | making
    done: int = 0
    total: int = 0
    detail: str = ""  # such as "loss 0.61, lr 2.0e-05"
    training: str = ""  # the latest progress of training: "118/118: loss 0.61, lr 2.0e-05"
    waits: str = ""  # the resource or process that it waits for; empty while it works
    attempt: int = 0  # 1: the first attempt
    error: str = ""
    started: float = 0.0  # seconds since the epoch; 0: not yet
    updated: float = 0.0
    trace: str = ""  # the end of the last traceback
    tail: tuple[str, ...] = ()  # the latest events, each with its time
    process: str = ""  # the process of the task, as leases name their holders
    has_died: bool = False  # it has died, and no other one has gone on yet
    waits_since: float = 0.0
    first: int = 0  # how far the stage was when it first had any units: a resumed one has some from before
    began: float = 0.0  # when that was

    @property
    def owner(self) -> Holder:
        """The process that goes on with the task; others that work for it, such as training workers, may write, too."""
        return holder_from(self.process.encode())

    @property
    def amount(self) -> str:
        amount = f" {self.done:,}/{self.total:,}" if self.total else ""
        return f"{self.stage}{amount}" + (f": {self.detail}" if self.detail else "")

    @property
    def seconds_left(self) -> float | None:
        """The seconds left of a running stage at its pace so far; None before a second of it."""
        seconds, gained = self.updated - self.began, self.done - self.first
        if self.state != RUNNING or self.waits or gained <= 0 or seconds < STEADY_SECONDS:
            return None
        return seconds * (self.total - self.done) / gained

    @property
    def wait(self) -> str:
        """What it waits for, and since when: ``2 training workers with 1 GPU on A100 each, since 14:03:22``."""
        form = "%Y-%m-%d %H:%M" if time.time() - self.waits_since > 86_400 else "%H:%M:%S"
        return f"{self.waits}, since {time.strftime(form, time.localtime(self.waits_since))}"

    @property
    def death(self) -> str:
        last = f"a wait for {self.waits}" if self.waits else self.amount
        return f"its process died after: {last}" if self.has_died else ""


class ProgressFile:
    """Writes one activity, at most twice a second (every five seconds into an object store).

    `files`: the folder of progress files. `name`: the activity's id. An earlier process's activity of this name is
    continued. The file names the process that makes this object, which may send it to others that work for it.
    """

    def __init__(self, files: Files, name: str) -> None:
        self.files = files
        self._name = f"{name}.json"
        self._process = json.dumps(dataclasses.asdict(this_process()))
        self._write_seconds = 0.5 if files.local is not None else 5.0
        self._last_write = self._last_line = 0.0
        self.activity = read_activity(files, name) or Activity(name)

    def update(self, stage: str, done: int = 0, total: int = 0, detail: str = "", *, force: bool = False) -> None:
        """A report soon after the last one is not written, unless it begins a stage or `force` is set."""
        now, previous = time.time(), self.activity
        new_stage = stage != previous.stage or previous.state != RUNNING or bool(previous.waits)
        if new_stage:
            previous = self._newest()
        is_first = new_stage or not previous.done
        self.activity = dataclasses.replace(
            previous,
            first=done if is_first else previous.first,
            began=now if is_first else previous.began,
            state=RUNNING,
            stage=stage,
            done=done,
            total=total,
            detail=detail,
            waits="",
            error="",
            started=previous.started or now,
            updated=now,
        )
        if stage == TRAINING and total:
            training = self.activity.amount.removeprefix(f"{TRAINING} ")
            self.activity = dataclasses.replace(self.activity, training=training)
        if new_stage or now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._add_line(self.activity.amount)
        if force or new_stage or now - self._last_write >= self._write_seconds:
            self._write()

    def report_wait(self, resource: str) -> None:
        """Report that the task waits for a resource or a process, until the next update."""
        newest, now = self._newest(), time.time()
        is_new = resource != newest.waits
        since, line = (now, f"waits for {resource}") if is_new else (newest.waits_since, "")
        started = newest.started or now
        self._set(newest, line, state=RUNNING, waits=resource, waits_since=since, started=started, updated=now)

    def end_wait(self) -> None:
        newest = self._newest()
        self.update(newest.stage, newest.done, newest.total, newest.detail, force=True)

    def touch(self) -> None:
        """Report that the task is alive, every half minute at most."""
        if time.time() - self.activity.updated > TOUCH_SECONDS:
            self.end_wait()

    def record_trace(self, trace: str) -> None:
        self._set(self._newest(), trace=trace[-TRACE:])

    def count(self, event: str) -> int:
        """Count an event over all processes that work on the activity, one after another; return its number, from 1."""
        name, number = f"{self.activity.id}.{event}", 1
        with contextlib.suppress(StoreError, ValueError):  # a progress file is news: without it the count starts again
            number = int(self.files.read(name, patient=False) or 0) + 1
            self.files.write(name, str(number), patient=False)
        return number

    def exchange(self, name: str, value: str) -> str:
        """Keep a value beside the activity's file; return the one that was kept before, empty if there was none."""
        before = self.kept(name)
        with contextlib.suppress(StoreError):
            self.files.write(f"{self.activity.id}.{name}", value, patient=False)
        return before

    def kept(self, name: str) -> str:
        return _text_in(self.files, f"{self.activity.id}.{name}")

    def note(self, text: str) -> None:
        """Add a line that is shown to the user at once; other processes of the activity keep it when they report."""
        self._set(self._newest(), f"{NOTE}{text}", updated=time.time())

    def latest(self) -> Activity | None:
        return read_activity(self.files, self.activity.id)

    def begin_attempt(self) -> int:
        """Count an attempt and return its number; attempts of processes that died are included."""
        newest = self._newest()
        self._set(newest, attempt=newest.attempt + 1)
        return self.activity.attempt

    def repeat_attempt(self, reason: str) -> None:
        """Say why the latest attempt begins again, and count it as none."""
        newest = self._newest()
        self.note(f"attempt {newest.attempt} {BEGINS_AGAIN}: {reason}")
        self._set(self.activity, attempt=newest.attempt - 1)

    @contextmanager
    def running(self, stage: str) -> Iterator[ProgressFile]:
        """Mark the activity as running, then as done, failed (with the error's text) or stopped; errors pass through.

        It is stopped by Ctrl-C, by a signal that ends the process, or by raysweep itself; its stage and amount stay as
        they were.
        """
        self.update(stage, force=True)
        try:
            yield self
        except (KeyboardInterrupt, SystemExit, Stopped):
            self.finish(STOPPED)
            raise
        except BaseException as error:
            kind = "" if isinstance(error, RaysweepError) else f"{type(error).__name__}: "
            self.finish(FAILED, f"{kind}{error}")
            raise
        self.finish(DONE)

    def finish(self, state: str, error: str = "") -> None:
        line = f"{state}: {error}" if error else state
        self._set(self._newest(), line, state=state, error=error, waits="", updated=time.time())

    def _set(self, activity: Activity, line: str = "", **changes: Any) -> None:
        self.activity = dataclasses.replace(activity, **changes)
        if line:
            self._add_line(line)
        self._write()

    def _newest(self) -> Activity:
        """Return the latest activity, from this process or the file: a training worker writes the same file."""
        latest = self.latest()
        return latest if latest is not None and latest.updated > self.activity.updated else self.activity

    def _add_line(self, text: str) -> None:
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"
        self.activity = dataclasses.replace(self.activity, tail=(*self.activity.tail, line)[-TAIL:])

    def _write(self) -> None:
        self._last_write = time.time()
        content = dataclasses.asdict(self.activity) | {"process": self._process}
        with contextlib.suppress(StoreError):
            self.files.write(self._name, json.dumps(content), patient=False)


def read_activity(files: Files, name: str) -> Activity | None:
    try:
        content = json.loads(files.read(f"{name}.json", patient=False) or b"")
        return Activity(**{**content, "tail": tuple(content.get("tail", ()))})
    except (StoreError, ValueError, TypeError, AttributeError):
        return None


def silence(seconds: float) -> str:
    """Say that a running activity has shown no sign of life for so long; empty text if that isn't long."""
    return f", no sign of life for {duration(seconds)}" if seconds >= SILENT_SECONDS else ""


def require_ended_well(names: Sequence[str], progress: ProgressFile) -> None:
    """Mark a task as failed or stopped, and raise HopelessError or Stopped, if one that it waits for was."""
    for name in names:
        before = read_activity(progress.files, name)
        if before is not None and before.state == STOPPED:
            progress.finish(STOPPED)
            raise Stopped(f"not started: {name} was stopped")
        if before is not None and before.state == FAILED:
            error = f"not started: {name} failed: {before.error}"
            progress.finish(FAILED, error)
            raise HopelessError(error)


def read_activities(files: Files, *, strict: bool = False) -> dict[str, Activity]:
    """Skip files that are no activity. Raise StoreError if the folder can't be read and `strict` is set."""
    try:
        there = files.infos(patient=False)
    except StoreError:
        if strict:
            raise
        return {}
    names = sorted(name.removesuffix(".json") for name in there if name.endswith(".json") and not name.startswith("."))
    activities = {activity.id: activity for name in names if (activity := read_activity(files, name)) is not None}
    for name, activity in activities.items():
        mark = f"{name}.{DIED}"  # beside the activity, whose own file another process may just be writing
        if mark in there and _text_in(files, mark) == activity.process:
            activities[name] = dataclasses.replace(activity, has_died=True)
    return activities


def write_end(files: Files, text: str) -> None:
    with contextlib.suppress(StoreError):
        files.write(END, text, patient=False)


def read_end(files: Files) -> str:
    """Return how the last run of a sweep ended, such as ``was stopped at 2026-11-30 12:00:00``; empty if unknown."""
    return _text_in(files, END)


def _text_in(files: Files, name: str) -> str:
    with contextlib.suppress(StoreError):
        return (files.read(name, patient=False) or b"").decode()
    return ""
