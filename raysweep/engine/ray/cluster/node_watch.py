"""Watches the nodes of a running Ray, and cordons those that can't do a sweep's work (cordons.py).

The process of the command keeps an actor on each node, since a node with a full disk can start no process. Every few
seconds it asks them what their nodes lack: room on a local disk, inodes, memory. Nodes that join later are checked as
all were at the start. Where every node lacks something none is cordoned for it, and work there fails as it may.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.attempts import run_periodically
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster.asking import ANSWER_SECONDS, node_name
from raysweep.engine.ray.cluster.cordons import LOOK_SECONDS, Cordons
from raysweep.engine.ray.cluster.nodes import nodes_by_id
from raysweep.errors import UsageError, last_line
from raysweep.machine import cache_folder, memory
from raysweep.units import size

log = logging.getLogger("raysweep")

LEAST_BYTES = 256 * 2**20
"""A disk with less room is full: Ray and the libraries write some hundred megabytes of temporary files."""
LEAST_INODES = 1000
LEAST_MEMORY = 0.05
"""Part of a node's memory. Ray ends processes where less is free."""
AMPLE = 2
"""A cordoned node must have so many times the least, so that it isn't cordoned again at once."""
Check = Callable[[Mapping[str, NodeFacts]], None]


@contextlib.contextmanager
def watching_nodes(check: Check) -> Iterator[None]:
    """Cordon nodes while the block runs.

    `check`: raises UsageError where nodes differ from this process or from one another. It is called first with all
    nodes that lack nothing, when its error passes through, and later with each node that joins.
    """
    watch = _Watch(check)
    try:
        watch.begin()
        with (
            run_periodically(watch.look, LOOK_SECONDS, "nodes"),
            run_periodically(watch.check_late, LOOK_SECONDS, "late nodes"),
        ):
            yield
    finally:
        watch.end()


class _Watch:
    def __init__(self, check: Check) -> None:
        self._check = check
        self._checked: dict[str, NodeFacts] = {}  # nodes that may be used
        self._unlike: dict[str, str] = {}  # why late nodes may not be used
        self._lacks: dict[str, str] = {}  # what nodes lack now
        self._reported: dict[str, str] = {}
        self._since: dict[str, int] = {}  # the look that has cordoned a node
        self._looks = 0
        self._actors: dict[str, Any] = {}

    def begin(self) -> None:
        self._look(ANSWER_SECONDS)
        nodes = nodes_by_id()
        able = {node: facts for node, facts in nodes.items() if node not in self._lacks} or nodes
        self._check(able)
        self._checked.update(able)
        self._look(LOOK_SECONDS)

    def look(self) -> None:
        with _until_next_time():
            self._look(LOOK_SECONDS)

    def check_late(self) -> None:
        """Check the nodes that have joined, or had lacked something until now. One that differs is refused for good."""
        with _until_next_time():
            for node, facts in nodes_by_id().items():
                if node not in self._checked and node not in self._unlike and node not in self._lacks:
                    label = facts.labels.get(ACCELERATOR_LABEL)
                    alike = [old for old in self._checked.items() if old[1].labels.get(ACCELERATOR_LABEL) == label]
                    try:
                        self._check({node: facts, **dict(alike[:1])})
                        self._checked[node] = facts
                    except UsageError as error:
                        self._unlike[node] = str(error)

    def end(self) -> None:
        import ray

        with contextlib.suppress(Exception):  # Ray itself may have ended
            for actor in self._actors.values():
                ray.kill(actor)
            Cordons().write()

    def _look(self, seconds: float) -> None:
        """Ask the nodes what they lack, log what has changed, and write down which are cordoned."""
        nodes = nodes_by_id()
        self._lacks = self._ask(nodes, seconds)
        unlike = {node: reason for node, reason in dict(self._unlike).items() if node in nodes}
        is_one_left = bool(nodes.keys() - self._lacks.keys() - unlike.keys())
        reasons = {**(self._lacks if is_one_left else {}), **unlike}
        self._report(nodes, {**self._lacks, **unlike}, is_one_left=is_one_left)
        self._looks += 1
        self._since = {node: self._since.get(node, self._looks) for node in reasons}
        named = {node: f"{node_name(node, nodes[node])} gets no work: {reason}" for node, reason in reasons.items()}
        Cordons(self._looks, tuple(self._checked), named, self._since).write()

    def _ask(self, nodes: Mapping[str, NodeFacts], seconds: float) -> dict[str, str]:
        """Return what nodes lack; of one that doesn't answer in time, what it lacked before."""
        import ray

        self._actors = {node: self._actors.get(node) or _start_actor(node) for node in nodes}
        answers = {actor.lack.remote(AMPLE if n in self._lacks else 1): n for n, actor in self._actors.items()}
        ready, _ = ray.wait(list(answers), num_returns=len(answers), timeout=seconds)
        lacks = {node: lack for node, lack in self._lacks.items() if node in nodes}
        for answer in ready:
            node = answers[answer]
            try:
                lacks[node] = ray.get(answer)
            except ray.exceptions.RayError as error:
                del self._actors[node]
                lacks[node] = f"no process can start there ({last_line(error)})"
        return {node: lack for node, lack in lacks.items() if lack}

    def _report(self, nodes: Mapping[str, NodeFacts], reasons: Mapping[str, str], *, is_one_left: bool) -> None:
        for node, facts in nodes.items():
            if node in reasons and node not in self._reported:
                though = "" if is_one_left or node in self._unlike else "; no other node is left, so it is used though"
                verb = "gets no work" if not though else "lacks room"
                log.warning("%s %s: %s%s", node_name(node, facts), verb, reasons[node], though)
            elif node in self._reported and node not in reasons:
                log.warning("%s gets work again", node_name(node, facts))
        self._reported = dict(reasons)


@contextlib.contextmanager
def _until_next_time() -> Iterator[None]:
    try:
        yield
    except Exception:  # such as a moment without an answer from Ray
        log.debug("the nodes can't be looked at for the moment", exc_info=True)


def _start_actor(node: str) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class NodeActor:
        def lack(self, times: float) -> str:
            return lack_of_this_node(times)

    place = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(NodeActor).options(num_cpus=0, max_restarts=0, scheduling_strategy=place).remote()


def lack_of_this_node(times: float = 1) -> str:
    """Return what this process's node lacks for work, such as ``12 MiB free on the disk of /tmp``; empty if nothing.

    The disks are those of temporary files, of Ray's session, and of copies of what lies in an object store.

    `times`: a node lacks what it has less than so many times the least of.
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
