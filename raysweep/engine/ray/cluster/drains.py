"""Knows which nodes are drained (announced to be taken away, as spot machines are), and excuses attempts for that.

Ray asks no provider for notices: `raysweep watch-spot` does, and drains the node. `ray.nodes()` doesn't say which nodes
are drained; the records of Ray's head (GCS) do, those of nodes that are gone too. The drain is the reason of a node's
death there only if the node was idle or its deadline had passed, and its last state only if it had work.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from raysweep.engine.attempts import root_cause
from raysweep.engine.checkpoints import Notice
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cordons import MOST_EXCUSES, Excused, fresh_cordons, own_node, read_cordons
from raysweep.errors import RaysweepError

log = logging.getLogger("raysweep")

MOST_DRAINS = 1000
"""Most attempts and deaths of processes of a task that the drain of one node excuses, for one that doesn't go."""
NODES = "nodes"
"""Name under which the ids of an attempt's nodes stand beside its progress file."""


def draining_nodes() -> dict[str, float]:
    """Return the ids of live nodes that are drained, and until when in seconds since the epoch (0: not known)."""
    from ray._private.state import state

    return {node: deadline / 1000 for node, deadline in state.get_draining_nodes().items()}


def drained(nodes: Iterable[str]) -> dict[str, str]:
    """Return those of some nodes, with their addresses, that are drained or were when they died.

    So are those that ended in order, by a SIGTERM, as when their machine is shut down.
    """
    from ray.core.generated.common_pb2 import NodeDeathInfo
    from ray.core.generated.gcs_pb2 import NodeSnapshot

    unforeseen = NodeDeathInfo.UNSPECIFIED, NodeDeathInfo.UNEXPECTED_TERMINATION
    try:
        records, draining = _records(), draining_nodes()
    except Exception as error:  # Ray has ended or is unreachable
        log.debug("drained nodes are not known: %s", error)
        return {}
    addresses = {}
    for node in records.keys() & set(nodes):
        record = records[node]
        was_draining = record.state_snapshot.state == NodeSnapshot.DRAINING
        if node in draining or was_draining or record.death_info.reason not in unforeseen:
            addresses[node] = str(record.node_manager_address)
    return addresses


def notice_of(nodes: Sequence[str], until: float) -> Notice:
    addresses = drained(nodes)
    return Notice({node: addresses.get(node, f"{node[:8]}...") for node in nodes}, until)


def own_notice() -> Notice | None:
    """Return the notice that this process' node is taken away; None: it is not drained, as far as Ray answers."""
    node = own_node()
    with contextlib.suppress(Exception):  # Ray is unreachable for the moment
        if node in (draining := draining_nodes()):
            return notice_of([node], draining[node])
    return None


def excuse_for(progress: ProgressFile, nodes: Iterable[str]) -> str:
    """Say which of some nodes were drained or are cordoned, where that excuses an end of work on them; else return "".

    Each call counts: after `MOST_DRAINS` of them the drain of these nodes excuses nothing more, and cordons after
    `MOST_EXCUSES`.
    """
    nodes, cordons = list(nodes), read_cordons().for_room
    for node in nodes:
        if node in cordons and progress.count("cordons") <= MOST_EXCUSES:
            return cordons[node].reason
    addresses = drained(nodes)
    names = sorted(set(addresses.values()))
    if not names or max(progress.count(f"drains-{node}") for node in addresses) > MOST_DRAINS:
        return ""
    return f"node {names[0]} was drained" if len(names) == 1 else f"nodes {', '.join(names)} were drained"


def begin_here(progress: ProgressFile) -> None:
    """Note that a task's attempts run on this node from now on; excuse the one before if its nodes were drained.

    Called when the task's process has started, before anything else opens its progress file.
    """
    before = progress.exchange(NODES, own_node()).split()
    if progress.activity.attempt and before:
        fresh_cordons()
    if progress.activity.attempt and (reason := excuse_for(progress, before)):
        progress.repeat_attempt(reason)


@contextlib.contextmanager
def excusing_drains(progress: ProgressFile) -> Iterator[None]:
    """Run a training on other nodes, whose ids its workers note; raise Excused if one was drained before it failed.

    An error of raysweep's own, such as a loss that is not finite, is passed through.
    """
    nodes_before = progress.kept(NODES)
    try:
        yield
    except Exception as error:
        ours = isinstance(root_cause(error), RaysweepError)
        info = getattr(error, "preemption_info", None)  # of Ray Train's PreemptionError; workers may have noted less
        preempted = info.preempted_node_ids if info is not None else ()
        reason = "" if ours else excuse_for(progress, [*progress.kept(NODES).split(), *preempted])
        if reason:
            raise Excused(reason) from error
        raise
    finally:
        progress.exchange(NODES, nodes_before)


def note_nodes(progress: ProgressFile, nodes: Iterable[str]) -> None:
    progress.exchange(NODES, " ".join(dict.fromkeys([*progress.kept(NODES).split(), *nodes])))


def _records() -> dict[str, Any]:
    from ray._private.worker import global_worker

    return {node.hex(): record for node, record in global_worker.gcs_client.get_all_node_info().items()}
