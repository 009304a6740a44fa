"""The numbers of cells and inputs by state, and the time left, as metrics have them."""

from __future__ import annotations

import math

from raysweep.engine.progress import DONE, FAILED, RUNNING, STOPPED, Activity
from raysweep.engine.ray.numbers.outlook import count_states, seconds_left
from raysweep.engine.time_left import TimeLeft

CELLS = ("m.base", "m.full.C1.s1", "m.full.C2.s1", "m.full.C3.s1")
TASKS = ("base-model-m-0123abcd", "test-set-x-0123abcd", *CELLS)


def counted(*activities: Activity, cached: int = 0) -> dict[str, dict[str, int]]:
    """Return the numbers that are not 0."""
    states = count_states({activity.id: activity for activity in activities}, TASKS, cached)
    return {name: {state: number for state, number in counts.items() if number} for name, counts in states.items()}


def test_a_task_without_a_progress_file_waits_and_cells_without_a_task_are_cached() -> None:
    assert counted(cached=3) == {"raysweep_cells": {"waiting": 4, "cached": 3}, "raysweep_inputs": {"waiting": 2}}


def test_a_running_cell_is_in_its_stage_unless_it_waits() -> None:
    found = counted(
        Activity(CELLS[0], RUNNING, "executing"),
        Activity(CELLS[1], RUNNING, "training", waits="a GPU"),
        Activity(CELLS[2], RUNNING, "starting"),
        Activity(CELLS[3], STOPPED, "training"),
        Activity(TASKS[0], RUNNING, "training"),
        Activity(TASKS[1], RUNNING, "executing"),  # the reference solutions of a problem set
    )
    assert found == {
        "raysweep_cells": {"executing": 1, "waiting": 1, "starting": 1, "stopped": 1},
        "raysweep_inputs": {"training": 1, "making": 1},
    }


def test_every_state_has_a_number_so_that_no_series_ends_while_the_sweep_runs() -> None:
    first, last = count_states({}, TASKS), count_states({name: Activity(name, DONE) for name in TASKS}, TASKS)
    assert {name: counts.keys() for name, counts in first.items()} == {name: c.keys() for name, c in last.items()}


def test_nothing_is_left_once_all_has_ended_and_nothing_is_known_at_the_start() -> None:
    left = TimeLeft(TASKS)
    assert math.isnan(seconds_left(left, count_states({}, TASKS)))
    ended = {name: Activity(name, FAILED if name == CELLS[0] else DONE) for name in TASKS}
    assert seconds_left(left, count_states(ended, TASKS)) == 0
