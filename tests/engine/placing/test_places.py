"""The order in which cells start and get resources, played without Ray."""

from __future__ import annotations

import random
import re
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
BF16, LARGE = {"in_bf16": True}, {"least_on_accelerator": 60 * 10**9}


def node(pool: str, gpus: int = 0, cpus: int = 16) -> NodeFacts:
    return NodeFacts({"CPU": cpus, "GPU": gpus}, {ACCELERATOR_LABEL: pool} if pool else {})


def nodes(text: str) -> dict[str, NodeFacts]:
    """Nodes by number: `A100:2` has two accelerators of a type, `-` none, and `-/2` two CPUs instead of 16."""
    parts = [re.fullmatch(r"([\w-]+?)(?::(\d+))?(?:/(\d+))?", one).groups() for one in text.split()]  # type: ignore[union-attr]
    each = [node(pool.strip("-"), int(gpus or 0), int(cpus or 16)) for pool, gpus, cpus in parts]
    return {f"{number}": one for number, one in enumerate(each)}


def on(pool: str, **more: Any) -> Needs:
    return Needs(1, 1, labels={ACCELERATOR_LABEL: pool} if pool else {}, **more)


def cell(name: str, pool: str = "", hours: float = 1, gpus: float = 1, workers: int = 1) -> CellToPlace:
    """A cell that trains and generates on accelerators of one type; with 0 GPUs, one in its trial's process."""
    needs = replace(on(pool), gpus=gpus)
    return CellToPlace(name, CellNeeds(needs, needs, Needs(), workers, in_trial=not gpus), {pool or "A100": hours})


def in_zone(name: str, zone: str, hours: float) -> CellToPlace:
    """A cell on accelerators of any type, of nodes in one zone."""
    needs = Needs(1, 1, labels={"zone": zone})
    return CellToPlace(name, CellNeeds(needs, needs, Needs(), 1, in_trial=False), {"A100": hours})


def on_cpus(name: str, cpus: int, hours: float) -> CellToPlace:
    return CellToPlace(name, CellNeeds(Needs(cpus), Needs(cpus), Needs(), 1, in_trial=True), {"cpu": hours})


def grouped(group: str, label: str, hours: float, number: int = 0) -> CellToPlace:
    """A cell of a group, which takes twice as long on an A6000 as on an A100 or H100."""
    each = {"A100": hours, "A6000": 2 * hours, "H100": hours}
    return CellToPlace(f"{group}-{number}", CellNeeds(on(label), on(label), Needs(), 1, False), each, group)


def trained(
    group: str = "", workers: int = 1, hours: Mapping[str, float] = {}, writes: Needs = ONE, **asks: Any
) -> CellToPlace:
    """The cell `c`, whose training asks for these on its accelerators."""
    return CellToPlace("c", CellNeeds(Needs(1, 1, **asks), writes, Needs(), workers, False), hours, group)


def places(there: str, *cells: CellToPlace, may_grow: bool = False) -> Places:
    found = Places(cells, may_grow=may_grow)
    found.set_nodes(nodes(there))
    return found


def started(found: Places) -> list[str]:
    """Start cells until none should."""
    names = []
    while (turn := found.next_cell()) is not None:
        names.append(turn[0])
    return names


def ask(found: Places, *cells: CellToPlace) -> list[str]:
    """Request what cells ask for first, and return what is granted."""
    for one in cells:
        found.request(one.id, one.id, one.first[0])
    return found.grant()


def chosen_pools(
    cells: Iterable[CellToPlace], there: str, bound: Mapping[str, str] = {}, **options: Any
) -> dict[str, str]:
    return pools_of_groups(cells, IdleNodes(nodes(there), **options), bound)


def refused(said: str, cells: Iterable[CellToPlace], there: str, **options: Any) -> None:
    with pytest.raises(UsageError, match=said):
        chosen_pools(cells, there, **options)


def test_as_many_cells_start_as_places_are_free_and_one_more_for_each_pool():
    cells = [cell(f"{pool}{n}", pool) for pool in ("A100", "V100") for n in range(10)]
    found = places("A100:2 V100:3 -", *cells)
    assert len(started(found)) == (2 + 1) + (3 + 1)
    assert len(ask(found, *cells[:2])) == 2 and started(found) == [], "the third of the pool waits already"
    assert ask(found, cells[2]) == ["A1002"] and not found.is_placed("A1002"), "it waits in Ray, seen by an autoscaler"
    found.release("A1000")
    found.executing("A1000")
    assert found.grant() == [] and found.is_placed("A1002")
    assert len(started(found)) == 1, "a cell that only executes holds no place"


