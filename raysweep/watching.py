"""Shows a running sweep: a live table with counts and ETA on a terminal, plain lines in a log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raysweep.errors import StoreError
from raysweep.progress import DONE, FAILED, NOTE, RUNNING, Activity, read_activities
from raysweep.storage.files import PATIENCE
from raysweep.sweep_folder import SweepFolder
from raysweep.terminal import duration

log = logging.getLogger("raysweep")

WEIGHTS = {"making": 0.0, "starting": 0.0, "training": 0.8, "generating": 0.15, "executing": 0.05}
"""Share of a cell's time in each stage, for the ETA; what comes before a stage counts as done."""

FAR_SECONDS = 5
"""Seconds between two looks at a sweep in an object store: each asks for every part's file."""
LINE_SECONDS = 10
"""Seconds between two plain progress lines of one activity."""


@dataclass(frozen=True)
class Overview:
    """Counts of a running sweep. `fraction`: of the work, 0 to 1. `eta`: seconds left; None while unknown."""

    done: int
    failed: int
    total: int
    fraction: float
    eta: float | None


class Watcher:
    """A `raysweep.making.Watch`: polls the sweep's progress files while the engine works, and logs what is new.

    Args:
        console: where to show it (stderr): a live table on a terminal, else lines.
        quiet: show nothing.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._blind = False  # the storage can't be read

    @contextmanager
    def __call__(self, folder: SweepFolder, wanted: Sequence[str]) -> Iterator[None]:
        """Show the progress of the activities `wanted` until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._follow, args=(folder, wanted, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)

    def _follow(self, folder: SweepFolder, wanted: Sequence[str], stop: threading.Event) -> None:
        journal, started = _Journal(wanted), time.time()
        is_live = self._console.is_terminal and not self._quiet
        with Live(console=self._console, refresh_per_second=4, transient=True) if is_live else nullcontext() as live:
            ended = False
            while not ended:
                ended = stop.wait(FAR_SECONDS if folder.progress.local is None else 0.25 if is_live else 0.5)
                activities = self._activities(folder)
                for line in journal.lines(activities):
                    log.debug("%s%s", line.text, line.trace)
                    if not self._quiet and (line.is_note or not is_live):
                        style = "yellow" if line.is_note else ""
                        self._console.print(Text(f"{line.clock} {line.text}", style=style), soft_wrap=True)
                if live is not None:
                    live.update(_picture(activities, wanted, started))

    def _activities(self, folder: SweepFolder) -> dict[str, Activity]:
        """Return what the parts do; say once when the storage can't be read, and once when it can again."""
        try:
            found = read_activities(folder.progress, strict=True)
        except StoreError as error:
            if not self._blind:
                log.warning("%s; the sweep waits for it, for up to %.0f s at a time", error, PATIENCE)
            self._blind = True
            return {}
        if self._blind:
            log.warning("storage %s is there again", folder.store.files)
        self._blind = False
        return found


@dataclass(frozen=True)
class _Line:
    """One line of news."""

    clock: str
    text: str
    is_note: bool = False
    trace: str = ""  # for the log alone


class _Journal:
    """Turns activities into lines: each change, each note, and every ten seconds how far a stage is."""

    def __init__(self, wanted: Sequence[str]) -> None:
        self._wanted = wanted
        self._started = time.time()
        self._told: dict[str, tuple[str, str, str]] = {}
        self._told_at: dict[str, float] = {}
        self._seen: dict[str, str] = {}  # the last line of each tail
        self._traces: dict[str, str] = {}

    def lines(self, activities: dict[str, Activity]) -> Iterator[_Line]:
        """Yield what is new since the last call."""
        for activity in (activities[name] for name in self._wanted if name in activities):
            yield from self._notes(activity)
            news = (activity.state, activity.stage, activity.waits)
            due = activity.state == RUNNING and time.time() - self._told_at.get(activity.id, 0) >= LINE_SECONDS
            if self._told.get(activity.id) != news or due:
                self._told[activity.id], self._told_at[activity.id] = news, time.time()
                counts = overview(activities, self._wanted, self._started)
                yield _Line(time.strftime("%H:%M:%S"), _line(activity, counts), trace=self._trace(activity))

    def _trace(self, activity: Activity) -> str:
        """Return a traceback that was not returned before."""
        if activity.trace == self._traces.get(activity.id, ""):
            return ""
        self._traces[activity.id] = activity.trace
        return f"\n{activity.trace}"

    def _notes(self, activity: Activity) -> Iterator[_Line]:
        tail, seen = activity.tail, self._seen.get(activity.id, "")
        for line in tail[tail.index(seen) + 1 if seen in tail else 0 :]:
            _, clock, text = line.split(" ", 2)
            if text.startswith(NOTE):
                yield _Line(clock, f"{activity.id}: {text.removeprefix(NOTE)}", True, self._trace(activity))
        if tail:
            self._seen[activity.id] = tail[-1]


