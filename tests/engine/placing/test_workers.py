"""The workers that a cluster file allows go where cells need them."""

from __future__ import annotations

from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.cluster_files import ClusterFile, NodeType
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.workers import workers_by_need
from raysweep.planning.predictions.needs import CellNeeds, Needs

GPU = "ray.io/accelerator-type"
HEAD = NodeType("head", NodeFacts({"CPU": 2.0}), 1, 0)
PLAIN = NodeType("plain", NodeFacts({"CPU": 16.0}), 0, 2)


def gpus(label: str, number: float, most: int) -> NodeType:
    return NodeType(label.lower(), NodeFacts({"CPU": 8.0, "GPU": number}, {GPU: label}), 0, most)


def cell(group: str, hours: float, workers: int = 0, execution: Needs = Needs()) -> CellToPlace:
    on = Needs(gpus=1)
    needs = CellNeeds(on, on, execution, workers, in_trial=False)
    return CellToPlace(f"{group} {hours}", needs, {"A100-40G": hours, "L4": hours, "V100": hours}, group)


TYPES = (HEAD, PLAIN, gpus("A100-40G", 8, 3), gpus("L4", 1, 4), gpus("V100", 1, 4))


def test_a_type_without_cells_gets_none_and_what_is_left_goes_to_nodes_without_accelerators():
    numbers = workers_by_need(ClusterFile(TYPES, 12), [cell("a", 80), cell("b", 10)], {"a": "A100-40G", "b": "L4"})
    assert numbers == {"head": 0, "plain": 2, "a100-40g": 3, "l4": 4, "v100": 0}


def test_workers_go_where_most_hours_are_left_for_an_accelerator():
    def numbers(hours: float) -> dict[str, int]:
        cells = [cell("a", hours), cell("b", 10)]
        return workers_by_need(ClusterFile(TYPES, 6), cells, {"a": "A100-40G", "b": "L4"})

    assert numbers(8) == {"head": 0, "plain": 1, "a100-40g": 1, "l4": 4, "v100": 0}
    assert numbers(240) == {"head": 0, "plain": 1, "a100-40g": 3, "l4": 2, "v100": 0}


def test_a_training_gets_the_nodes_that_it_needs_at_a_time_before_others_get_more():
    cells = [cell("a", 1000), cell("b", 1, workers=3)]
    numbers = workers_by_need(ClusterFile(TYPES, 5), cells, {"a": "A100-40G", "b": "L4"})
    assert numbers == {"head": 0, "plain": 1, "a100-40g": 1, "l4": 3, "v100": 0}


def test_a_type_that_only_programs_run_on_gets_a_node():
    special = NodeType("special", NodeFacts({"CPU": 4.0}, {"zone": "b"}), 0, 2)
    cells = [cell("a", 9, execution=Needs(labels={"zone": "b"}))]
    assert workers_by_need(ClusterFile((*TYPES, special), 3), cells, {"a": "L4"})["special"] == 1


def test_where_all_may_run_at_once_each_type_has_its_most_and_cells_without_a_group_use_every_type():
    assert workers_by_need(ClusterFile(TYPES, 13), [], {}) == {kind.name: kind.most for kind in TYPES}
    assert workers_by_need(ClusterFile(TYPES), [], {}) == {kind.name: kind.most for kind in TYPES}
    numbers = workers_by_need(ClusterFile(TYPES, 6), [cell("", hours) for hours in (8, 9)], {})
    assert min(numbers[name] for name in ("a100-40g", "l4", "v100")) >= 1
