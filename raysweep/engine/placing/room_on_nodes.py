"""What is free on the nodes of a cluster, and what of it is kept for processes that wait for accelerators."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from raysweep.engine.placing.fits import IdleNodes
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.planning.predictions.needs import Needs


class RoomOnNodes:
    """The live nodes of a cluster, and what is free on each. `may_grow`: an autoscaler may start others."""

    def __init__(self, *, may_grow: bool = False) -> None:
        self.idle = IdleNodes(may_grow=may_grow)  # the same nodes, asked what fits on them while nothing runs
        self.kept: dict[str, dict[str, float]] = {}
        """By node, the part of what is free that processes wait for which need accelerators, too."""
        self.cordoned: set[str] = set()  # nodes that get no new work now
        self._left: dict[str, dict[str, float]] = {}  # what is free on each node

    def set_nodes(self, nodes: Mapping[str, NodeFacts], cordoned: Collection[str] = ()) -> None:
        """Take note of the live nodes that are not drained; everything on them counts as free, but on cordoned ones."""
        self.idle, self.kept, self.cordoned = IdleNodes(nodes, may_grow=self.idle.may_grow), {}, set(cordoned)
        self._left = {name: dict(node.resources) for name, node in nodes.items()}

    def keep_for(self, pool: str, needs: Needs, number: int) -> None:
        """Keep CPUs, memory and the like for what waits for accelerators, on nodes where enough of these are free.

        Nothing is kept for what the present nodes could not hold when they are idle.
        """
        if not needs.gpus or not self.idle.capacity(needs, number, pool):
            return
        occupied, accelerators = needs.occupied, Needs(0, needs.gpus)
        for name in self._open_to(needs, pool):
            most = needs.times_in(self.idle.nodes[name].resources)
            times = min(number, most, accelerators.times_in(self._left[name]))
            if times:
                kept = self.kept.setdefault(name, {})
                for kind, amount in occupied.items():
                    kept[kind] = kept.get(kind, 0.0) + times * amount
                number -= times

    def take_nodes(self, pool: str, needs: Needs, number: int, taken: Collection[str] = ()) -> list[str]:
        """Take a node for each process, fullest first, none if not all fit. `taken`: whose accelerators are held."""
        chosen: list[str] = []
        names = self._open_to(needs, pool)
        if taken and needs.gpus:
            names = [name for name in names if name not in taken]
        for _ in range(number):
            fitting = [name for name in names if needs.times_in(self._free_on(name, needs))]
            if not fitting:
                for node in chosen:
                    self.give_back(node, needs)
                return []
            chosen.append(min(fitting, key=lambda name: [self._left[name].get(kind, 0.0) for kind in ("GPU", "CPU")]))
            self.take(chosen[-1], needs)
        return chosen

    def take(self, node: str, needs: Needs) -> None:
        """Note that a process holds what it asks for on a node; does nothing for a node that is gone."""
        for name, amount in needs.occupied.items() if node in self._left else ():
            self._left[node][name] = self._left[node].get(name, 0.0) - amount

    def give_back(self, node: str, needs: Needs) -> None:
        for name, amount in needs.occupied.items() if node in self._left else ():
            self._left[node][name] = self._left[node].get(name, 0.0) + amount

    def free(self, pool: str, needs: Needs, number: int) -> int:
        """Return how many groups of so many processes would find free resources now."""
        return sum(needs.times_in(self._free_on(name, needs)) for name in self._open_to(needs, pool)) // number

    def _open_to(self, needs: Needs, pool: str) -> list[str]:
        return [name for name in self.idle.usable(needs, pool) if name not in self.cordoned]

    def _free_on(self, node: str, needs: Needs) -> Mapping[str, float]:
        left, kept = self._left[node], self.kept.get(node)
        if not kept or needs.gpus:
            return left
        return {name: amount - kept.get(name, 0.0) for name, amount in left.items()}
