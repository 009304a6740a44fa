"""The order in which cells start and get resources, played without Ray."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.cells import ANY, CPUS, UNLABELLED, CellToPlace
from raysweep.engine.placing.fits import IdleNodes
from raysweep.engine.placing.groups import pools_of_groups, warn_of_absent
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.places import Places
from raysweep.engine.ray.cluster.cluster import placements
from raysweep.engine.ray.cluster.nodes import driver_labels
from raysweep.errors import UsageError
from raysweep.planning.predictions.needs import CellNeeds, Needs, matches_one

ONE = Needs(1, 1)


def node(pool: str, gpus: int = 0, cpus: int = 16) -> NodeFacts:
    return NodeFacts({"CPU": cpus, "GPU": gpus}, {ACCELERATOR_LABEL: pool} if pool else {})


def cell(name: str, pool: str = "", hours: float = 1, gpus: float = 1, workers: int = 1) -> CellToPlace:
    """A cell that trains and generates on accelerators of one type; with 0 GPUs, one in its trial's process."""
    labels = {ACCELERATOR_LABEL: pool} if pool else {}
    needs = Needs(1, gpus, labels=labels)
    return CellToPlace(name, CellNeeds(needs, needs, Needs(), workers, in_trial=not gpus), {pool or "A100": hours})


def in_zone(name: str, zone: str, hours: float) -> CellToPlace:
    """A cell on accelerators of any type, of nodes in one zone."""
    needs = Needs(1, 1, labels={"zone": zone})
    return CellToPlace(name, CellNeeds(needs, needs, Needs(), 1, in_trial=False), {"A100": hours})


def on_cpus(name: str, cpus: int, hours: float) -> CellToPlace:
    return CellToPlace(name, CellNeeds(Needs(cpus), Needs(cpus), Needs(), 1, in_trial=True), {"cpu": hours})


def places(nodes: Iterable[NodeFacts], *cells: CellToPlace, may_grow: bool = False) -> Places:
    found = Places(cells, may_grow=may_grow)
    found.set_nodes({f"{number}": each for number, each in enumerate(nodes)})
    return found


def started(found: Places) -> list[str]:
    """Start cells until none should."""
    names = []
    while (turn := found.next_cell()) is not None:
        names.append(turn[0])
    return names


def chosen_pools(
    cells: Iterable[CellToPlace], nodes: Mapping[str, NodeFacts], bound: Mapping[str, str] = {}, **options: Any
) -> dict[str, str]:
    return pools_of_groups(cells, IdleNodes(nodes, **options), bound)


def test_as_many_cells_start_as_places_are_free_and_one_more_for_each_pool():
    cells = [cell(f"{pool}{n}", pool) for pool in ("A100", "V100") for n in range(10)]
    found = places([node("A100", 2), node("V100", 3), node("")], *cells)
    assert len(started(found)) == (2 + 1) + (3 + 1)
    for name in ("A1000", "A1001"):
        found.request(name, name, cells[9].needs.training)
    assert len(found.grant()) == 2 and started(found) == [], "the third of the pool waits already"
    found.request("A1002", "A1002", cells[9].needs.training)
    assert found.grant() == ["A1002"] and not found.is_placed("A1002"), "it waits in Ray, where an autoscaler sees it"
    found.release("A1000")
    found.executing("A1000")
    assert found.grant() == [] and found.is_placed("A1002")
    assert len(started(found)) == 1, "a cell that only executes holds no place"


def test_the_longest_comes_first_and_nobody_passes_one_that_waits():
    cells = [cell(f"c{hours}", "A100", hours, gpus=2 if hours == 3 else 1) for hours in (1, 3, 2)]
    found = places([node("A100", 2), node("A100", 1)], *cells)
    assert started(found) == ["c3", "c2", "c1"]
    found.request("c2", "c2", ONE)
    assert found.grant() == ["c2"], "on the fullest node that has room, so that two remain together"
    found.request("host of c1", "c1", ONE)
    found.request("c3", "c3", Needs(1, 2))
    assert found.grant() == ["c3", "host of c1"] and found.next_in_line() == {"A100": "host of c1"}
    found.request("again", "c3", Needs(1, 2))
    found.release("c2")
    assert found.grant() == ["again"] and found.is_placed("host of c1") and not found.is_placed("again")
    found.request("later", "c2", ONE)
    found.release("host of c1")
    assert found.grant() == [] and found.next_in_line() == {"A100": "again"}, "one GPU is kept for who comes next"