def test_the_longest_comes_first_and_nobody_passes_one_that_waits():
    cells = [cell(f"c{hours}", "A100", hours, gpus=2 if hours == 3 else 1) for hours in (1, 3, 2)]
    found = places("A100:2 A100:1", *cells)
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
    found = places("A100:1", cell("long", "A100", hours=5), *edits, cell("base", "A100", hours=1))
    assert started(found) == ["base", "long"], "whatever the order of hours"
    found.executing("base")
    assert started(found) == [], "it has not ended"
    found.end("base")
    assert started(found) == ["edit0"]
    found.end("long")
    assert started(found) == ["edit1"]
    for ended, begun in (([], []), (["base"], ["edit0", "edit1", "edit2"])):
        again = places("A100:2", cell("base", "A100"), *edits)
        again.restart({"base": "A100"}, ended)
        assert started(again) == begun, "known after a restart"


def test_two_cells_share_an_accelerator_and_workers_are_placed_together_or_not_at_all():
    assert len(started(places("A100:1", *(cell(f"{n}", "A100", gpus=0.4) for n in range(9))))) == 3
    found = places("A100:1 A100:1", cell("c1", "A100", hours=2), cell("c2", "A100", workers=2))
    assert started(found) == ["c1", "c2"]
    found.request("first", "c1", ONE)
    found.request("pair", "c2", ONE, number=2)
    assert found.grant() == ["first", "pair"] and not found.is_placed("pair")
    found.release("first")
    assert found.grant() == [] and found.is_placed("pair")


def test_cells_in_their_trial_hold_its_resources_to_the_end():
    found = places("-/2", *(cell(f"{n}", gpus=0) for n in range(5)))
    assert started(found) == ["0", "1", "2"], "in the grid's order where hours are equal"
    found.end("0")
    assert started(found) == ["3"]


def test_nodes_come_and_go():
    cells = [cell(f"{n}", "A100") for n in range(9)]
    found = places("A100:1", *cells)
    assert started(found) == ["0", "1"]
    found.set_nodes(nodes("A100:1 A100:4"))
    assert len(started(found)) == 4 and ask(found, cells[0]) == ["0"]
    found.set_nodes({"2": node("A100", 1)})
    assert found.is_placed("0"), "until its process notices"
    assert ask(found, cells[1]) == ["1"] and found.is_placed("1")
    found.release("0")
    assert ask(found, cells[2]) == ["2"] and not found.is_placed("2")


def test_a_pool_without_nodes_starts_one_cell_and_leaves_it_to_an_autoscaler():
    cells = [cell(f"{n}", "H100") for n in range(3)]
    found = places("-", *cells, may_grow=True)
    assert started(found) == ["0"]
    assert ask(found, cells[0]) == ["0"] and started(found) == []
    found.set_nodes({"new": node("H100", 2)})
    found.grant()
    assert found.is_placed("0") and started(found) == ["1", "2"]


def test_after_a_keepers_death_nothing_starts_twice_nor_more_than_its_bound():
    found = places("A100:1", *(cell(f"{n}", "A100") for n in range(4)))
    found.restart({"3": "A100", "2": "A100"}, ended=["3"])
    assert found.started == 2 and started(found) == ["0"], "2 may have the accelerator, and one waits for it"
    cells = [cell(f"c{n}", "A100") for n in range(9)]
    names = started(places("A100:2", *cells))
    assert len(names) == 3
    again = Places(cells)
    again.restart(dict.fromkeys(names, "A100"), [])
    again.set_nodes(nodes("A100:2"))
    assert started(again) == [], "two of them may train"
    again.end(names[0])
    assert len(started(again)) == 1


def test_cells_in_their_trials_keep_their_places_though_the_keeper_died():
    cells = [cell(f"{n}", gpus=0) for n in range(9)]
    before, after = started(places("-/2", *cells)), places("-/2", *cells)
    after.restart(dict.fromkeys(before, CPUS), ended=[])
    after.grant()
    assert len(before) == 3 and started(after) == []


