"""Shows a running sweep: a live table with counts and ETA on a terminal, plain lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raysweep.plans import SweepPlan
from raysweep.progress import DONE, FAILED, NOTE, RUNNING, Activity, read_activities
from raysweep.sweep_folder import SweepFolder
from raysweep.terminal import duration

WEIGHTS = {"making": 0.0, "starting": 0.0, "training": 0.8, "generating": 0.15, "executing": 0.05}
"""Share of a cell's time in each stage, for the ETA; what comes before a stage counts as done."""

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
    """A `raysweep.sweep.Watch`: polls the sweep's progress files while the engine works.

    Args:
        console: where to write (stderr).
        quiet: show nothing.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet

    @contextmanager
    def __call__(self, folder: SweepFolder, plan: SweepPlan, wanted: Sequence[str]) -> Iterator[None]:
        """Show the progress of the activities `wanted` until the block ends."""
        if self._quiet:
            yield
            return
        stop = threading.Event()
        show = self._live if self._console.is_terminal else self._lines
        thread = threading.Thread(target=show, args=(folder, wanted, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)

    def _live(self, folder: SweepFolder, wanted: Sequence[str], stop: threading.Event) -> None:
        started, notes = time.time(), _Notes()
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            while not stop.wait(0.25):
                activities = read_activities(folder.progress)
                for note in notes.new(activities, wanted):
                    live.console.print(Text(note, style="yellow"), soft_wrap=True)
                live.update(_picture(activities, wanted, started))

    def _lines(self, folder: SweepFolder, wanted: Sequence[str], stop: threading.Event) -> None:
        started, notes = time.time(), _Notes()
        told: dict[str, tuple[str, str, str]] = {}
        told_at: dict[str, float] = {}
        while True:
            ended = stop.wait(0.5)
            activities = read_activities(folder.progress)
            for note in notes.new(activities, wanted):
                self._console.print(Text(note), soft_wrap=True)
            for name in wanted:
                activity = activities.get(name)
                if activity is None:
                    continue
                news = (activity.state, activity.stage, activity.waits)
                due = activity.state == RUNNING and time.time() - told_at.get(name, 0) >= LINE_SECONDS
                if told.get(name) != news or due:
                    told[name], told_at[name] = news, time.time()
                    counts = overview(activities, wanted, started)
                    self._console.print(Text(_line(activity, counts)), soft_wrap=True)
            if ended:
                return


class _Notes:
    """The notes of activities that were not shown yet."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def new(self, activities: dict[str, Activity], wanted: Sequence[str]) -> Iterator[str]:
        """Yield a line for each note since the last call."""
        for name in wanted:
            tail = activities[name].tail if name in activities else ()
            seen = self._seen.get(name, "")
            for line in tail[tail.index(seen) + 1 if seen in tail else 0 :]:
                _, clock, text = line.split(" ", 2)
                if text.startswith(NOTE):
                    yield f"{clock} {name}: {text.removeprefix(NOTE)}"
            if tail:
                self._seen[name] = tail[-1]


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function to tell how many of `total` are done: a bar on a terminal, a line every 10 seconds in a log."""
    if console.is_terminal:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)
        return
    told = [time.time()]

    def tell(done: int) -> None:
        if time.time() - told[0] >= LINE_SECONDS:
            told[0] = time.time()
            console.print(Text(f"{time.strftime('%H:%M:%S')} {what}: {done:,}/{total:,}"), soft_wrap=True)

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
    clock = time.strftime("%H:%M:%S")
    start = f"{clock} [{counts.done}/{counts.total}] {activity.id}: "
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