def test_a_cell_starts_once_those_that_it_waits_for_have_ended_and_these_come_first():
    edits = [replace(cell(f"edit{n}", "A100", hours=9), after=("base",)) for n in range(3)]
    found = places([node("A100", 1)], cell("long", "A100", hours=5), *edits, cell("base", "A100", hours=1))
    assert started(found) == ["base", "long"], "whatever the order of hours"
    found.executing("base")
    assert started(found) == [], "it has not ended"
    found.end("base")
    assert started(found) == ["edit0"]
    found.end("long")
    assert started(found) == ["edit1"]


def test_a_cell_that_waits_for_another_one_is_known_after_a_restart():
    cells = [cell("base", "A100"), replace(cell("edit", "A100"), after=("base",))]
    again = places([node("A100", 2)], *cells)
    again.restart({"base": "A100"}, [])
    assert started(again) == []
    again = places([node("A100", 2)], *cells)
    again.restart({"base": "A100"}, ["base"])
    assert started(again) == ["edit"]


def test_two_cells_share_an_accelerator_and_workers_are_placed_together_or_not_at_all():
    found = places([node("A100", 1)], *(cell(f"{n}", "A100", gpus=0.4) for n in range(9)))
    assert len(started(found)) == 3
    found = places([node("A100", 1), node("A100", 1)], cell("c1", "A100", hours=2), cell("c2", "A100", workers=2))
    assert started(found) == ["c1", "c2"]
    found.request("first", "c1", ONE)
    found.request("pair", "c2", ONE, number=2)
    assert found.grant() == ["first", "pair"] and not found.is_placed("pair")
    found.release("first")
    assert found.grant() == [] and found.is_placed("pair")


def test_cells_in_their_trial_hold_its_resources_to_the_end():
    found = places([node("", cpus=2)], *(cell(f"{n}", gpus=0) for n in range(5)))
    assert started(found) == ["0", "1", "2"], "in the grid's order where hours are equal"
    found.end("0")
    assert started(found) == ["3"]


def test_nodes_come_and_go():
    found = places([node("A100", 1)], *(cell(f"{n}", "A100") for n in range(9)))
    assert started(found) == ["0", "1"]
    found.set_nodes({"0": node("A100", 1), "1": node("A100", 4)})
    assert len(started(found)) == 4
    found.request("0", "0", ONE)
    assert found.grant() == ["0"]
    found.set_nodes({"2": node("A100", 1)})
    assert found.is_placed("0"), "until its process notices"
    found.request("1", "1", ONE)
    assert found.grant() == ["1"] and found.is_placed("1")
    found.release("0")
    found.request("2", "2", ONE)
    assert found.grant() == ["2"] and not found.is_placed("2")


def test_a_pool_without_nodes_starts_one_cell_and_leaves_it_to_an_autoscaler():
    found = places([node("")], *(cell(f"{n}", "H100") for n in range(3)), may_grow=True)
    assert started(found) == ["0"]
    found.request("0", "0", Needs(1, 1, labels={ACCELERATOR_LABEL: "H100"}))
    assert found.grant() == ["0"] and started(found) == []
    found.set_nodes({"new": node("H100", 2)})
    found.grant()
    assert found.is_placed("0") and started(found) == ["1", "2"]


def test_cells_that_ran_before_the_keeper_died_are_not_started_again():
    found = places([node("A100", 1)], *(cell(f"{n}", "A100") for n in range(4)))
    found.restart({"3": "A100", "2": "A100"}, ended=["3"])
    assert found.started == 2 and started(found) == ["0"], "2 may have the accelerator, and one waits for it"


def test_cells_in_their_trials_keep_their_places_though_the_keeper_died():
    found = places([node("", cpus=2)], *(cell(f"{n}", gpus=0) for n in range(9)))
    before = started(found)
    after = places([node("", cpus=2)], *(cell(f"{n}", gpus=0) for n in range(9)))
    after.restart(dict.fromkeys(before, CPUS), ended=[])
    after.grant()
    assert len(before) == 3 and started(after) == []


@pytest.mark.parametrize(("share", "fit"), [(0.05, 20), (0.1, 10), (0.2, 5), (0.25, 4), (0.35, 2), (0.5, 2), (0.6, 1)])
def test_as_many_shares_fit_on_an_accelerator_as_ray_puts_there(share, fit):
    found = places([node("A100", 1, cpus=64)], *(cell(f"{n}", "A100", gpus=share) for n in range(30)))
    assert found.room.idle.capacity(Needs(1, share), 1, "A100") == fit


def test_executing_cells_are_bounded_by_the_cpus_that_execute():
    found = places([node("A100", 1), node("", cpus=2)], *(cell(f"{n}", "A100") for n in range(99)))
    running = 0
    while found.next_cell() is not None:
        pass
    for number in reversed(range(99)):
        name = f"{number}"
        if name in found._pool_of:
            found.executing(name)
            running += 1
            started(found)
    assert running <= 16 + 2 + 1 + 2


