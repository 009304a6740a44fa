"""Sums over the cells of a plan."""

from __future__ import annotations

from dataclasses import replace

from raysweep.planning.predictions.costs import CellCost
from raysweep.sweep.overview.plan import CellFacts, hour_sums, recipe_sums, work_sums


def cell(name, base, recipe, model, *, missing=True, **takes):
    of = (name, base, recipe, 4, model, 0 if missing else 4, missing)
    return CellFacts(*of, CellCost(**takes))


CELLS = [
    cell("a.base", "a", "", "base", missing=False, disk_bytes=1, hours={"H100": 0.5}),
    cell("b.full.s1", "b", "full", "to train", disk_bytes=10, hours={"H100": 2.0, "A40": 5.0}, checkpoint_bytes=7),
    cell("a.full.s1", "a", "full", "dropped", missing=False, peak_memory_bytes=3, disk_bytes=10),
    cell("a.full.s2", "a", "full", "to train again", peak_memory_bytes=5, disk_bytes=20, hours={"A40": 1.0}),
]


def test_the_recipes_of_a_model_follow_it_and_memory_is_the_largest_while_disk_and_hours_add_up():
    base, full, other = recipe_sums(CELLS)
    assert [(sums.base_model, sums.recipe) for sums in (base, full, other)] == [("a", ""), ("a", "full"), ("b", "full")]
    assert (base.tuned, base.pairs_done, base.pairs, base.peak_memory_bytes) == (0, 4, 4, 0)
    assert (full.cells, full.tuned, full.trained, full.pairs_done, full.pairs) == (2, 2, 1, 4, 8)
    assert (full.peak_memory_bytes, full.disk_bytes, full.hours) == (5, 30, {"A40": 1.0})


def test_accelerators_that_can_not_hold_one_of_the_cells_are_named():
    for small in ((), ("L4",), ("L4", "A10G")):
        one, other = (cell(f"a.full.s{seed}", "a", "full", "to train") for seed in (1, 2))
        (sums,) = recipe_sums([replace(one, too_small=small), other])
        assert sums.too_small == small


def test_hours_are_summed_by_accelerator_and_what_is_to_do_leaves_finished_cells_out():
    assert hour_sums(CELLS) == {"H100": 2.5, "A40": 6.0}
    work = work_sums(CELLS)
    assert (work.cells, work.retrained, work.disk_bytes, work.checkpoint_bytes) == (2, 1, 30, 7)
    assert work_sums([]).checkpoint_bytes == 0
