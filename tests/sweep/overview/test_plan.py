"""Sums over the cells of a plan."""

from __future__ import annotations

from raysweep.cli.views.plan import hour_sums
from raysweep.planning.predictions.costs import CellCost
from raysweep.sweep.overview.plan import CellFacts, cell_groups


def cell(name, base, recipe, model, *, missing=True, **takes):
    of = (name, base, recipe, 4, model, 0 if missing else 4, missing)
    return CellFacts(*of, CellCost(**takes))


CELLS = [
    cell("a.base", "a", "none", "base", missing=False, disk_bytes=1, hours={"H100": 0.5}),
    cell("b.full.s1", "b", "full", "to train", disk_bytes=10, hours={"H100": 2.0, "A40": 5.0}, checkpoint_bytes=7),
    cell("a.full.s1", "a", "full", "dropped", missing=False, peak_memory_bytes=3, disk_bytes=10),
    cell("a.full.s2", "a", "full", "to train again", peak_memory_bytes=5, disk_bytes=20, hours={"A40": 1.0}),
]


def test_the_recipes_of_a_model_follow_it_and_hours_are_summed_by_accelerator():
    groups = cell_groups(CELLS)
    assert [*groups] == [("a", ""), ("a", "full"), ("b", "full")]
    assert [hour_sums(cells) for cells in groups.values()] == [{"H100": 0.5}, {"A40": 1.0}, {"H100": 2.0, "A40": 5.0}]
    assert hour_sums(CELLS) == {"H100": 2.5, "A40": 6.0}