@pytest.mark.parametrize("seed", range(3))
def test_the_studys_204_cells_never_have_more_drivers_than_places_and_one_for_each_pool(seed):
    """A driver is a started cell that has not ended: of a sweep whose head has 16 CPUs, in random order of events."""
    rng = random.Random(seed)
    pools = {"A100": 3, "A6000": 1, "V100": 1}
    found = places([node(""), *(node(pool, gpus) for pool, gpus in pools.items())], *(
        cell(f"{n}", rng.choice(list(pools)), rng.uniform(1, 9)) for n in range(204)
    ))  # fmt: skip
    alive: dict[str, str] = {}  # what each driver does
    most = dict.fromkeys(("at work", "executing"), 0)
    ended = 0
    while ended < 204:
        alive |= dict.fromkeys(started(found), "starting")
        for name in [name for name, state in alive.items() if state == "starting"]:
            found.request(name, name, found._cells[name].needs.training)
            alive[name] = "training"
        found.grant()
        executing = sum(state == "executing" for state in alive.values())
        most = {"at work": max(most["at work"], len(alive) - executing), "executing": max(most["executing"], executing)}
        name = rng.choice([n for n, state in alive.items() if state == "executing" or found.is_placed(n)])
        if alive[name] == "training":
            found.release(name)
            found.executing(name)
            alive[name] = "executing"
        elif rng.random() < 0.1:  # programs take long
            found.end(name)
            del alive[name]
            ended += 1
    cpus = 4 * 16
    assert most["at work"] <= sum(pools.values()) + len(pools) and most["executing"] <= cpus + 1 + most["at work"]


@pytest.mark.parametrize("seed", range(5))
def test_the_makespan_is_within_a_tenth_of_the_bound(seed):
    rng = random.Random(seed)
    pools = {"A100": rng.randint(2, 8), "V100": rng.randint(2, 8), "A6000": rng.randint(2, 8)}
    hours = {
        f"{n}": (rng.choice(list(pools)), rng.choice((0.5, 1, 1.2, 3)) * rng.uniform(0.9, 1.1)) for n in range(198)
    }
    cells = [cell(name, pool, length) for name, (pool, length) in hours.items()]
    found = places([*(node(pool, number) for pool, number in pools.items()), node("", cpus=64)], *cells)
    lengths = {pool: [length for where, length in hours.values() if where == pool] for pool in pools}
    bound = max(max(sum(all_of) / pools[pool], max(all_of)) for pool, all_of in lengths.items())
    assert played(found, {name: length for name, (_, length) in hours.items()}) <= 1.1 * bound


def played(found: Places, hours: dict[str, float]) -> float:
    """Let cells train for their hours on one accelerator each; return the time at which the last one ends."""
    now, running, by_name, began = 0.0, [], dict(found._cells), set()
    while True:
        for name in started(found):
            found.request(name, name, by_name[name].needs.training)
        found.grant()
        for name in [name for name, place in found._places.items() if place.nodes and name not in began]:
            began.add(name)
            heapq.heappush(running, (now + hours[name], name))
        if found.next_cell() is None and not running:
            return now
        now, name = heapq.heappop(running)
        found.end(name)


def test_a_group_runs_in_one_pool_the_one_where_work_ends_first():
    nodes = {"0": node("A100", 4), "1": node("A6000", 2), "2": node("")}
    either = "in(A100,A6000)"
    cells = [grouped("large", either, 10.0), grouped("small", either, 3.0), grouped("other", "A6000", 1.0)]
    cells += [grouped("large", either, 10.0, number=1), grouped("bound", either, 1.0)]
    chosen = chosen_pools(cells, nodes, {"bound": "A6000"})
    assert chosen == {"large": "A100", "small": "A6000", "other": "A6000", "bound": "A6000"}
    found = Places(cells, chosen)
    found.set_nodes(nodes)
    turns = {}
    while (turn := found.next_cell()) is not None:
        turns[turn[0]] = turn[1]
    assert turns.keys() == {cell.id for cell in cells}
    assert all(pool == chosen[name.partition("-")[0]] for name, pool in turns.items())


def test_a_group_whose_accelerator_is_to_come_waits_for_it():
    cells = [grouped("g", "in(H100-80G,A10G)", 1.0), grouped("unlabelled", "", 1.0)]
    nodes = {"0": node("A100", 1)}
    chosen = chosen_pools(cells, nodes, may_grow=True)
    assert chosen == {"g": "H100-80G", "unlabelled": "A100"}, "a label is taken as it is written, with its type's hours"
    with pytest.raises(
        UsageError,
        match=r"group 'g' \(g-0\) run on one type .* no type can hold them all .*has: A100, which doesn't match in\(",
    ):
        chosen_pools(cells, nodes)


