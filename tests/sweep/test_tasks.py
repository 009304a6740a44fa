"""Which cells can't start because of what they wait for."""

from __future__ import annotations

from raysweep.engine.base import Task
from raysweep.sweep.tasks import _blocked


def task(name: str, *after: str) -> Task:
    return Task(name, lambda stages: {}, after=after)


def test_a_cell_whose_base_cannot_start_is_not_started_either_and_says_why():
    cells = [task("base", "rows"), task("edit", "base"), task("other")]
    assert _blocked(cells, {"rows": "no space"}, set()) == {
        "base": ("not started: rows failed: no space", False),
        "edit": ("not started: base failed: not started: rows failed: no space", False),
    }


def test_a_cell_whose_base_waits_for_what_was_stopped_was_not_tried():
    cells = [task("base", "rows"), task("edit", "base")]
    assert _blocked(cells, {"rows": "stopped"}, {"rows"}) == {
        "base": ("not started: rows was stopped", True),
        "edit": ("not started: base was not started: rows was stopped", True),
    }