def test_the_studys_204_cells_never_have_more_drivers_than_places_and_one_for_each_pool():
    """A driver is a started cell that has not ended: of a sweep whose head has 16 CPUs, in random order of events."""
    rng = random.Random(0)
    pools = {"A100": 3, "A6000": 1, "V100": 1}
    cells = [cell(f"{n}", rng.choice(list(pools)), rng.uniform(1, 9)) for n in range(204)]
    found = places(" ".join(["-", *(f"{pool}:{gpus}" for pool, gpus in pools.items())]), *cells)
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
    assert most["at work"] <= sum(pools.values()) + len(pools) and most["executing"] <= 4 * 16 + 1 + most["at work"]


def test_a_group_runs_in_one_pool_the_one_where_work_ends_first():
    there, either = "A100:4 A6000:2 -", "in(A100,A6000)"
    cells = [grouped("large", either, 10.0), grouped("small", either, 3.0), grouped("other", "A6000", 1.0)]
    cells += [grouped("large", either, 10.0, number=1), grouped("bound", either, 1.0)]
    chosen = chosen_pools(cells, there, {"bound": "A6000"})
    assert chosen == {"large": "A100", "small": "A6000", "other": "A6000", "bound": "A6000"}
    found = Places(cells, chosen)
    found.set_nodes(nodes(there))
    turns = dict(iter(found.next_cell, None))
    assert turns.keys() == {cell.id for cell in cells}
    assert all(pool == chosen[name.partition("-")[0]] for name, pool in turns.items())


def group_of(*labels: str) -> list[CellToPlace]:
    """The cells of the group `g`, one on each of these accelerators."""
    return [grouped("g", label, 1.0, number) for number, label in enumerate(labels)]