@pytest.mark.parametrize(
    ("other", "may_grow", "told"),
    [
        ("A10", False, "A10 (did you mean 'A100'?)"),
        ("H200", False, "H200"),
        ("A10", True, "A10 (did you mean 'A100'?)"),
        ("H200", True, ""),
        ("own", True, ""),
    ],
)
def test_a_type_that_no_node_has_is_told_though_another_one_is_there(other, may_grow, told, caplog):
    cells = [grouped("g", f"in(A100,{other})", 1.0)]
    with caplog.at_level("WARNING", logger="raysweep"):
        assert chosen_pools(cells, {"0": node("A100", 1)}, may_grow=may_grow) == {"g": "A100"}
    said = f"the Ray cluster has no {told}, which cells name"
    assert caplog.messages == ([said] if told else [])


def test_a_nodes_label_that_may_be_misspelt_is_told(caplog):
    with caplog.at_level("WARNING", logger="raysweep"):
        chosen_pools([grouped("g", "", 1.0)], {"0": node("A600", 1), "1": node("own", 1), "2": node("A100-80G", 1)})
    (told,) = caplog.messages
    assert told.startswith("nothing is known of A600, a type of the Ray cluster (did you mean 'A6000'?): its memory")


def test_groups_whose_accelerators_are_not_there_are_told_with_what_binds_them(caplog):
    with caplog.at_level("WARNING", logger="raysweep"):
        warn_of_absent(
            {"here": "A100", "new": "V100", "old": "H100"}, IdleNodes({"0": node("A100", 1)}), {"old": "pins/old.json"}
        )
    new, old = caplog.messages
    assert "group 'new' wait until the autoscaler starts nodes with V100; if" in new and "pin_group" not in new
    assert "nodes with H100, which pins/old.json binds them to; if it never does, give" in old and "`pin_group`" in old


def test_an_autoscalers_accelerators_must_be_named_unless_nodes_are_there_already():
    cells = [grouped("g", "", 1.0, number=number) for number in range(2)]
    with pytest.raises(UsageError, match=r"\(g-0, g-1\) need accelerators, .*has: none.*name a type.*--set"):
        chosen_pools(cells, {"0": node("")}, may_grow=True)
    assert chosen_pools(cells, {"0": node(""), "1": node("V100", 1)}, may_grow=True) == {"g": "V100"}
    needs = CellNeeds(Needs(1, 1, in_bf16=True), ONE, Needs(), 1, False)
    with pytest.raises(UsageError, match=r"has: V100, which has no bf16.*name a type"):
        chosen_pools([CellToPlace("c", needs, {}, "g")], {"1": node("V100", 1)}, may_grow=True)


def test_all_cells_of_a_group_must_allow_its_accelerator_that_is_to_come():
    one, other = grouped("g", "in(A100,V100)", 1.0), grouped("g", "V100", 1.0, number=1)
    free = grouped("g", "", 1.0, number=2)
    assert chosen_pools([free, one, other], {"0": node("")}, may_grow=True) == {"g": "V100"}
    with pytest.raises(UsageError, match="no type can hold them all"):
        chosen_pools([other, grouped("g", "A100", 1.0)], {"0": node("")}, may_grow=True)
    small = CellNeeds(Needs(1, 1, least_on_accelerator=60 * 10**9), ONE, Needs(), 1, False)
    with pytest.raises(
        UsageError, match=r"were begun on V100-16G, .*V100-16G, which has room for 15.5 GiB, and 55.9 GiB are"
    ):
        chosen_pools([CellToPlace("c", small, {}, "g")], {"0": node("V100-16G", 1)}, {"g": "V100-16G"}, may_grow=True)


def test_cells_without_a_group_are_refused_where_no_accelerator_can_run_them():
    needs = CellNeeds(Needs(1, 1, in_bf16=True), ONE, Needs(), 1, False)
    cells = [CellToPlace("c", needs)]
    with pytest.raises(UsageError, match=r"no .* can run c \(the Ray cluster has: V100, which has no bf16\); change"):
        chosen_pools(cells, {"0": node("V100", 4)})
    assert chosen_pools(cells, {"0": node("V100", 4), "1": node("A100", 1)}) == {}
    labels = [{ACCELERATOR_LABEL: pool} for pool in ("A100", "L4")]
    apart = CellNeeds(*(Needs(1, 1, labels=label) for label in labels), Needs(), 1, False)
    assert chosen_pools([CellToPlace("c", apart)], {"0": node("L4", 4), "1": node("A100", 1)}) == {}


