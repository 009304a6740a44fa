"""What fits on nodes, and what is said of what doesn't: amounts, labels, types of accelerators, shares, drivers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.fits import IdleNodes, require_placeable, unfit, unplaceable
from raysweep.engine.placing.nodes import NodeFacts, matches
from raysweep.errors import UsageError
from raysweep.planning.predictions.needs import CellNeeds, Needs

GIB = 2.0**30


def idle(*nodes: NodeFacts, **options: Any) -> IdleNodes:
    return IdleNodes({f"{number}": node for number, node in enumerate(nodes)}, where="here", **options)


def test_a_predicted_memory_is_no_more_than_a_node_has():
    for is_predicted, memory in ((True, 3 * GIB), (False, 8 * GIB)):
        needs = Needs(memory_bytes=int(8 * GIB), is_predicted=is_predicted)
        assert CellNeeds(generation=needs).capped(lambda _: 3 * GIB).generation.memory_bytes == memory


@pytest.mark.parametrize(
    ("resources", "workers", "said"),
    [
        ({"cpus": 9}, 1, r"9 CPU \(`resources.cpus`, or `resources.training.cpus` of .*\), but here has at most 8"),
        ({"gpus": 2}, 1, r"2 GPU \(`resources.gpus`, .*\), but here has at most 1"),
        (
            {"memory_bytes": 100 * int(GIB)},
            1,
            r"100.0 GiB of memory .*, but here has at most 16.0 GiB of memory",
        ),
        ({"gpus": 1}, 3, "3 training workers .* ask for 1 CPU, 1 GPU each, but here has room for 2"),
        ({"custom": {"tpuu": 1}}, 1, r"1 tpuu \(`resources.custom.tpuu`, .*\), but here has none"),
        ({"labels": {"pool": "in(b,c)"}}, 1, r"matches `resources.labels` pool: 'in\(b,c\)'; there is a"),
        ({"labels": {"pol": "a"}}, 1, r"pol: 'a'; there is no such label \(did you mean 'pool'\?\)"),
        ({"cpus": 5}, 3, "3 training workers .* ask for 5 CPU each, but here has room for 2"),
    ],
)
def test_what_no_node_can_hold_is_refused_with_its_name(resources, workers, said):
    node = NodeFacts({"CPU": 8.0, "GPU": 1.0, "memory": 16 * GIB}, {"pool": "a", "zone": "x"})
    assert re.search(said, idle(node, node).shortage("training", Needs(**resources), workers))


def test_a_model_that_more_gpus_share_than_a_node_has_is_refused_by_its_setting():
    """Two nodes with two GPUs each are no node with four."""
    node = NodeFacts({"CPU": 8.0, "GPU": 2.0, "memory": 16 * GIB})
    said = idle(node, node).shortage("generation", Needs(gpus=4, shared_by=4))
    assert said == (
        "generation asks for 4 GPU of one node (`tensor_parallel: 4` of the generator), but here has at most 2 GPU; "
        "lower it, or use larger nodes"
    )
    assert idle(node, node).shortage("generation", Needs(gpus=2, shared_by=2)) == ""
    with pytest.raises(UsageError, match="large can never be scheduled: generation asks for 4 GPU of one node"):
        require_placeable([(["large"], CellNeeds(generation=Needs(gpus=4, shared_by=4)))], idle(node, node))


def test_where_no_gpu_is_there_the_way_out_is_to_ask_for_none_and_what_fits_is_let_through():
    said = idle(NodeFacts({"CPU": 8.0})).shortage("training", Needs(gpus=1))
    assert said.endswith("but here has none; set it to 0 to work on CPUs, or use larger nodes")
    node = NodeFacts({"CPU": 8.0, "GPU": 1.0, "memory": 16 * GIB}, {"pool": "a", "zone": "x"})
    assert idle(node, node).shortage("training", Needs(cpus=4, gpus=1), 2) == ""
    assert idle(node).shortage("training", Needs(), 0) == ""


def test_all_conditions_must_hold_of_a_nodes_labels():
    there = {"pool": "a", "zone": "x"}
    assert matches({"pool": "in(b,a)", "zone": "!y"}, there) and not matches({"pool": "a", "zone": "y"}, there)
    assert matches({"other": "!a"}, there) and not matches({"other": "a"}, there)


def test_workers_that_would_take_all_leave_no_room_for_their_driver():
    node, half = NodeFacts({"CPU": 2.0}), NodeFacts({"CPU": 2.5})
    asked = "training", Needs(), 2
    driver = {"CPU": 0.001}
    shortage = idle(node).shortage_beside(driver, *asked)
    assert shortage.startswith("the workers would take all of here, and their driver needs 0.001 CPU")
    assert idle(half).shortage_beside(driver, *asked) == ""
    assert idle(node, NodeFacts({"CPU": 1.0})).shortage_beside(driver, *asked) == ""
    assert idle(node).shortage_beside({}, *asked) == ""


def test_shares_of_a_gpu_are_counted_as_ray_does():
    one, two = (idle(NodeFacts({"CPU": 8.0, "GPU": gpus})) for gpus in (1.0, 2.0))
    for share, fit in ((0.05, 20), (0.1, 10), (0.2, 5), (0.25, 4), (0.35, 2), (0.5, 2), (0.6, 1)):
        needs = Needs(0.1, share)
        assert one.shortage("training", needs, fit) == "" == two.shortage("training", needs, 2 * fit), share
        assert f"but here has room for {2 * fit}" in two.shortage("training", needs, 2 * fit + 1), "none lies on two"


def test_all_cells_and_the_stages_that_can_never_be_scheduled_are_named():
    small, large = (CellNeeds(generation=Needs(gpus=gpus), in_trial=False) for gpus in (1, 2))
    wide = CellNeeds(execution=Needs(cpus=99), in_trial=False)
    cells, nodes = [(["a"], small), (["b", "c", "d", "e"], large), (["f"], wide)], idle(NodeFacts({"CPU": 1, "GPU": 1}))
    problems = unplaceable(cells, nodes)
    assert [line.partition(" (")[0] for line in problems] == [
        "b, c, d and 1 more cell can never be scheduled: generation asks for 2 GPU",
        "f can never be scheduled: execution asks for 99 CPU",
    ]
    with pytest.raises(UsageError, match=re.escape("\n".join(problems))):
        require_placeable(cells, nodes)


def test_the_largest_node_that_a_process_may_run_on_bounds_its_predicted_memory():
    small = NodeFacts({"CPU": 4.0, "GPU": 1.0, "memory": 4 * GIB}, {"pool": "a"})
    large = NodeFacts({"CPU": 4.0, "memory": 16 * GIB}, {"pool": "b"})
    nodes = idle(small, large)
    assert nodes.most_memory(Needs()) == 16 * GIB and nodes.most_memory(Needs(gpus=1)) == 4 * GIB
    assert nodes.most_memory(Needs(labels={"pool": "a"})) == 4 * GIB and nodes.most_memory(Needs(gpus=2)) == 0
    assert idle(small, large, may_grow=True).most_memory(Needs()) == 0, "an autoscaler may start larger ones"
    predicted = CellNeeds(training=Needs(gpus=1, memory_bytes=int(8 * GIB), is_predicted=True))
    require_placeable([(["a"], predicted)], nodes)


def test_a_type_is_unfit_by_its_label_its_number_format_or_its_memory():
    def reason(label: str, **asked: Any) -> str:
        return unfit(Needs(**{"gpus": 1, "least_on_accelerator": int(20 * GIB), **asked}), label)

    assert reason("A100-40G") == reason("unknown") == reason("") == reason("A100-10G", gpus=0) == ""
    assert reason("A100-10G") == "has room for 9.5 GiB, and 20.0 GiB are needed"
    assert reason("A100-40G", gpus=0.5).startswith("has room for 19.5 GiB on a share of 0.5")
    assert reason("V100-16G", in_bf16=True) == "has neither bf16 nor TF32"
    assert reason("A100", labels={ACCELERATOR_LABEL: "in(H100,L4)"}) == "doesn't match in(H100,L4)"
