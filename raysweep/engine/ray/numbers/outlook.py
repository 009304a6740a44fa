"""Reports to Ray's metrics how many cells are in which state, and how long the sweep still runs.

The process of the command reads both from the progress files, as its display does.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from raysweep.engine.progress import DONE, FAILED, RUNNING, STOPPED, WAITING, Activity, read_activities, read_work
from raysweep.engine.ray.numbers import meter
from raysweep.engine.time_left import MODEL, STAGES, TimeLeft
from raysweep.periodic import run_periodically
from raysweep.storage.files import Files

CACHED, MAKING = "cached", "making"
CELL_STATES = (CACHED, WAITING, *STAGES, DONE, FAILED, STOPPED)
"""Cached: the store had the cell's results at the start. Waiting: for its turn, a resource or another process."""
INPUT_STATES = (WAITING, MAKING, "training", DONE, FAILED, STOPPED)
LOOK_SECONDS, FAR_SECONDS = 2.0, 10.0
"""Seconds between two looks at the progress files: on a disk, in an object store."""


@contextmanager
def watch_outlook(progress: Files, tasks: Sequence[str], cached_cells: int) -> Iterator[None]:
    """Report once more when the block has ended without an error. `cached_cells`: cells that need no task."""
    left = TimeLeft(tasks, read_work(progress))

    def look() -> None:
        activities = read_activities(progress)
        left.look(activities, time.monotonic())
        states = count_states(activities, tasks, cached_cells)
        for name, counts in states.items():
            for state, number in counts.items():
                meter.report(name, number, state=state)
        meter.report("raysweep_seconds_left", seconds_left(left, states))

    with run_periodically(look, LOOK_SECONDS if progress.local is not None else FAR_SECONDS, "outlook"):
        yield
    look()
    meter.flush()


def count_states(
    activities: Mapping[str, Activity], tasks: Sequence[str], cached_cells: int = 0
) -> dict[str, dict[str, int]]:
    all_activities = [activities.get(name, Activity(name)) for name in tasks]
    cells = Counter(_state(activity, CELL_STATES) for activity in all_activities if MODEL.search(activity.id))
    inputs = Counter(_state(activity, INPUT_STATES) for activity in all_activities if not MODEL.search(activity.id))
    cells[CACHED] = cached_cells
    return {
        "raysweep_cells": {state: cells[state] for state in CELL_STATES},
        "raysweep_inputs": {state: inputs[state] for state in INPUT_STATES},
    }


def seconds_left(left: TimeLeft, states: Mapping[str, Mapping[str, int]]) -> float:
    """Return the seconds left: 0 once everything has ended, NaN while they are unknown."""
    ended = (CACHED, DONE, FAILED, STOPPED)
    if all(state in ended for counts in states.values() for state, number in counts.items() if number):
        return 0.0
    seconds = left.seconds()
    return math.nan if seconds is None else seconds


def _state(activity: Activity, known: Sequence[str]) -> str:
    if activity.state != RUNNING:
        return activity.state
    if activity.waits:
        return WAITING
    return activity.stage if activity.stage in known else next(state for state in known if state in (STAGES[0], MAKING))