def test_cells_without_a_group_are_refused_where_what_fits_them_has_no_room():
    needs = CellNeeds(Needs(1, 1, least_on_accelerator=60 * 10**9), ONE, Needs(), 4, False)
    nodes = {"0": node("V100", 8), "1": node("A100", 2)}
    with pytest.raises(UsageError, match=r"A100, which has no room for all .*; V100, which has room for 31.5 GiB, and"):
        chosen_pools([CellToPlace("c", needs)], nodes)
    assert chosen_pools([CellToPlace("c", needs)], nodes, may_grow=True) == {}, "anything may come"


def test_cells_without_a_group_are_refused_where_all_types_that_may_come_are_unfit():
    labels = {ACCELERATOR_LABEL: "in(V100,V100-16G)"}
    needs = CellNeeds(Needs(1, 1, in_bf16=True, labels=labels), Needs(1, 1, labels=labels), Needs(), 1, False)
    with pytest.raises(UsageError, match=r"here has: none; V100 is named, but has no bf16; V100-16G is named, but"):
        chosen_pools([CellToPlace("c", needs)], {"0": node("")}, may_grow=True, where="here")
    apart = CellNeeds(needs.training, replace(needs.generation, labels={ACCELERATOR_LABEL: "L4"}), Needs(), 1, False)
    with pytest.raises(UsageError, match=r"here has: none; L4 is named, but doesn't match in.*; V100 is named, but"):
        chosen_pools([CellToPlace("c", apart)], {"0": node("")}, may_grow=True, where="here")


def test_a_training_without_a_group_may_be_spread_over_types_that_all_fit_it():
    needs = CellNeeds(Needs(1, 1, in_bf16=True), ONE, Needs(), 4, False)
    nodes = {"0": node("A6000", 2), "1": node("A100", 2)}
    assert chosen_pools([CellToPlace("c", needs)], nodes) == {}
    with pytest.raises(UsageError, match="A100, which has no room for all"):
        chosen_pools([CellToPlace("c", needs)], {"0": nodes["0"], "1": node("A100", 1)})
    with pytest.raises(UsageError, match="V100, which has no bf16"):
        chosen_pools([CellToPlace("c", needs)], {"0": nodes["0"], "2": node("V100", 9)})
    cells = [CellToPlace("pair", replace(needs, workers=2), {"A100": 9.0}), CellToPlace("all", needs, {"A100": 1.0})]
    found = places([*nodes.values(), node("V100", 8)], *cells, cell("alone", "A6000"))
    assert [found.next_cell() for _ in range(4)] == [("pair", "A100"), ("alone", "A6000"), ("all", ANY), None]
    found.request("alone", "alone", ONE)
    found.request("all", "all", needs.training, 4)
    assert set(found.grant()) == {"alone", "all"} and not found.is_placed("all") and found.is_in_the_way("alone")
    found.release("alone")
    found.grant()
    assert found.is_placed("all")
    found.request("pair", "pair", needs.training, 2)
    assert found.grant() == ["pair"] and not found.is_placed("pair"), "its accelerators aren't given out again"


def test_what_may_run_on_several_types_asks_ray_for_none_that_is_unfit():
    needs = CellNeeds(Needs(1, 1, in_bf16=True), Needs(1, 1, least_on_accelerator=60 * 10**9), Needs(1), 1, False)
    placed = placements(needs, ["V100", "T4", "A100-40G"]).on(ANY)
    assert placed.training.labels == {ACCELERATOR_LABEL: "!in(V100)"}
    assert placed.generation.labels == {ACCELERATOR_LABEL: "!in(A100-40G,A10G,A6000,L4,RTX-4090,V100)"}
    assert placed.execution.labels == {}
    assert placements(needs, ["T4"]).on("T4").training.labels == {ACCELERATOR_LABEL: "T4"}
    named = replace(needs, training=replace(needs.training, labels={ACCELERATOR_LABEL: "in(A100,V100)"}))
    assert placements(named).on(ANY).training.labels == {ACCELERATOR_LABEL: "A100"}
    unlabelled = placements(needs, ["T4"]).on(UNLABELLED).training.labels[ACCELERATOR_LABEL]
    assert not matches_one(unlabelled, "T4") and matches_one(unlabelled, None)


