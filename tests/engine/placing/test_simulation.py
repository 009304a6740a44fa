"""A sweep that is played: cells end when their stages' hours are over, and never hold more than there is."""

from __future__ import annotations

import random
from dataclasses import replace

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.simulation import StageToPlay, play
from raysweep.planning.predictions.needs import CellNeeds, Needs

A100, V100 = ({ACCELERATOR_LABEL: name} for name in ("A100", "V100"))
HEAD = {"head": NodeFacts({"CPU": 64.0})}


def node(gpus: float, labels: dict[str, str]) -> NodeFacts:
    return NodeFacts({"CPU": 64.0, "GPU": gpus}, labels)


def cell(name: str, labels: dict[str, str], training: float, generation: float, workers: int = 1):
    """Return a cell whose stages take so many hours on any type."""
    needs = Needs(1, 1, labels=labels)
    hours = [{"A100": length, "V100": 2 * length} for length in (training, generation)]
    stages = [StageToPlay(needs, workers, hours[0]), StageToPlay(needs, 1, hours[1])]
    both = {kind: sum(each[kind] for each in hours) for kind in hours[0]}
    return CellToPlace(name, CellNeeds(needs, needs, Needs(), workers, in_trial=False), both), stages


def played(cells, nodes):
    return play([one for one, _ in cells], {one.id: stages for one, stages in cells}, {**HEAD, **nodes}, {})


def test_stages_follow_each_other_and_free_what_they_held():
    found = played([cell("two", A100, 2, 1, workers=2), cell("one", A100, 1, 1)], {"n": node(2, A100)})
    assert found.ends["two"] == 3, "its two workers go first"
    assert found.ends["one"] == 4 and found.makespan == 4, "it trains on the accelerator that generation leaves free"
    assert found.gpu_hours == {"two": 5, "one": 2} and set(found.pools.values()) == {"A100"}


def test_each_type_has_its_own_speed():
    found = played([cell("fast", A100, 1, 1), cell("slow", V100, 1, 1)], {"a": node(1, A100), "v": node(1, V100)})
    assert found.ends == {"fast": 2, "slow": 4} and found.pools == {"fast": "A100", "slow": "V100"}


def test_a_grid_ends_near_the_shortest_time_possible():
    rng = random.Random(0)
    lengths = [(rng.choice((A100, V100)), rng.uniform(0.5, 4), rng.uniform(0.1, 1)) for _ in range(200)]
    cells = [cell(f"{n}", *one) for n, one in enumerate(lengths)]
    found = played(cells, {"a": node(8, A100), "v": node(12, V100)})
    work = {
        pool: sum(h for name, h in found.gpu_hours.items() if found.pools[name] == pool) for pool in ("A100", "V100")
    }
    shortest = max(work["A100"] / 8, work["V100"] / 12)
    assert shortest <= found.makespan <= 1.1 * shortest and len(found.ends) == 200


def test_a_trial_that_writes_with_what_it_trained_on_keeps_it_to_its_end():
    needs = Needs(1, 1, labels=A100)
    cells = []
    for number in range(2):
        stages = [StageToPlay(needs, 1, {"A100": 1}), StageToPlay(needs, 1, {"A100": 4}, keeps=True)]
        one = CellToPlace(f"{number}", CellNeeds(needs, needs, Needs(), 1, in_trial=True), {"A100": 5})
        cells.append((one, stages))
    found = played(cells, {"n": node(1, A100)})
    assert found.ends == {"0": 5, "1": 10} and sum(found.gpu_hours.values()) == 10


def test_an_edit_begins_when_its_bases_cell_has_ended_on_a_cluster_with_room():
    (edit, stages), base = cell("edit", A100, 0, 3), cell("base", A100, 1, 1)
    waits = replace(edit, after=("base",))
    found = played([(waits, stages), base], {"n": node(2, A100)})
    assert found.ends == {"base": 2, "edit": 5} and found.makespan == 5
