"""Counts of cells by model and recipe, and errors that several cells share."""

from __future__ import annotations

from raysweep.engine.progress import DONE, FAILED
from raysweep.sweep.overview.status import CellStatus, by_error, group_states


def cell(name: str, group: str, state: str, done: int) -> CellStatus:
    return CellStatus(name, state, "", "", done, 3, "", "", group=group)


def test_the_cells_of_a_model_and_recipe_are_counted_by_state():
    cells = [cell("a", "m, full", DONE, 3), cell("b", "n, full", DONE, 3), cell("c", "m, full", FAILED, 1)]
    first, second = group_states(cells)
    assert (first.name, first.cells, first.states) == ("m, full", 2, {DONE: 1, FAILED: 1})
    assert (first.done, first.pairs) == (4, 6)
    assert (second.name, second.cells) == ("n, full", 1)


def test_an_error_of_several_cells_is_one_and_a_cell_that_never_began_names_the_task_that_failed():
    errors = {"set": "disk full", "a": "a: no memory", "b": "no memory", "c": "not started: set failed: disk full"}
    assert by_error(errors) == {"disk full": ["set"], "no memory": ["a", "b"], "not started: set failed": ["c"]}
