"""Where tasks are placed, and what can never be."""

from __future__ import annotations

import pytest

from raysweep.config.schema import RayConfig, ResourcesConfig
from raysweep.engine.ray.cluster import SLOT, Cluster, placement
from raysweep.engine.ray.preflight import NodeFacts, matches, require_feasible, require_feasible_beside, this_machine
from raysweep.errors import UsageError

GIB = 2.0**30


def test_one_worker_without_gpu_trains_in_the_trial_and_holds_its_cpu(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked = placement(ResourcesConfig(cpus=2, memory_gib=1), workers=1)
    assert asked.in_trial
    assert Cluster(RayConfig(), None).driver_bundle(asked) == {"CPU": 2, "memory": GIB}


@pytest.mark.parametrize(("resources", "workers"), [({"gpus": 1}, 1), ({}, 2), ({"processes": "workers"}, 1)])
def test_else_the_trial_holds_a_slot_and_its_workers_the_rest(monkeypatch, resources, workers):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked = placement(ResourcesConfig(**resources), workers)
    assert not asked.in_trial
    assert Cluster(RayConfig(), None).driver_bundle(asked) == {SLOT: 1}
    assert Cluster(RayConfig(), "auto").driver_bundle(asked) == {"CPU": 0.001}, "a foreign Ray has no such resource"


def test_several_workers_do_not_fit_into_a_trial():
    with pytest.raises(UsageError, match="'trial', but a recipe has 2 workers"):
        placement(ResourcesConfig(processes="trial"), 2)


@pytest.mark.parametrize(
    ("resources", "workers", "said"),
    [
        ({"cpus": 9}, 1, r"9 CPU \(`resources.cpus`\), but here has at most 8"),
        ({"gpus": 2}, 1, r"2 GPU \(`resources.gpus`\), but here has at most 1"),
        ({"memory_gib": 100}, 1, r"100.0 GiB memory \(`resources.memory_gib`\), but here has at most 16.0 GiB"),
        ({"gpus": 1}, 3, "3 training workers .* ask for 1 CPU and 1 GPU each, but here has room for 2"),
        ({"custom": {"tpuu": 1}}, 1, r"1 tpuu \(`resources.custom.tpuu`\), but here has none"),
        ({"labels": {"pool": "in(b,c)"}}, 1, r"matches `resources.labels` pool: 'in\(b,c\)'; there is a"),
        ({"labels": {"pol": "a"}}, 1, r"pol: 'a'; there is no such label \(did you mean 'pool'\?\)"),
        ({"cpus": 5}, 3, "3 training workers .* ask for 5 CPU each, but here has room for 2"),
    ],
)
def test_what_no_node_can_hold_is_refused_with_its_name(resources, workers, said):
    node = NodeFacts({"CPU": 8.0, "GPU": 1.0, "memory": 16 * GIB}, {"pool": "a", "zone": "x"})
    with pytest.raises(UsageError, match=said):
        require_feasible(placement(ResourcesConfig(**resources), workers), workers, [node, node], "here")


def test_what_fits_is_let_through():
    node = NodeFacts({"CPU": 8.0, "GPU": 1.0, "memory": 16 * GIB}, {"pool": "a", "zone": "x"})
    require_feasible(placement(ResourcesConfig(cpus=4, gpus=1), 2), 2, [node, node], "here")
    require_feasible(placement(ResourcesConfig(), 0), 0, [node], "here")


def test_the_machine_is_measured_and_the_config_can_take_less_of_it():
    found = this_machine(RayConfig()).resources
    assert found["CPU"] >= 1 and found["memory"] > GIB
    assert this_machine(RayConfig(cpus=1)).resources["CPU"] == 1


@pytest.mark.parametrize(
    ("wanted", "matching"),
    [("a", True), ("b", False), ("!a", False), ("!b", True), ("in(b, a)", True), ("!in(a,b)", False), ("!in(b)", True)],
)
def test_label_selectors_are_rays(wanted, matching):
    assert matches({"pool": wanted}, {"pool": "a"}) is matching
    assert matches({"pool": wanted}, {}) is wanted.startswith("!")


def test_workers_that_would_take_all_leave_no_room_for_their_driver():
    node, half = NodeFacts({"CPU": 2.0}), NodeFacts({"CPU": 2.5})
    asked = placement(ResourcesConfig(processes="workers"), 2)
    with pytest.raises(UsageError, match=r"workers would take all of here, and its driver needs 0.001 CPU"):
        require_feasible_beside({"CPU": 0.001}, asked, 2, [node], "here")
    require_feasible_beside({"CPU": 0.001}, asked, 2, [half], "here")
    require_feasible_beside({"CPU": 0.001}, asked, 2, [node, NodeFacts({"CPU": 1.0})], "here")
    require_feasible_beside({}, asked, 2, [node], "here")


def test_shares_of_a_gpu_are_counted_as_ray_does():
    asked = placement(ResourcesConfig(gpus=0.1, cpus=0.1), 10)
    require_feasible(asked, 10, [NodeFacts({"CPU": 1.0, "GPU": 1.0})], "here")
    with pytest.raises(ValueError, match=r"1\.5 GPUs can't be had"):
        ResourcesConfig(gpus=1.5)