def test_what_waits_for_nodes_that_went_is_in_nobodys_way():
    large = [cell(f"large{n}", "A100", hours=9, gpus=4) for n in range(2)]
    cells = [replace(each, group="g") for each in (*large, cell("small", "A100"), cell("other", "A100"))]
    found = Places(cells, {"g": "A100"})
    found.set_nodes({"0": node("A100", 1), "1": node("A100", 4)})
    assert found.next_cell() == ("large0", "A100")
    found.set_nodes({"0": node("A100", 1)})
    found.request("large0", "large0", large[0].needs.training)
    assert found.grant() == ["large0"] and started(found) == ["small", "other"], "one more large one would wait, too"
    for name in ("small", "large1"):
        found.request(name, name, found._cells[name].needs.training)
    assert found.grant() == ["small"] and found.is_placed("small"), "large1 waits behind large0"
    assert found.next_in_line() == {}, "no idle host is in its way"
    found.set_nodes({"0": node("A100", 1), "1": node("A100", 4)})
    found.grant()
    assert found.is_placed("large0") and found.next_in_line() == {"A100": "large1"}


def test_cells_whose_type_went_wait_for_what_can_run_them():
    needs = CellNeeds(Needs(1, 1, in_bf16=True), Needs(1, 1, in_bf16=True), Needs(), 1, in_trial=False)
    found = places([node("A100", 1), node("V100", 8)], *(CellToPlace(f"{n}", needs) for n in range(3)))
    assert found.next_cell() == ("0", "A100")
    found.set_nodes({"1": node("V100", 8)})
    assert found.next_cell() == ("1", ANY) and found.next_cell() is None
    found.request("1", "1", needs.training)
    found.grant()
    assert not found.is_placed("1")


def test_a_live_accelerator_is_taken_before_one_whose_nodes_are_too_small():
    labels = {ACCELERATOR_LABEL: "in(A100,V100)"}
    needs = Needs(1, 1, labels=labels)
    cells = [CellToPlace("c", CellNeeds(needs, needs, Needs(), 4, False), {"A100": 1.0, "V100": 9.0}, "g")]
    nodes = {"0": node("A100", 2), "1": node("V100", 4)}
    assert chosen_pools(cells, nodes, may_grow=True) == {"g": "V100"}


def test_cells_that_fitted_nowhere_get_the_nodes_that_come():
    nodes = {"0": node("", cpus=2)}
    large, small = cell("large", hours=9), cell("small", hours=8)
    others = [cell(f"cpu{n}", gpus=0, hours=1) for n in range(2)]
    found = places(nodes.values(), large, small, *others, may_grow=True)
    assert started(found) == ["large", "cpu0", "cpu1"], "nobody waits behind what needs an accelerator"
    found.request("large", "large", ONE)
    assert set(found.grant()) == {"cpu0", "cpu1", "large"} and found.is_placed("cpu1")
    assert not found.is_placed("large"), "Ray's autoscaler sees it"
    assert found.next_in_line() == {}, "nothing here is in its way"
    found.set_nodes({**nodes, "1": node("L4", 1)})
    found.grant()
    assert found.is_placed("large") and not found.has_room("large", ONE), "its accelerator isn't given out again"
    after = places([*nodes.values(), node("L4", 1)], large, small, may_grow=True)
    after.request("large", "large", ONE)
    after.restart({"large": ANY}, ended=[])
    after.grant()
    assert after.is_placed("large") and not after.has_room("small", ONE), "also where the keeper has died"


def test_what_needs_no_accelerator_leaves_the_cpus_that_a_training_waits_for():
    on_cpus = [cell(f"cpu{n}", gpus=0) for n in range(9)]
    wide = Needs(4, 1, labels={ACCELERATOR_LABEL: "A100"})
    training = CellToPlace("wide", CellNeeds(wide, wide, Needs(), 1, in_trial=False), {"A100": 1.0})
    found = places([node("A100", 1, cpus=6)], training, *on_cpus)
    assert started(found) == ["wide", *(f"cpu{n}" for n in range(7))]
    found.grant()
    found.request("wide", "wide", wide)
    found.request("host", "cpu0", Needs(1))
    assert found.grant() == ["wide"] and not found.is_placed("wide"), "all CPUs are taken"
    for number in range(3):
        assert found.is_in_the_way(f"cpu{number}")
        found.end(f"cpu{number}")
        assert found.grant() == [] and not found.may_go_on("host"), "Ray would give it what is kept"
        assert started(found) == [] and not found.is_placed("cpu6")
    found.end("cpu3")
    found.grant()
    assert found.is_placed("wide") and not found.is_placed("cpu6")
    found.release("host")
    found.end("cpu4")
    found.grant()
    assert found.is_placed("cpu6") and started(found) == ["cpu7"]


