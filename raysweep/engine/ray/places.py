"""Decides which cell starts next, and which of the processes that wait gets resources next.

A pool is the nodes with one type of accelerator; cells without accelerators have a pool of all nodes. In each pool the
cell with the longest expected time comes first (Graham, "Bounds on multiprocessing timing anomalies", 1969), and nobody
passes a process that waits for more than is free. As many cells start as places are free, and one more for each pool,
so that a place is never empty for the time in which a cell starts. The process whose turn comes next in a pool asks Ray
for its resources while none are free, so that Ray's autoscaler sees that more nodes are wanted.

Nothing here talks to Ray: the keeper of the hosts (hosts.py) asks for decisions and starts what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from raysweep.config.resources import ACCELERATOR_LABEL
from raysweep.engine.ray.nodes import NodeFacts, matches
from raysweep.planning.costs import hours_on
from raysweep.planning.needs import CellNeeds, Needs, matches_one, names_in

ALL = ""
"""Name of the pool of cells without accelerators."""


@dataclass(frozen=True)
class CellToPlace:
    """A cell that waits to be started.

    `hours`: the time that it is expected to take, by type of accelerator; empty if nothing is known. `group`: all cells
    of a group run in one pool, which groups.py chooses; empty: it has none.
    """

    id: str
    needs: CellNeeds = field(default_factory=CellNeeds)
    hours: Mapping[str, float] = field(default_factory=dict)
    group: str = ""

    @property
    def first(self) -> tuple[Needs, int]:
        """What its first stage asks for, and how many processes of it; of a stage with accelerators if there is one."""
        trains = self.needs.workers or self.needs.in_trial
        if trains and (self.needs.training.gpus or not self.needs.generation.gpus):
            return self.needs.training, max(1, self.needs.workers)
        return self.needs.generation, 1

    @property
    def stages_on_accelerators(self) -> list[tuple[Needs, int]]:
        """What its stages with accelerators ask for, and how many processes of them run at a time."""
        both = [(self.needs.training, self.needs.workers), (self.needs.generation, 1)]
        return [(needs, number) for needs, number in both if needs.gpus and number]

    @property
    def accelerators(self) -> float:
        """The most accelerators that it holds at a time, all processes of a stage together."""
        return max((needs.gpus * number for needs, number in self.stages_on_accelerators), default=0.0)

    @property
    def named(self) -> list[str] | None:
        """The types that all of its labels allow, of those that they name; None if they name none."""
        labels = [needs.labels.get(ACCELERATOR_LABEL, "") for needs, _ in self.stages_on_accelerators]
        lists = [names for label in labels if (names := names_in(label))]
        if not lists:
            return None
        allowed = [name for name in lists[0] if all(name in names for names in lists)]
        return [name for name in allowed if not any(label and not matches_one(label, name) for label in labels)]

    def lacks(self, pool: str) -> str:
        """Return why a stage can't run on a pool's type of accelerator, whatever its nodes have; empty if each can."""
        reasons = (needs.unfit_for(pool) for needs, _ in self.stages_on_accelerators)
        return next(filter(None, reasons), "")

    @property
    def is_on_accelerators(self) -> bool:
        """Return True if one of its stages asks for accelerators."""
        return bool(self.stages_on_accelerators)

    def expected(self, pool: str) -> float:
        """Return the hours that it is expected to take in a pool, or on the slowest type if the pool's isn't known."""
        known = hours_on(self.hours, pool, not self.is_on_accelerators)
        return max(self.hours.values(), default=0.0) if known is None else known


@dataclass(eq=False)
class _Place:
    """What an owner asks for or holds.

    `nodes`: the node of each process, empty while it waits in Ray, None while it waits here.
    """

    owner: str
    cell: str
    pool: str
    needs: Needs
    number: int
    hours: float
    nodes: list[str] | None = None


class Places:
    """The pools of a cluster, the cells that wait, and who holds what.

    Args:
        cells: all that are to run.
        pools: of groups of cells (`raysweep.engine.ray.groups.pools_of_groups`).
        may_grow: an autoscaler may start nodes of types that cells ask for by name.
    """

    def __init__(
        self,
        cells: Iterable[CellToPlace] = (),
        pools: Mapping[str, str] = MappingProxyType({}),
        *,
        may_grow: bool = False,
    ) -> None:
        self._pool_of_group, self._may_grow = dict(pools), may_grow
        self._cells = {cell.id: cell for cell in cells}
        self._asked = {name for cell in self._cells.values() for name in cell.named or ()}
        self._queues: dict[str, list[str]] = {}  # by pool: cells that may start there, the longest last
        self._pool_of: dict[str, str] = {}  # of each cell that was started
        self._waiting: dict[str, set[str]] = {}  # by pool: started cells that hold nothing, yet
        self._executing: set[str] = set()
        self._nodes: dict[str, NodeFacts] = {}
        self._left: dict[str, dict[str, float]] = {}  # what is free on each node
        self._usable: dict[tuple[Any, ...], list[str]] = {}  # nodes by pool and labels
        self._places: dict[str, _Place] = {}  # by owner

    def set_nodes(self, nodes: Mapping[str, NodeFacts]) -> None:
        """Take note of the live nodes that are not drained, by their ids.

        What was held on a node that is gone, or drained, is free no longer.
        """
        if nodes == self._nodes:
            return
        self._nodes, self._queues, self._usable = dict(nodes), {}, {}
        self._left = {name: dict(node.resources) for name, node in nodes.items()}
        for place in self._places.values():
            for node in place.nodes or ():
                self._take(node, place.needs)

    @property
    def started(self) -> int:
        """How many cells were started so far."""
        return len(self._pool_of)

    def restart(self, started: Mapping[str, str], ended: Iterable[str]) -> None:
        """Take note of cells that were started before this object was made, with their pools, and of those that ended.

        What they hold is not known. They ask for it again when they need more; those that work in their trial's process
        never do, so it is asked for here.
        """
        self._pool_of, self._queues = dict(started), {}
        for place in self._places.values():
            if not place.nodes:
                place.pool = self._pool(place.cell, place.needs)
        for name in ended:
            self.end(name)
        for name, pool in self._pool_of.items():
            if name in self._cells and self._cells[name].needs.in_trial:
                self._waiting.setdefault(pool, set()).add(name)
                self.request(name, name, self._cells[name].needs.training)

    def next_cell(self) -> tuple[str, str] | None:
        """Start the cell whose turn it is; return its id and its pool, or None while none should start.

        A cell that works in its trial's process asks for its place by that; `grant` gives it.
        """
        if len(self._executing) > self._capacity(ALL, Needs(), 1):
            return None
        for pool in self._pools():
            queue = self._queue(pool)
            while queue and (queue[-1] in self._pool_of or queue[-1] not in self._cells):
                queue.pop()  # it was started in another pool
            if queue:
                needs, number = self._cells[queue[-1]].first
                if len(self._waiting.get(pool, ())) <= self._free(pool, needs, number):
                    return self._start(queue.pop(), pool), pool
        return None

    def request(self, owner: str, cell: str, needs: Needs, number: int = 1) -> None:
        """Ask for resources of so many processes for an owner, which works for a cell. Asking twice changes nothing."""
        if owner not in self._places:
            pool = self._pool(cell, needs)
            hours = self._cells[cell].expected(pool) if cell in self._cells else 0.0
            self._places[owner] = _Place(owner, cell, pool, needs, number, hours)
            self._executing.discard(cell)

    def grant(self) -> list[str]:
        """Give free resources to those that wait, longest expected cell first; return the owners that may go on.

        In each pool one of them waits in Ray.
        """
        granted: list[str] = []
        blocked: set[str] = set()
        for place in self._waiting_places():
            if place.pool in blocked:
                continue
            waited_here, nodes = place.nodes is None, self._fitting(place)
            place.nodes = nodes
            if nodes:
                self._no_longer_waits(place.cell)
            else:
                blocked.add(place.pool)
            if waited_here:
                granted.append(place.owner)
        return granted

    def next_in_line(self) -> dict[str, str]:
        """Return the owner that comes next in each pool where one waits, by the pool."""
        first: dict[str, str] = {}
        for place in self._waiting_places():
            first.setdefault(place.pool, place.owner)
        return first

    def may_go_on(self, owner: str) -> bool:
        """Return True if an owner holds what it asked for, or waits for it in Ray."""
        return owner in self._places and self._places[owner].nodes is not None

    def is_placed(self, owner: str) -> bool:
        """Return True if there was room for what an owner asked for."""
        return bool(owner in self._places and self._places[owner].nodes)

    def pool_of(self, owner: str) -> str | None:
        """Return the pool in which an owner holds or wants resources; None if it doesn't."""
        return self._places[owner].pool if owner in self._places else None

    def has_room(self, cell: str, needs: Needs) -> bool:
        """Return True if one more process of a cell would find free resources, and nobody waits for them."""
        pool = self._pool(cell, needs)
        return pool not in self.next_in_line() and self._free(pool, needs, 1) > 0

    def release(self, owner: str) -> None:
        """Take back what an owner holds or asks for."""
        place = self._places.pop(owner, None)
        for node in (place.nodes if place else None) or ():
            self._take(node, place.needs, -1)  # type: ignore[union-attr]

    def executing(self, cell: str) -> None:
        """Take note that a cell only executes programs from now on."""
        if cell in self._cells:
            self._no_longer_waits(cell)
            self._executing.add(cell)

    def end(self, cell: str) -> None:
        """Take note that a cell has ended."""
        self._executing.discard(cell)
        self._no_longer_waits(cell)
        self._cells.pop(cell, None)
        self.release(cell)

    def _no_longer_waits(self, cell: str) -> None:
        self._waiting.get(self._pool_of.get(cell, ALL), set()).discard(cell)

    def _start(self, name: str, pool: str) -> str:
        cell = self._cells[name]
        self._pool_of[name] = pool
        self._waiting.setdefault(pool, set()).add(name)
        if cell.needs.in_trial:  # it holds its resources from its start to its end
            self.request(name, name, cell.needs.training)
        return name

    def _pools(self) -> list[str]:
        """Return the pools that there are, those of groups, and those by name whose nodes an autoscaler may start."""
        types = {node.labels.get(ACCELERATOR_LABEL, ALL) for node in self._nodes.values() if node.resources.get("GPU")}
        return sorted(types | (self._asked if self._may_grow else set()) | set(self._pool_of_group.values()) | {ALL})

    def pools_for(self, cells: Sequence[CellToPlace]) -> list[str]:
        """Return the pools that can hold each of these cells."""
        return [pool for pool in self._pools() if all(self._fits(cell, pool) for cell in cells)]

    def _pool(self, cell: str, needs: Needs) -> str:
        """Return the pool in which a process of a cell runs: the one that its label names, or its cell's."""
        label = needs.labels.get(ACCELERATOR_LABEL, "")
        if not needs.gpus:
            return ALL
        return label if names_in(label) == [label] else self._pool_of.get(cell, ALL)

    def _queue(self, pool: str) -> list[str]:
        if pool not in self._queues:
            usable = [
                cell for cell in self._cells.values() if cell.id not in self._pool_of and self._may_use(cell, pool)
            ]
            self._queues[pool] = [cell.id for cell in sorted(reversed(usable), key=lambda cell: cell.expected(pool))]
        return self._queues[pool]

    def _may_use(self, cell: CellToPlace, pool: str) -> bool:
        """Return True if a cell may run in a pool. One that fits into none is left to Ray, as if it had no type."""
        if not cell.is_on_accelerators:
            return pool == ALL
        if cell.group in self._pool_of_group:
            return self._pool_of_group[cell.group] == pool
        if self._fits(cell, pool):
            return True
        return pool == ALL and not any(self._fits(cell, other) for other in self._pools())

    def _fits(self, cell: CellToPlace, pool: str) -> bool:
        """Return True if a pool's idle nodes can hold each stage of a cell, or nodes that an autoscaler may start."""
        if cell.lacks(pool):
            return False
        if self._may_grow and pool in (cell.named or ()):
            return True
        return all(self._capacity(pool, needs, number) > 0 for needs, number in cell.stages_on_accelerators)

    def _waiting_places(self) -> list[_Place]:
        """Return those that wait, in their order: first those that do so in Ray."""
        waiting = [place for place in self._places.values() if not place.nodes]
        return sorted(waiting, key=lambda place: (place.nodes is None, -place.hours))

    def _nodes_of(self, pool: str, needs: Needs) -> list[str]:
        """Return the ids of the nodes that a process of a pool may run on."""
        key = (pool if needs.gpus else None, *needs.labels.items())
        if key not in self._usable:
            self._usable[key] = [
                name
                for name, node in self._nodes.items()
                if (not needs.gpus or node.labels.get(ACCELERATOR_LABEL, ALL) == pool)
                and matches(needs.labels, node.labels)
            ]
        return self._usable[key]

    def _fitting(self, place: _Place) -> list[str]:
        """Take a node for each process of a place, the fullest first that has room; none if they don't all fit."""
        chosen: list[str] = []
        for _ in range(place.number):
            names = self._nodes_of(place.pool, place.needs)
            fitting = [name for name in names if place.needs.times_in(self._left[name])]
            if not fitting:
                for node in chosen:
                    self._take(node, place.needs, -1)
                return []
            chosen.append(min(fitting, key=lambda name: [self._left[name].get(kind, 0.0) for kind in ("GPU", "CPU")]))
            self._take(chosen[-1], place.needs)
        return chosen

    def _take(self, node: str, needs: Needs, times: int = 1) -> None:
        for name, amount in needs.occupied.items() if node in self._left else ():
            self._left[node][name] = self._left[node].get(name, 0.0) - times * amount

    def _free(self, pool: str, needs: Needs, number: int) -> int:
        """Return how many groups of so many processes would find free resources now."""
        return sum(needs.times_in(self._left[name]) for name in self._nodes_of(pool, needs)) // number

    def _capacity(self, pool: str, needs: Needs, number: int) -> int:
        """Return how many groups of so many processes fit on the nodes of a pool when they are idle."""
        return sum(needs.times_in(self._nodes[name].resources) for name in self._nodes_of(pool, needs)) // number
