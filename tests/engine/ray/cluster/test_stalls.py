"""Waits of a sweep that are reported, and when."""

from __future__ import annotations

import pytest

from raysweep.engine.progress import DONE, RUNNING, Activity
from raysweep.engine.ray.cluster.stalls import (
    MOVING_SECONDS,
    NOT_IN,
    QUIET_SECONDS,
    Demands,
    StallDetector,
    _amounts,
    demands_of,
)


def test_a_part_that_waits_is_reported_once_and_again_after_ten_times_as_long():
    detector = StallDetector()
    activities = {"a": Activity("a", RUNNING, "training", waits="1 training workers with 1 GPU each")}
    found = {at: detector.check(activities, float(at)) for at in range(0, int(25 * QUIET_SECONDS), 30)}
    told = [at for at, lines in found.items() if lines]
    assert told == [QUIET_SECONDS, 10 * QUIET_SECONDS]
    assert "a has waited 2 min 00 s for 1 training workers with 1 GPU each" in found[int(QUIET_SECONDS)][0]


def test_a_wait_that_ends_and_begins_again_counts_from_its_new_beginning():
    detector = StallDetector()
    waiting = {"a": Activity("a", RUNNING, waits="a GPU")}
    assert detector.check(waiting, 0) == []
    assert detector.check({"a": Activity("a", RUNNING, "training", updated=1)}, QUIET_SECONDS / 2) == []
    assert detector.check(waiting, QUIET_SECONDS) == []
    assert detector.check(waiting, 2 * QUIET_SECONDS)


def test_a_sweep_of_which_no_part_moves_is_reported_as_a_whole():
    detector = StallDetector()
    activities = {"a": Activity("a", DONE, updated=1.0)}
    detector.check(activities, 0)
    [line] = detector.check(activities, QUIET_SECONDS + 1) + detector.check(activities, 2 * QUIET_SECONDS + 2)
    assert line.startswith("the sweep has waited") and "resources for its next task" in line


def test_a_sweep_that_moves_is_left_alone():
    detector = StallDetector()
    for at in range(0, int(5 * QUIET_SECONDS), 30):
        assert detector.check({"a": Activity("a", RUNNING, "training", updated=float(at))}, float(at)) == []


def test_a_wait_while_others_go_on_is_normal_unless_no_node_could_ever_hold_it():
    def first_report(demands: Demands) -> float:
        detector = StallDetector(lambda: demands)
        for at in range(0, int(25 * QUIET_SECONDS), 30):
            moving = Activity("b", RUNNING, "training", updated=float(at))
            if detector.check({"a": Activity("a", RUNNING, waits="1 CPU"), "b": moving}, float(at)):
                return float(at)
        return float("inf")

    assert first_report(Demands("")) == MOVING_SECONDS
    assert first_report(Demands("", are_hopeless=True)) == QUIET_SECONDS


def test_what_waits_for_its_turn_is_not_called_unplaceable():
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    def asked(status, **resources: float):
        entry = status.cluster_resource_state.pending_resource_requests.add(count=6)
        entry.request.resources_bundle.update(resources)
        return entry.request

    status = GetClusterStatusReply()
    node = status.cluster_resource_state.node_states.add(node_ip_address="h", labels={"zone": "a"})
    node.total_resources.update({"CPU": 2.0})
    asked(status, CPU=1.0)
    assert demands_of(status) == Demands(". Waiting for their turn: 6 x 1 CPU. Free: h: nothing")
    asked(status, CPU=3.0)
    labels = asked(status, CPU=1.0).label_selectors.add().label_constraints
    labels.add(label_key="zone", operator=NOT_IN, label_values=["a"])
    found = demands_of(status)
    assert found.are_hopeless and ". Ray can't place: 6 x 3 CPU; 6 x 1 CPU on nodes with zone!=a. Wai" in found.text
    del status.cluster_resource_state.pending_resource_requests[1:]
    asked(status, CPU=2.0).label_selectors.add().label_constraints.add(label_key="zone", operator=1, label_values=["a"])
    assert not demands_of(status).are_hopeless


def test_what_waits_for_its_turn_together_is_not_called_unplaceable():
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    def asked(*cpus: float) -> Demands:
        status = GetClusterStatusReply()
        for _ in range(2):
            node = status.cluster_resource_state.node_states.add(node_ip_address="h")
            node.total_resources.update({"CPU": 2.0})
        group = status.cluster_resource_state.pending_gang_resource_requests.add()
        for each in cpus:
            group.requests.add().resources_bundle.update({"CPU": each})
        return demands_of(status)

    assert not asked(1.0).are_hopeless and not asked(1.0, 1.0, 2.0).are_hopeless
    assert "Waiting for their turn: together 1 CPU + 2 CPU" in asked(1.0, 2.0).text
    assert asked(3.0).are_hopeless and asked(2.0, 2.0, 1.0).are_hopeless


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"CPU": 1.0, "GPU": 2.0}, "1 CPU, 2 GPU"),
        ({"memory": 3 * 2**30, "node:1.2.3.4": 1.0}, "3.0 GiB"),
        ({"CPU": 1.0, f"bundle_group_0_{'0a' * 18}": 999.999, f"CPU_group_{'0a' * 18}": 1.0}, "1 CPU"),
        ({}, "nothing"),
    ],
)
def test_amounts_read_well(resources, said):
    assert _amounts(resources) == said