def test_nothing_is_kept_for_a_training_that_waits_for_larger_nodes():
    wide = Needs(4, 1)
    training = CellToPlace("wide", CellNeeds(wide, wide, Needs(), 1, in_trial=False))
    found = places([node("", 1, cpus=2)], training, *(cell(f"cpu{n}", gpus=0) for n in range(3)), may_grow=True)
    assert started(found) == ["wide", "cpu0", "cpu1", "cpu2"]
    found.request("wide", "wide", wide)
    found.grant()
    assert not found.is_placed("wide") and found.is_placed("cpu0") and found.is_placed("cpu1")


def test_a_bound_group_keeps_its_accelerator_while_an_autoscaler_has_taken_its_nodes():
    cells = [grouped("g", "", 1.0)]
    for nodes in ({"0": node("")}, {"0": node("V100", 1)}):
        assert chosen_pools(cells, nodes, {"g": "A100"}, may_grow=True) == {"g": "A100"}
    with pytest.raises(UsageError, match="were begun on A100, which can't hold them"):
        chosen_pools([grouped("g", "A6000", 1.0)], {"0": node("A6000", 1)}, {"g": "A100"}, may_grow=True)


def test_a_group_that_is_bound_to_what_it_may_not_use_is_refused():
    nodes = {"0": node("A100", 1), "1": node("A6000", 1)}
    cells = [grouped("g", "A6000", 1.0)]
    with pytest.raises(
        UsageError,
        match=r"group 'g' \(g-0\) were begun on A100, which can't hold .*A100, which doesn't match A6000; A6000",
    ):
        chosen_pools(cells, nodes, {"g": "A100"})
    assert chosen_pools(cells, nodes, {"g": "A6000"}) == {"g": "A6000"}


@pytest.mark.parametrize(
    ("takes", "pool"),
    [
        ({"least_on_accelerator": 10 * 10**9}, "V100"),
        ({"least_on_accelerator": 35 * 10**9}, "A100-40G"),
        ({"least_on_accelerator": 10 * 10**9, "in_bf16": True}, "A100-40G"),
    ],
)
def test_a_group_runs_on_what_has_the_memory_and_computes_in_its_numbers(takes, pool):
    needs = CellNeeds(Needs(1, 1, **takes), ONE, Needs(), 1, False)
    cells = [CellToPlace("c", needs, {}, "g")]
    nodes = {"0": node("A100-40G", 1), "1": node("V100", 8)}
    assert chosen_pools(cells, nodes) == {"g": pool}
    needs = CellNeeds(Needs(1, 1, least_on_accelerator=50 * 10**9), ONE, Needs(), 1, False)
    with pytest.raises(UsageError, match="no type can hold them all"):
        chosen_pools([CellToPlace("c", needs, {}, "g")], nodes)


def test_the_largest_live_pool_is_taken_where_no_hours_are_known():
    cells = [CellToPlace("c", grouped("g", "", 0.0).needs, {}, "g")]
    assert chosen_pools(cells, {"0": node("A100", 1), "1": node("V100", 8)}) == {"g": "V100"}


def test_groups_with_fewer_choices_choose_first_and_count_with_all_their_accelerators():
    pair = Needs(1, 1)
    two = [CellToPlace(f"{n}", CellNeeds(pair, pair, Needs(), 2, False), {"A100": 4.0}, f"pair-{n}") for n in range(2)]
    nodes = {"0": node("A100", 2), "1": node("A6000", 1), "2": node("V100", 1)}
    cells = [*two, grouped("large", "", 3.0), grouped("small", "", 0.5)]
    assert chosen_pools(cells, nodes) == {
        "pair-0": "A100",  # no other can hold two processes
        "pair-1": "A100",
        "large": "A6000",
        "small": "V100",
    }


def test_a_cell_that_fits_into_no_pool_is_left_to_ray():
    found = places([node("A100", 1)], cell("large", "A100", gpus=4), cell("small", "A100"))
    assert set(started(found)) == {"large", "small"}
    found.request("large", "large", Needs(1, 4))
    assert found.grant() == ["large"] and not found.is_placed("large")


def test_every_stage_must_fit_into_the_pool():
    both = CellNeeds(Needs(1, 1), Needs(1, 4), Needs(), 1, False)
    cells = [CellToPlace("c", both, {}, "g")]
    assert chosen_pools(cells, {"0": node("A100", 2), "1": node("V100", 4)}) == {"g": "V100"}


def test_a_share_lies_on_one_accelerator():
    found = places([node("A100", 8, cpus=64)], *(cell(f"{n}", "A100", gpus=0.35) for n in range(40)))
    for name in started(found):
        found.request(name, name, Needs(1, 0.35, labels={ACCELERATOR_LABEL: "A100"}))
    found.grant()
    assert sum(found.is_placed(f"{n}") for n in range(40)) == 16


