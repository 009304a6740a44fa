"""The live display of running work: redrawn in place on a terminal, plain lines in a log.

`Display` is the only implementation. `watching` feeds it with a sweep's progress files, whose changes `PlainLog` turns
into lines; `counting` feeds it with a number, and `raysweep status --watch` with a table.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raysweep.cli.views.console import new_console, shortened
from raysweep.engine.progress import (
    DONE,
    FAILED,
    MODEL,
    NOTE,
    RUNNING,
    STEADY_SECONDS,
    Activity,
    read_activities,
    silence,
)
from raysweep.errors import StoreError
from raysweep.storage.files import PATIENCE
from raysweep.sweep.overview.progress import Silence, SweepProgress, progress_of
from raysweep.units import duration

if TYPE_CHECKING:  # slow to import for `raysweep status`
    from raysweep.sweep.folder import SweepFolder
    from raysweep.sweep.tasks import Watch

log = logging.getLogger("raysweep")

FAR_SECONDS = 5
"""Seconds between two looks at a sweep in an object store, where each look reads a file for every cell."""
LINE_SECONDS = 10
"""Seconds between two plain progress lines of one activity."""
_FIRST_SECONDS = 1
"""Seconds before the first plain line of a count, so that short work has none."""
SAME_SECONDS = 60
"""Seconds between two plain progress lines of one activity that reported nothing in between."""


class Display:
    """A picture that is redrawn in place while a block runs, or lines where the console is no terminal.

    `console`: where to show it. `quiet`: show nothing.
    """

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.is_live = console.is_terminal and not quiet
        self._console = console
        self._quiet = quiet
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Display:
        if self.is_live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def picture(self, picture: RenderableType) -> None:
        """Draw a picture in place of the last one; only on a terminal."""
        if self.is_live:
            self._live.update(picture)

    def line(self, text: str, *, is_note: bool = False) -> None:
        """Print a line; on a terminal only a note, above the picture."""
        if not self._quiet and (is_note or not self.is_live):
            self._console.print(Text(text, style="yellow" if is_note else ""), soft_wrap=True)


class PlainLog:
    """Writes a sweep's activities as lines: one for each change and note, and every ten seconds one about each stage.

    Where a stage gets no further, its line is repeated once a minute. Times are of this machine's clock, but for notes
    from before it began. The log file gets the lines too, whole and with tracebacks.

    `wanted`: ids of the activities.
    """

    def __init__(self, wanted: Sequence[str], display: Display) -> None:
        self._wanted, self._display = wanted, display
        self._last_state: dict[str, tuple[str, str, str, bool, bool]] = {}
        self._last_time: dict[str, float] = {}
        self._last_amount: dict[str, tuple[int, int, str]] = {}
        self._seen: dict[str, tuple[str, ...]] = {}  # the tails
        self._has_begun = False
        self._traces: dict[str, str] = {}

    def write(self, activities: dict[str, Activity], counts: SweepProgress) -> None:
        for activity in (activities[name] for name in self._wanted if name in activities):
            self._write_notes(activity)
            is_silent = bool(silence(counts.silent.get(activity.id, 0.0)))
            news = (activity.state, activity.stage, activity.waits, activity.has_died, is_silent)
            amount = (activity.done, activity.total, activity.detail)
            pause = LINE_SECONDS if self._last_amount.get(activity.id) != amount else SAME_SECONDS
            due = activity.state == RUNNING and time.time() - self._last_time.get(activity.id, 0) >= pause
            if self._last_state.get(activity.id) != news or due:
                self._last_state[activity.id], self._last_time[activity.id] = news, time.time()
                self._last_amount[activity.id] = amount
                text = _line(activity, counts)
                log.debug("%s%s", text, self._trace(activity))
                self._display.line(shortened(f"{time.strftime('%H:%M:%S')} {text}"))
        self._has_begun = True

    def _write_notes(self, activity: Activity) -> None:
        tail, seen = activity.tail, self._seen.get(activity.id, ())
        known = next(count for count in range(len(seen), -1, -1) if tail[:count] == seen[len(seen) - count :])
        for line in tail[known:]:  # lines of one second may be equal
            _, clock, note = line.split(" ", 2)
            if note.startswith(NOTE):
                text = f"{activity.id}: {note.removeprefix(NOTE)}"
                log.debug("%s%s", text, self._trace(activity))
                when = time.strftime("%H:%M:%S") if self._has_begun else clock
                self._display.line(shortened(f"{when} {text}"), is_note=True)
        self._seen[activity.id] = tail

    def _trace(self, activity: Activity) -> str:
        if activity.trace == self._traces.get(activity.id, ""):
            return ""
        self._traces[activity.id] = activity.trace
        return f"\n{activity.trace}"


def watching(console: Console, quiet: bool = False) -> Watch:
    """Return what shows progress files on `console`: a live table on a terminal, else lines; `quiet`: nothing."""

    @contextmanager
    def watch(folder: SweepFolder, wanted: Sequence[str], cached_cells: int) -> Iterator[None]:
        stop = threading.Event()
        follow = partial(_follow, Display(console, quiet), folder, wanted, cached_cells, stop)
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=5)

    return watch


def _follow(
    display: Display, folder: SweepFolder, wanted: Sequence[str], cached_cells: int, stop: threading.Event
) -> None:
    lines, started = PlainLog(wanted, display), time.time()
    silence_of, is_readable, has_ended = Silence(), True, False
    with display:
        pause = FAR_SECONDS if folder.progress.local is None else 0.25 if display.is_live else 0.5
        while not has_ended:
            has_ended = stop.wait(pause)
            activities, is_readable = _read(folder, is_readable)
            silent = silence_of.look(activities, time.monotonic())
            counts = progress_of(activities, wanted, time.time(), cached_cells=cached_cells, silent=silent)
            lines.write(activities, counts)
            display.picture(_picture(activities, wanted, started, counts))


def _read(folder: SweepFolder, was_readable: bool) -> tuple[dict[str, Activity], bool]:
    try:
        activities = read_activities(folder.progress, strict=True)
    except StoreError as error:
        if was_readable:
            log.warning("%s; the sweep waits for it, for up to %.0f s at a time", error, PATIENCE)
        return {}, False
    if not was_readable:
        log.warning("storage %s can be read again", folder.store.files)
    return activities, True


@contextmanager
def counting(what: str, total: int | None = None, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Give a function that takes how many (of `total`) are done: a bar on a terminal, lines in a log.

    `console`: None: of stderr.
    """
    bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    task = bar.add_task(what, total=total)
    last, of = time.time() - LINE_SECONDS + _FIRST_SECONDS, "" if total is None else f"/{total:,}"
    columns, began = bar.columns, math.inf

    def tell(done: int) -> None:
        nonlocal last, began
        bar.update(task, completed=done)
        began = min(began, time.monotonic()) if done else began
        if bar.columns == columns and time.monotonic() >= began + STEADY_SECONDS:
            bar.columns = (*columns, TimeRemainingColumn())
        if time.time() - last >= LINE_SECONDS:
            last = time.time()
            display.line(f"{time.strftime('%H:%M:%S')} {what}: {done:,}{of}")

    with Display(console or new_console(stderr=True)) as display:
        display.picture(bar)
        yield tell


