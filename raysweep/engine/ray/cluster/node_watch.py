"""Watches the nodes of a running Ray, and cordons those that can't do a sweep's work (cordons.py).

The process of the command keeps an actor on each node, since a node with a full disk can start no process. Every few
seconds it asks them what their nodes are short of: room on a local disk, inodes, memory. Such a node is cordoned as
long as there is another one like it, which can do all that it could; else work there goes on, and fails as it may.
Nodes that join later are checked as all were at the start. Where an autoscaler runs the actors end once they have
answered, since they would keep it from giving nodes back: nodes are asked when they join, and all of them when work
has failed that may be tried again.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster.asking import ANSWER_SECONDS, await_answers, node_name, on_node
from raysweep.engine.ray.cluster.cordons import LOOK_SECONDS, NODE_LABEL, Cordon, Cordons, requested_look
from raysweep.engine.ray.cluster.nodes import nodes_by_id
from raysweep.errors import UsageError
from raysweep.machine import cache_folder, memory
from raysweep.periodic import run_periodically
from raysweep.units import size

log = logging.getLogger("raysweep")

LEAST_BYTES = 256 * 2**20
"""A disk with less room is full: Ray and the libraries write some hundred megabytes of temporary files."""
LEAST_INODES = 1000
LEAST_MEMORY = 0.05
"""Part of a node's memory. Ray ends processes where less is free."""
ROOM_FACTOR = 2
"""A cordoned node must have so many times the least, so that it isn't cordoned again at once."""
MEMORY_PART = 0.8
"""Machines of one kind have slightly different memory: so much of another one's is enough to replace it."""
START_SECONDS = 2 * LOOK_SECONDS
"""How long nodes have to answer that must start a process for it."""
DEATHS = 2
"""So many actors must die on a node, one after another, before it is taken for one that starts no processes."""
Check = Callable[[Mapping[str, NodeFacts]], None]


@contextlib.contextmanager
def watching_nodes(check: Check, *, may_grow: bool) -> Iterator[None]:
    """Cordon nodes while the block runs. `may_grow`: an autoscaler runs.

    `check`: raises UsageError where nodes differ from this process or from one another. It is called first with all
    nodes that are not cordoned, when its error passes through, and later with each node that joins.
    """
    watch = _Watch(check, may_grow=may_grow)
    try:
        watch.begin()
        with (
            run_periodically(functools.partial(watch.look, LOOK_SECONDS), LOOK_SECONDS, "nodes"),
            run_periodically(watch.check_late, LOOK_SECONDS, "late nodes"),
        ):
            yield
    finally:
        watch.end()