def test_drivers_stay_away_from_accelerators_only_where_other_nodes_have_cpus():
    assert driver_labels([node("A100", 1), node("")]) == {ACCELERATOR_LABEL: "!in(A100)"}
    assert driver_labels([node("A100", 1), node("", cpus=0)]) == {}
    assert driver_labels([node("")]) == {}


def grouped(group: str, label: str, hours: float, number: int = 0) -> CellToPlace:
    needs = Needs(1, 1, labels={ACCELERATOR_LABEL: label} if label else {})
    each = {"A100": hours, "A6000": 2 * hours, "H100": hours}
    return CellToPlace(f"{group}-{number}", CellNeeds(needs, needs, Needs(), 1, False), each, group)


def test_a_cell_without_a_group_runs_on_accelerators_that_are_there_rather_than_on_those_to_come():
    cells = [cell(f"c{hours}", "in(A100,V100)", hours) for hours in (3, 2, 1)]
    found = places([node("V100", 4)], *cells, may_grow=True)
    assert [found.next_cell() for _ in cells] == [("c3", "V100"), ("c2", "V100"), ("c1", "V100")]
    for each in cells:
        found.request(each.id, each.id, each.needs.training)
    found.grant()
    assert all(found.is_placed(each.id) for each in cells)


@pytest.mark.parametrize(
    ("hopeless", "other"),
    [
        (cell("hopeless", "A100", 9, gpus=16), cell("other", "A100", 1)),
        (in_zone("hopeless", "zone-a", 9), in_zone("other", "zone-b", 1)),
        (on_cpus("hopeless", 512, 9), on_cpus("other", 32, 1)),
    ],
    ids=["accelerators", "labels", "CPUs"],
)
def test_what_no_autoscaler_may_ever_start_is_in_nobodys_way(hopeless, other):
    found = places([node("", cpus=2)], hopeless, other, may_grow=True)
    assert sorted(started(found)) == ["hopeless", "other"]
    for each in (hopeless, other):
        found.request(each.id, each.id, each.first[0])
    found.grant()
    assert found.may_go_on("hopeless") and found.may_go_on("other"), "both wait in Ray, where the autoscaler sees them"
    nodes = {"0": node("", cpus=2), "1": NodeFacts({"CPU": 64, "GPU": 1}, {**node("A100").labels, "zone": "zone-b"})}
    found.set_nodes(nodes)
    found.grant()
    assert found.is_placed("other") and not found.is_placed("hopeless")


def test_a_training_on_two_types_is_not_passed_by_small_cells_of_either():
    large = CellToPlace("large", CellNeeds(ONE, ONE, Needs(), 4, in_trial=False), {"A100": 50.0})
    small = [CellToPlace(f"s{n}", CellNeeds(ONE, ONE, Needs(), 1, in_trial=False), {"A100": 1.0}) for n in range(40)]
    first = CellToPlace("first", small[0].needs, {"A100": 99.0})
    found, active = places([node("A100", 2), node("V100", 2)], first, large, *small), []

    def go_on() -> None:
        for name in started(found):
            found.request(name, name, ONE, 4 if name == "large" else 1)
            active.append(name)
        found.grant()

    go_on()
    assert found.is_placed("first") and not found.is_placed("large")
    ended = 0
    while not found.is_placed("large"):
        name = next(name for name in active if found.is_placed(name))
        found.end(name)
        active.remove(name)
        ended += 1
        go_on()
    assert ended <= 4, "those that ran when it began to wait"


def test_a_base_models_trial_needs_what_it_holds_though_it_trains_nothing():
    held = CellToPlace("base", CellNeeds(Needs(1, 2), Needs(1, 0.5), Needs(), 0, in_trial=True), {"T4": 1.0}, "g")
    with pytest.raises(UsageError, match="T4, which has no room for all that they ask for at a time"):
        chosen_pools([held], {"0": node("T4", 1)})
    assert chosen_pools([held], {"0": node("T4", 1), "1": node("V100", 2)}) == {"g": "V100"}


def test_after_a_keepers_death_no_more_cells_start_than_its_bound():
    cells = [cell(f"c{n}", "A100") for n in range(9)]
    found = places([node("A100", 2)], *cells)
    names = started(found)
    assert len(names) == 3
    again = Places(cells)
    again.restart(dict.fromkeys(names, "A100"), [])
    again.set_nodes({"0": node("A100", 2)})
    assert started(again) == [], "two of them may train"
    again.end(names[0])
    assert len(started(again)) == 1
