"""Asks Ray for its nodes, and which of them may hold processes that only wait."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster.cordons import outside_cordons, read_cordons
from raysweep.engine.ray.cluster.drains import draining_nodes
from raysweep.machine import cores, gpus, memory

if TYPE_CHECKING:  # slow to import in workers, which need none of it
    from raysweep.config.schema import RayConfig

STATUS_SECONDS = 10
"""How long Ray may take to say what its nodes do."""

log = logging.getLogger("raysweep")


def this_machine(ray: RayConfig) -> NodeFacts:
    ram, cpus = memory(), ray.cpus or cores()
    return NodeFacts({"CPU": float(cpus), "GPU": float(gpus()), "memory": float(ram.limit or ram.total)})


def nodes_by_id() -> dict[str, NodeFacts]:
    import ray

    draining = draining_nodes()
    alive = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in draining]
    return {
        node["NodeID"]: NodeFacts(node["Resources"], node.get("Labels") or {}, node["NodeManagerAddress"])
        for node in alive
    }


def autoscaler_runs() -> bool:
    """Return True if Ray has an autoscaler (v2), which may start nodes; Ray doesn't say which kinds."""
    from ray._private.worker import global_worker
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply

    reply = GetClusterStatusReply()
    reply.ParseFromString(global_worker.gcs_client.get_cluster_status(timeout_s=STATUS_SECONDS))
    return bool(reply.autoscaling_state.autoscaler_state_version)  # counted by it, 0 without one


def driver_labels(nodes: Iterable[NodeFacts]) -> dict[str, str]:
    """Return a label selector that keeps the processes that only wait away from accelerators, if there are such nodes.

    A trial that holds no resources would keep its node from being given back, and end with it.
    """
    all_nodes = list(nodes)
    others = [
        node for node in all_nodes if not node.labels.get(ACCELERATOR_LABEL) and node.resources.get("CPU", 0.0) >= 1
    ]
    named = sorted({label for node in all_nodes if (label := node.labels.get(ACCELERATOR_LABEL))})
    return {ACCELERATOR_LABEL: f"!in({','.join(named)})"} if others and named else {}


def present_driver_labels() -> dict[str, str]:
    """Return the label selector of `driver_labels` on the nodes that are not cordoned."""
    cordoned = read_cordons().by_node
    return outside_cordons(driver_labels(facts for node, facts in nodes_by_id().items() if node not in cordoned))


class DriverLabels:
    """The label selector of `present_driver_labels`, or that found last while Ray doesn't answer.

    Tune asks for it whenever a trial is made, and an error would end all trials. Tune pickles it, too.
    """

    def __init__(self) -> None:
        self._last: Mapping[str, str] = {}

    def now(self) -> Mapping[str, str]:
        try:
            self._last = present_driver_labels()
        except Exception:
            log.debug("the nodes are not known for the moment", exc_info=True)
        return self._last