class _Watch:
    def __init__(self, check: Check, *, may_grow: bool) -> None:
        self._check, self._may_grow = check, may_grow
        self._checked: dict[str, NodeFacts] = {}  # nodes that may be used
        self._unlike: dict[str, str] = {}  # why late nodes may not be used
        self._shortages: dict[str, str] = {}  # what those that have answered are short of; empty: of nothing
        self._warned: dict[str, bool] = {}  # nodes that a line was about, and whether it said that they are cordoned
        self._cordons: dict[str, Cordon] = {}
        self._looks = requested_look()  # of an earlier sweep of this process; else 0
        self._actors: dict[str, Any] = {}
        self._deaths = Counter[str]()  # of actors by node, since one has answered

    def begin(self) -> None:
        self.look(ANSWER_SECONDS)
        nodes = nodes_by_id()
        usable = {node: facts for node, facts in nodes.items() if node not in self._cordons}
        self._check(usable)
        self._checked.update(usable)
        self.look(LOOK_SECONDS)

    def check_late(self) -> None:
        """Check the nodes that have joined, or were cordoned at the start. One that differs is refused for good."""
        nodes = nodes_by_id()
        late = self._shortages.keys() & nodes.keys() - (self._checked | self._unlike | self._cordons).keys()
        first_alike = {nodes[node].labels.get(ACCELERATOR_LABEL): node for node in nodes if node in self._checked}
        for node in late:
            alike = first_alike.get(nodes[node].labels.get(ACCELERATOR_LABEL), node)
            try:
                self._check({name: nodes[name] for name in (alike, node)})
                self._checked[node] = nodes[node]
            except UsageError as error:
                self._unlike[node] = str(error)

    def end(self) -> None:
        import ray

        with contextlib.suppress(Exception):  # Ray itself may have ended
            for actor in self._actors.values():
                ray.kill(actor)
            Cordons().write()

    def look(self, seconds: float) -> None:
        """Ask the nodes what they are short of, log what has changed, and write down which are cordoned."""
        nodes = nodes_by_id()
        shortages = self._ask(nodes, seconds)
        self._looks += 1
        unlike = {node: reason for node, reason in dict(self._unlike).items() if node in nodes}
        reasons = {node: shortage for node, shortage in shortages.items() if shortage} | unlike
        able = [facts for node, facts in nodes.items() if node not in reasons]
        cordons, warned = {}, self._warned
        self._warned = {}
        for node, reason in reasons.items():
            name = node_name(node, nodes[node])
            is_cordoned = node in unlike or any(_can_replace(other, nodes[node]) for other in able)
            used = f"{name}: {reason}; it is still used, since no other node could do its work"
            line = f"{name} gets no work: {reason}" if is_cordoned else used
            if is_cordoned:
                first = self._cordons[node].look if node in self._cordons else self._looks
                cordons[node] = Cordon(line, 0 if node in unlike else first)
            if warned.get(node) != is_cordoned:
                log.warning("%s", line)
            self._warned[node] = is_cordoned
        for node in warned.keys() & nodes.keys() - self._warned.keys():
            log.warning("%s has room again", node_name(node, nodes[node]))
        self._cordons, self._shortages = cordons, shortages
        Cordons(self._looks, tuple(node for node in nodes if node in self._checked), cordons).write()

    def _ask(self, nodes: Mapping[str, NodeFacts], seconds: float) -> dict[str, str]:
        """Return what nodes are short of; of one that doesn't answer in time, what it said before."""
        import ray

        is_due = not self._may_grow or requested_look() > self._looks
        to_ask = [node for node in nodes if is_due or node in self._actors or node not in self._shortages]
        self._actors = {
            node: self._actors.get(node) or _remote_actor().options(**on_node(node)).remote() for node in to_ask
        }
        questions = {
            actor.shortage.remote(ROOM_FACTOR if self._shortages.get(node) else 1): node
            for node, actor in self._actors.items()
        }
        answers = await_answers(questions, max(seconds, START_SECONDS) if self._may_grow else seconds)
        self._deaths = Counter({node: deaths for node, deaths in self._deaths.items() if node not in answers.given})
        shortages = {node: shortage for node, shortage in self._shortages.items() if node in nodes} | answers.given
        for node, error in answers.errors.items():
            if isinstance(error, ray.exceptions.ActorUnavailableError):  # maybe the whole node is lost
                continue
            del self._actors[node]
            self._deaths[node] += 1
            log.debug("the actor on %s died: %s", node_name(node, nodes[node]), error)
            if self._deaths[node] >= DEATHS:
                shortages[node] = f"{DEATHS} processes that were started there died, one after another"
        if self._may_grow:  # Ray ends the others, to which no handle is left
            self._actors = {node: self._actors[node] for node in answers.silent}
        return shortages


def _can_replace(node: NodeFacts, other: NodeFacts) -> bool:
    """Return True if a node can do all that another one can, by its resources and labels."""
    labels = {name: value for name, value in other.labels.items() if name != NODE_LABEL}
    return labels.items() <= node.labels.items() and all(
        node.resources.get(name, 0.0) >= (MEMORY_PART if "memory" in name else 1.0) * amount
        for name, amount in other.resources.items()
        if not name.startswith("node:")
    )


class NodeActor:
    """Says what its node is short of."""

    def shortage(self, times: float) -> str:
        return shortage_here(times)


@functools.cache
def _remote_actor() -> Any:
    import ray

    return ray.remote(NodeActor)  # once: Ray sends a class to its nodes each time that it is made remote


def shortage_here(times: float = 1) -> str:
    """Return what this process's node is short of, such as ``12 MiB free on the disk of /tmp``; empty if nothing.

    The disks are those of temporary files, of Ray's session, and of copies of what lies in an object store.

    `times`: factor of the limits.
    """
    from ray._private.worker import _global_node

    session = [Path(_global_node.get_session_dir_path())] if _global_node else []
    for folder in (Path(tempfile.gettempdir()), cache_folder(), *session):
        status = os.statvfs(next(place for place in (folder, *folder.parents) if place.exists()))
        if (free := status.f_bavail * status.f_frsize) < times * LEAST_BYTES:
            return f"{size(free)} free on the disk of {folder}"
        if status.f_files and status.f_favail < times * LEAST_INODES:
            return f"{status.f_favail:,} inodes free on the disk of {folder}"
    ram = memory()
    if ram.available < times * LEAST_MEMORY * (ram.limit or ram.total):
        return f"{size(ram.available)} of its memory free"
    return ""
