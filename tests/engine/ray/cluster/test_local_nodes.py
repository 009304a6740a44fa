"""Nodes of a real Ray that are drained as `raysweep watch-spot` does it, and how their ends are excused."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from raysweep.engine.ray.cluster.drains import drained, draining_nodes
from raysweep.engine.ray.cluster.local_nodes import LocalNode, local_nodes
from raysweep.engine.ray.cluster.providers import Aws
from raysweep.sweep import spot
from tests.engine.ray.cluster.metadata_server import ACTION, metadata_server
from tests.patience import PATIENCE, eventually
from tests.small_ray import Node

pytestmark = pytest.mark.ray

NOTICE = '{"action": "terminate", "time": "2126-09-18T08:22:00Z"}'
END = 4945393320.0


def local(node: Node) -> LocalNode:
    """Return a node as this machine knows it."""
    (found,) = [one for one in local_nodes() if one.id == node.id]
    return found


def record_of(node: Node) -> Any:
    """Return what Ray's head knows of a node."""
    import ray

    return {key.hex(): one for key, one in ray._private.worker.global_worker.gcs_client.get_all_node_info().items()}[
        node.id
    ]


@pytest.mark.usefixtures("connected")
def test_a_notice_of_the_provider_drains_the_nodes_of_its_machine(shared_ray, monkeypatch):
    """One node has work and stays until its machine goes, the other one ends at once."""
    import ray

    class Work:
        def begin(self) -> None:
            pass

    monkeypatch.setattr(spot, "POLL_SECONDS", 0.05)
    with metadata_server() as server, shared_ray.nodes({"resources": {"held": 1}}, {}) as (busy, idle):
        work: Any = ray.remote(Work).options(num_cpus=0, resources={"held": 1}).remote()
        ray.get(work.begin.remote())
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.port}")
        nodes = [local(busy), local(idle)]
        watch = threading.Thread(target=spot.drain_when_announced, args=(Aws(), nodes))
        watch.start()
        assert drained([busy.id, idle.id]) == {} and all(node.is_up for node in nodes)
        server.answers[ACTION] = 200, NOTICE
        assert eventually(lambda: drained([busy.id, idle.id]).keys() == {busy.id, idle.id})
        assert eventually(lambda: draining_nodes() == {busy.id: END})
        assert eventually(lambda: record_of(idle).death_info.reason_message == "terminate at 2126-09-18T08:22:00Z")
        assert watch.is_alive()
        ray.kill(work)
        watch.join(PATIENCE)
        assert not watch.is_alive() and not any(node.is_up for node in nodes)


@pytest.mark.usefixtures("connected")
def test_a_node_that_is_shut_down_in_order_counts_as_drained(shared_ray):
    """Nodes that are killed: tests/behaviour/ray/test_drains.py."""
    with shared_ray.nodes({}) as (ended,):
        os.kill(ended.raylet, signal.SIGTERM)
        assert eventually(lambda: drained([ended.id]).keys() == {ended.id})
