"""A Ray whose head has no CPUs, and nodes of which one can be taken away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

from tests.behaviour.chaos.processes import Seen
from tests.small_ray import Node, SmallRay, small_ray


@dataclass
class Nodes:
    """The nodes beside the head. `replaced`: an equal one joins when one is removed; `removed`: those that are gone."""

    ray: SmallRay
    there: list[Node]
    replaced: bool
    removed: list[Node] = field(default_factory=list)

    def remove_node_of(self, seen: Seen) -> None:
        """Take away the node that a process runs on; raise psutil.NoSuchProcess when it runs on none of them."""
        above = [parent.pid for parent in seen.process.parents()]
        node = next((node for node in self.there if node.raylet in above), None)
        if node is None:
            raise psutil.NoSuchProcess(seen.process.pid)
        self.ray.lose(node)
        self.there.remove(node)
        self.removed.append(node)
        if self.replaced:
            self.there.append(self.ray.add())


@contextlib.contextmanager
def two_nodes(*, replaced: bool = False) -> Iterator[Nodes]:
    """Start a Ray for the length of the block, on which cells have no place but two equal nodes that may be removed."""
    with small_ray(num_cpus=0, num_gpus=0, include_dashboard=False) as ray:
        yield Nodes(ray, [ray.add(), ray.add()], replaced)