SMALL = {"least_on_accelerator": 10 * 10**9}
APART = CellToPlace("c", CellNeeds(on("A100"), on("L4"), Needs(), 1, False))
HELD = CellToPlace("base", CellNeeds(Needs(1, 2), Needs(1, 0.5), Needs(), 0, in_trial=True), {"T4": 1.0}, "g")
EITHER = trained("g", 4, {"A100": 1.0, "V100": 9.0}, on("in(A100,V100)"), labels=on("in(A100,V100)").labels)
CHOSEN = {
    "a label is taken as it is written": (group_of("in(H100-80G,A10G)"), "A100:1", {"may_grow": True}, "H100-80G"),
    "without a label it takes what is there": (group_of(""), "A100:1", {"may_grow": True}, "A100"),
    "nodes without an accelerator are none": (group_of("", ""), "- V100:1", {"may_grow": True}, "V100"),
    "all its cells must allow it": (group_of("", "in(A100,V100)", "V100"), "-", {"may_grow": True}, "V100"),
    "it has the memory": ([trained("g", **SMALL)], "A100-40G:1 V100:8", {}, "V100"),
    "it has more memory": ([trained("g", least_on_accelerator=35 * 10**9)], "A100-40G:1 V100:8", {}, "A100-40G"),
    "it computes in its numbers": ([trained("g", **SMALL, **BF16)], "A100-40G:1 V100:8", {}, "A100-40G"),
    "the largest, where no hours are known": ([trained("g")], "A100:1 V100:8", {}, "V100"),
    "every stage must fit": ([trained("g", writes=Needs(1, 4))], "A100:2 V100:4", {}, "V100"),
    "a live one is taken before one whose nodes are too small": ([EITHER], "A100:2 V100:4", {"may_grow": True}, "V100"),
    "a base model's trial needs what it holds": ([HELD], "T4:1 V100:2", {}, "V100"),
    "it stays where it was begun": (group_of("A6000"), "A100:1 A6000:1", {"bound": {"g": "A6000"}}, "A6000"),
    "also while an autoscaler has taken its nodes": (
        group_of(""), "V100:1", {"bound": {"g": "A100"}, "may_grow": True}, "A100",
    ),
    "also where no node is left": (group_of(""), "-", {"bound": {"g": "A100"}, "may_grow": True}, "A100"),
    "cells without a group are bound to none": ([trained(**BF16)], "V100:4 A100:1", {}, None),
    "their stages may be on several types": ([APART], "L4:4 A100:1", {}, None),
    "and anything may come for them": ([trained(workers=4, **LARGE)], "V100:8 A100:2", {"may_grow": True}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOSEN)
def test_a_group_runs_on_one_type_of_accelerator(case):
    cells, there, options, pool = CHOSEN[case]
    assert chosen_pools(cells, there, **options) == ({"g": pool} if pool else {})


GROWS = {"may_grow": True}
WRITES_ELSEWHERE = trained(writes=on("L4"), labels=on("in(V100,V100-16G)").labels, **BF16)
REFUSED = [
    (
        group_of("in(H100-80G,A10G)"), "A100:1", {},
        r"group 'g' \(g-0\) run on one type .* no type can hold them all .*has: A100, which doesn't match in\(",
    ),
    (group_of("", ""), "-", GROWS, r"\(g-0, g-1\) need accelerators, .*has: none.*name a type.*--set"),
    ([trained("g", **BF16)], "V100:1", GROWS, r"has: V100, which has neither bf16 nor TF32.*name a type"),
    (group_of("V100", "A100"), "-", GROWS, "no type can hold them all"),
    ([trained("g", least_on_accelerator=50 * 10**9)], "A100-40G:1 V100:8", {}, "no type can hold them all"),
    (
        [trained("g", **LARGE)], "V100-16G:1", {"bound": {"g": "V100-16G"}, **GROWS},
        r"were begun on V100-16G, .*V100-16G, which has room for 15.5 GiB, and 55.9 GiB are",
    ),
    (group_of("A6000"), "A6000:1", {"bound": {"g": "A100"}, **GROWS}, "were begun on A100, which can't hold them"),
    (
        group_of("A6000"), "A100:1 A6000:1", {"bound": {"g": "A100"}},
        r"group 'g' \(g-0\) were begun on A100, which can't hold .*A100, which doesn't match A6000; A6000",
    ),
    ([HELD], "T4:1", {}, "T4, which has no room for all that they ask for at a time"),
    ([trained(**BF16)], "V100:4", {}, r"no .* can run c \(the Ray cluster has: V100, which has neither bf16.*; change"),
    (
        [trained(workers=4, **LARGE)], "V100:8 A100:2", {},
        r"A100, which has no room for all .*; V100, which has room for 31.5 GiB, and",
    ),
    (
        [trained(labels=on("in(V100,V100-16G)").labels, **BF16)], "-", {"where": "here", **GROWS},
        r"here has: none; V100 is named, but has neither bf16 nor TF32; V100-16G is named, but",
    ),
    (
        [WRITES_ELSEWHERE], "-", {"where": "here", **GROWS},
        r"here has: none; L4 is named, but doesn't match in.*; V100 is named, but",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "there", "options", "said"), REFUSED)
def test_cells_that_no_accelerator_can_run_are_refused_with_what_there_is(cells, there, options, said):
    refused(said, cells, there, **options)


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
    with caplog.at_level("WARNING", logger="raysweep"):
        assert chosen_pools([grouped("g", f"in(A100,{other})", 1.0)], "A100:1", may_grow=may_grow) == {"g": "A100"}
    assert caplog.messages == ([f"the Ray cluster has no {told}, which cells name"] if told else [])


def test_a_nodes_label_that_may_be_misspelt_is_told(caplog):
    with caplog.at_level("WARNING", logger="raysweep"):
        chosen_pools([grouped("g", "", 1.0)], "A600:1 own:1 A100-80G:1")
    (told,) = caplog.messages
    assert told.startswith("nothing is known of A600, a type of the Ray cluster (did you mean 'A6000'?): its memory")


def test_groups_whose_accelerators_are_not_there_are_told_with_what_binds_them(caplog):
    pools = {"here": "A100", "new": "V100", "old": "H100"}
    with caplog.at_level("WARNING", logger="raysweep"):
        warn_of_absent(pools, IdleNodes(nodes("A100:1")), {"old": "pins/old.json"})
    new, old = caplog.messages
    assert "group 'new' wait until the autoscaler starts nodes with V100; if" in new and "pin_group" not in new
    assert "nodes with H100, which pins/old.json binds them to; if it never does, give" in old and "`pin_group`" in old


def test_a_training_without_a_group_may_be_spread_over_types_that_all_fit_it():
    needs = CellNeeds(Needs(1, 1, in_bf16=True), ONE, Needs(), 4, False)
    spread = [CellToPlace("c", needs)]
    assert chosen_pools(spread, "A6000:2 A100:2") == {}
    refused("A100, which has no room for all", spread, "A6000:2 A100:1")
    refused("V100, which has neither bf16 nor TF32", spread, "A6000:2 V100:9")
    cells = [CellToPlace("pair", replace(needs, workers=2), {"A100": 9.0}), CellToPlace("all", needs, {"A100": 1.0})]
    found = places("A6000:2 A100:2 V100:8", *cells, cell("alone", "A6000"))
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
    needs = CellNeeds(Needs(1, 1, **BF16), Needs(1, 1, **LARGE), Needs(1), 1, False)
    placed = placements(needs, ["V100", "T4", "A100-40G"]).on(ANY)
    assert placed.training.labels == {ACCELERATOR_LABEL: "!in(V100)"}
    assert placed.generation.labels == {ACCELERATOR_LABEL: "!in(A100-40G,A10G,A6000,L4,RTX-4090,V100)"}
    assert placed.execution.labels == {}
    assert placements(needs, ["T4"]).on("T4").training.labels == {ACCELERATOR_LABEL: "T4"}
    named = replace(needs, training=on("in(A100,V100)", **BF16))
    assert placements(named).on(ANY).training.labels == {ACCELERATOR_LABEL: "A100"}
    unlabelled = placements(needs, ["T4"]).on(UNLABELLED).training.labels[ACCELERATOR_LABEL]
    assert not matches_one(unlabelled, "T4") and matches_one(unlabelled, None)


def test_what_waits_for_nodes_that_went_is_in_nobodys_way():
    large = [cell(f"large{n}", "A100", hours=9, gpus=4) for n in range(2)]
    small = cell("small", "A100")
    found = Places([replace(each, group="g") for each in (*large, small, cell("other", "A100"))], {"g": "A100"})
    found.set_nodes(nodes("A100:1 A100:4"))
    assert found.next_cell() == ("large0", "A100")
    found.set_nodes(nodes("A100:1"))
    assert ask(found, large[0]) == ["large0"]
    assert started(found) == ["small", "other"], "one more large one would wait, too"
    assert ask(found, small, large[1]) == ["small"] and found.is_placed("small"), "large1 waits behind large0"
    assert found.next_in_line() == {}, "no idle host is in its way"
    found.set_nodes(nodes("A100:1 A100:4"))
    found.grant()
    assert found.is_placed("large0") and found.next_in_line() == {"A100": "large1"}


def test_cells_whose_type_went_wait_for_what_can_run_them():
    cells = [replace(trained(writes=Needs(1, 1, **BF16), **BF16), id=f"{n}") for n in range(3)]
    found = places("A100:1 V100:8", *cells)
    assert found.next_cell() == ("0", "A100")
    found.set_nodes({"1": node("V100", 8)})
    assert found.next_cell() == ("1", ANY) and found.next_cell() is None
    ask(found, cells[1])
    assert not found.is_placed("1")


def test_cells_that_fitted_nowhere_get_the_nodes_that_come():
    large, small = cell("large", hours=9), cell("small", hours=8)
    found = places("-/2", large, small, *(cell(f"cpu{n}", gpus=0, hours=1) for n in range(2)), may_grow=True)
    assert started(found) == ["large", "cpu0", "cpu1"], "nobody waits behind what needs an accelerator"
    assert set(ask(found, large)) == {"cpu0", "cpu1", "large"} and found.is_placed("cpu1")
    assert not found.is_placed("large"), "Ray's autoscaler sees it"
    assert found.next_in_line() == {}, "nothing here is in its way"
    found.set_nodes(nodes("-/2 L4:1"))
    found.grant()
    assert found.is_placed("large") and not found.has_room("large", ONE), "its accelerator isn't given out again"
    after = places("-/2 L4:1", large, small, may_grow=True)
    after.request("large", "large", ONE)
    after.restart({"large": ANY}, ended=[])
    after.grant()
    assert after.is_placed("large") and not after.has_room("small", ONE), "also where the keeper has died"


def test_what_needs_no_accelerator_leaves_the_cpus_that_a_training_waits_for():
    wide = Needs(4, 1, labels={ACCELERATOR_LABEL: "A100"})
    training = CellToPlace("wide", CellNeeds(wide, wide, Needs(), 1, in_trial=False), {"A100": 1.0})
    found = places("A100:1/6", training, *(cell(f"cpu{n}", gpus=0) for n in range(9)))
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
    found = places("-:1/2", training, *(cell(f"cpu{n}", gpus=0) for n in range(3)), may_grow=True)
    assert started(found) == ["wide", "cpu0", "cpu1", "cpu2"]
    ask(found, training)
    assert not found.is_placed("wide") and found.is_placed("cpu0") and found.is_placed("cpu1")


def test_groups_with_fewer_choices_choose_first_and_count_with_all_their_accelerators():
    pairs = [replace(trained(f"pair-{n}", 2, {"A100": 4.0}), id=f"{n}") for n in range(2)]
    chosen = chosen_pools([*pairs, grouped("large", "", 3.0), grouped("small", "", 0.5)], "A100:2 A6000:1 V100:1")
    assert chosen == {"pair-0": "A100", "pair-1": "A100", "large": "A6000", "small": "V100"}, "only A100 holds a pair"


def test_a_cell_that_fits_into_no_pool_is_left_to_ray():
    found = places("A100:1", large := cell("large", "A100", gpus=4), cell("small", "A100"))
    assert set(started(found)) == {"large", "small"}
    assert ask(found, large) == ["large"] and not found.is_placed("large")


@pytest.mark.parametrize(("there", "away"), [("A100:1 -", "!in(A100)"), ("A100:1 -/0", ""), ("-", "")])
def test_drivers_stay_away_from_accelerators_only_where_other_nodes_have_cpus(there, away):
    assert driver_labels(list(nodes(there).values())) == ({ACCELERATOR_LABEL: away} if away else {})


def test_a_cell_without_a_group_runs_on_accelerators_that_are_there_rather_than_on_those_to_come():
    cells = [cell(f"c{hours}", "in(A100,V100)", hours) for hours in (3, 2, 1)]
    found = places("V100:4", *cells, may_grow=True)
    assert [found.next_cell() for _ in cells] == [("c3", "V100"), ("c2", "V100"), ("c1", "V100")]
    ask(found, *cells)
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
    found = places("-/2", hopeless, other, may_grow=True)
    assert sorted(started(found)) == ["hopeless", "other"]
    ask(found, hopeless, other)
    assert found.may_go_on("hopeless") and found.may_go_on("other"), "both wait in Ray, where the autoscaler sees them"
    large = NodeFacts({"CPU": 64, "GPU": 1}, {**node("A100").labels, "zone": "zone-b"})
    found.set_nodes({**nodes("-/2"), "1": large})
    found.grant()
    assert found.is_placed("other") and not found.is_placed("hopeless")


def test_a_training_on_two_types_is_not_passed_by_small_cells_of_either():
    large = CellToPlace("large", CellNeeds(ONE, ONE, Needs(), 4, in_trial=False), {"A100": 50.0})
    small = [CellToPlace(f"s{n}", CellNeeds(ONE, ONE, Needs(), 1, in_trial=False), {"A100": 1.0}) for n in range(40)]
    first = CellToPlace("first", small[0].needs, {"A100": 99.0})
    found, active = places("A100:2 V100:2", first, large, *small), []

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


def test_executing_cells_are_bounded_by_the_cpus_that_execute():
    found, running = places("A100:1 -/2", *(cell(f"{n}", "A100") for n in range(99))), 0
    started(found)
    for name in reversed([f"{number}" for number in range(99)]):
        if name in found._pool_of:
            found.executing(name)
            running += 1
            started(found)
    assert running <= 16 + 2 + 1 + 2


def test_a_share_lies_on_one_accelerator():
    cells = {f"{n}": cell(f"{n}", "A100", gpus=0.35) for n in range(40)}
    found = places("A100:8/64", *cells.values())
    ask(found, *(cells[name] for name in started(found)))
    assert sum(found.is_placed(name) for name in cells) == 16


def test_a_cordoned_node_gets_nothing_until_it_is_open_again():
    places = Places([cell("a", "A100"), cell("b", "A100"), cell("c", "A100")])
    there = nodes("A100:1 A100:1")
    places.set_nodes(there, {"1"})
    for name in ("first", "second", "third"):
        places.request(name, name, on("A100"))
    assert places.grant() == ["first", "second"], "the second one waits in Ray for the place of the first"
    assert places.is_placed("first") and not places.is_placed("second")
    places.set_nodes(there)
    assert places.grant() == ["third"] and places.is_placed("second") and not places.is_placed("third")
