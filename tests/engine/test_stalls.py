"""What a sweep that waits is said to wait for."""

from __future__ import annotations

import pytest

from raysweep.engine.stalls import QUIET_SECONDS, Waits, _amounts
from raysweep.progress import DONE, RUNNING, Activity


def test_a_part_that_waits_is_told_of_once_and_again_after_ten_times_as_long():
    waits = Waits()
    activities = {"a": Activity("a", RUNNING, "training", waits="1 training workers with 1 GPU each")}
    found = {at: waits.look(activities, float(at)) for at in range(0, int(25 * QUIET_SECONDS), 30)}
    told = [at for at, lines in found.items() if lines]
    assert told == [QUIET_SECONDS, 10 * QUIET_SECONDS]
    assert "a has waited 2 min 00 s for 1 training workers with 1 GPU each" in found[int(QUIET_SECONDS)][0]


def test_a_wait_that_ends_and_begins_again_counts_from_its_new_beginning():
    waits = Waits()
    waiting = {"a": Activity("a", RUNNING, waits="a GPU")}
    assert waits.look(waiting, 0) == []
    assert waits.look({"a": Activity("a", RUNNING, "training", updated=1)}, QUIET_SECONDS / 2) == []
    assert waits.look(waiting, QUIET_SECONDS) == []
    assert waits.look(waiting, 2 * QUIET_SECONDS)


def test_a_sweep_of_which_no_part_moves_is_told_of_as_a_whole():
    waits = Waits()
    activities = {"a": Activity("a", DONE, updated=1.0)}
    waits.look(activities, 0)
    [line] = waits.look(activities, QUIET_SECONDS + 1) + waits.look(activities, 2 * QUIET_SECONDS + 2)
    assert line.startswith("the sweep has waited") and "a place for its next part" in line


def test_a_sweep_that_moves_is_left_alone():
    waits = Waits()
    for at in range(0, int(5 * QUIET_SECONDS), 30):
        assert waits.look({"a": Activity("a", RUNNING, "training", updated=float(at))}, float(at)) == []


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"CPU": 1.0, "GPU": 2.0}, "1 CPU, 2 GPU"),
        ({"memory": 3 * 2**30, "node:1.2.3.4": 1.0}, "3.0 GiB"),
        ({}, "nothing"),
    ],
)
def test_amounts_read_well(resources, said):
    assert _amounts(resources) == said