def _picture(activities: dict[str, Activity], wanted: Sequence[str], started: float, counts: SweepProgress) -> Group:
    head = Text(counts.words, style="bold")
    if counts.failed:
        head.append(f", {counts.failed} failed", style="red")
    head.append(f"   {duration(time.time() - started)} elapsed", style="dim")
    whole = Table.grid()
    whole.add_row(ProgressBar(total=1.0, completed=counts.share, width=60))
    parts = Table.grid(padding=(0, 2))
    parts.add_column(no_wrap=True, overflow="ellipsis", max_width=44)
    for name in wanted:
        activity = activities.get(name, Activity(name))
        if activity.state == RUNNING and activity.has_died:
            parts.add_row(Text(name), Text("died", style="yellow"), "", Text(activity.death))
        elif activity.state == RUNNING and activity.waits:
            parts.add_row(Text(name), Text("waits", style="yellow"), "", Text(f"for {activity.wait}"))
        elif activity.state == RUNNING:
            bar = ProgressBar(total=max(activity.total, 1), completed=activity.done, width=16)
            news = silence(counts.silent.get(name, 0.0)) or _stage_left(activity)
            parts.add_row(Text(name), Text(activity.stage), bar, Text(_amount(activity) + news))
        elif activity.state == FAILED:
            parts.add_row(Text(name, style="red"), Text("failed", style="red"), "", Text(activity.error[:60]))
    return Group(head, whole, parts)


def _line(activity: Activity, counts: SweepProgress) -> str:
    (done, total), what = (counts.models, "models") if MODEL.search(activity.id) else (counts.inputs, "inputs")
    start = f"[{done}/{total} {what}] {activity.id}: "
    if activity.state != RUNNING:
        ends = {DONE: "done", FAILED: f"FAILED: {activity.error}"}
        return start + ends.get(activity.state, activity.state)
    if activity.has_died:
        return f"{start}{activity.death}"
    if activity.waits:
        return f"{start}waits for {activity.wait}"
    amount = f" {_amount(activity)}" if activity.total else ""
    news = silence(counts.silent.get(activity.id, 0.0)) or counts.time_left or _stage_left(activity)
    return f"{start}{activity.stage}{amount}{news}"


def _stage_left(activity: Activity) -> str:
    seconds = activity.seconds_left or 0.0
    return f", about {duration(seconds)} left of this stage" if seconds >= 1 else ""


def _amount(activity: Activity) -> str:
    if not activity.total:
        return activity.detail
    return f"{activity.done:,}/{activity.total:,}" + (f", {activity.detail}" if activity.detail else "")