@contextmanager
def counting(console: Console, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Give a function to tell how many (of `total`) are done: a bar on a terminal, a line every 10 seconds in a log."""
    if console.is_terminal:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)
        return
    told = [time.time()]
    of = "" if total is None else f"/{total:,}"

    def tell(done: int) -> None:
        if time.time() - told[0] >= LINE_SECONDS:
            told[0] = time.time()
            console.print(Text(f"{time.strftime('%H:%M:%S')} {what}: {done:,}{of}"), soft_wrap=True)

    yield tell


def overview(activities: dict[str, Activity], wanted: Sequence[str], started: float) -> Overview:
    """Count what is done, and estimate what is left from the time that the work so far took."""
    found = [activities.get(name, Activity(name)) for name in wanted]
    done = sum(activity.state == DONE for activity in found)
    failed = sum(activity.state == FAILED for activity in found)
    weights = [_weight(activity) for activity in found]
    fraction = sum(w * _fraction(a) for w, a in zip(weights, found, strict=True)) / (sum(weights) or 1)
    elapsed = time.time() - started
    eta = elapsed * (1 - fraction) / fraction if fraction > 0.05 and elapsed > 15 else None
    return Overview(done, failed, len(found), fraction, eta)


def _fraction(activity: Activity) -> float:
    if activity.state in (DONE, FAILED):
        return 1.0
    if activity.state != RUNNING:
        return 0.0
    stages = list(WEIGHTS)
    before = sum(WEIGHTS[stage] for stage in stages[: stages.index(activity.stage)]) if activity.stage in WEIGHTS else 0
    own = WEIGHTS.get(activity.stage, 0)
    return before + own * (activity.done / activity.total if activity.total else 0)


def _weight(activity: Activity) -> float:
    """Shared inputs other than base models take seconds, base models several times a cell, base cells a fraction."""
    if activity.id.startswith(("training-set", "test-set", "pre-training-rows")):
        return 0.05
    if activity.id.startswith("base-model"):
        return 3.0
    return 0.2 if activity.id.endswith(".base") else 1.0


def _picture(activities: dict[str, Activity], wanted: Sequence[str], started: float) -> Group:
    counts = overview(activities, wanted, started)
    head = Text(f"{counts.done} of {counts.total} done", style="bold")
    if counts.failed:
        head.append(f", {counts.failed} failed", style="red")
    head.append(f"   {duration(time.time() - started)} elapsed{_eta(counts)}", style="dim")
    whole = Table.grid()
    whole.add_row(ProgressBar(total=1.0, completed=counts.fraction, width=60))
    parts = Table.grid(padding=(0, 2))
    parts.add_column(no_wrap=True, overflow="ellipsis", max_width=44)
    for name in wanted:
        activity = activities.get(name, Activity(name))
        if activity.state == RUNNING and activity.waits:
            parts.add_row(Text(name), Text("waits", style="yellow"), "", Text(f"for {activity.waits}"))
        elif activity.state == RUNNING:
            bar = ProgressBar(total=max(activity.total, 1), completed=activity.done, width=16)
            parts.add_row(Text(name), Text(activity.stage), bar, Text(_amount(activity)))
        elif activity.state == FAILED:
            parts.add_row(Text(name, style="red"), Text("failed", style="red"), "", Text(activity.error[:60]))
    return Group(head, whole, parts)


def _line(activity: Activity, counts: Overview) -> str:
    start = f"[{counts.done}/{counts.total}] {activity.id}: "
    if activity.state != RUNNING:
        ends = {DONE: "done", FAILED: f"FAILED: {activity.error}"}
        return start + ends.get(activity.state, activity.state)
    if activity.waits:
        return f"{start}waits for {activity.waits}"
    amount = f" {_amount(activity)}" if activity.total else ""
    return f"{start}{activity.stage}{amount}{_eta(counts)}"


def _amount(activity: Activity) -> str:
    if not activity.total:
        return activity.detail
    return f"{activity.done:,}/{activity.total:,}" + (f", {activity.detail}" if activity.detail else "")


def _eta(counts: Overview) -> str:
    return f", about {duration(counts.eta)} left" if counts.eta is not None and counts.eta >= 1 else ""
