"""Decides which cell starts next, and which of the processes that wait gets resources next.

A pool is the nodes with one type of accelerator. Cells without accelerators have a pool of all nodes, and cells that
fit on no type alone have one of all accelerators. In each pool the cell with the longest expected time comes first
(Graham, "Bounds on multiprocessing timing anomalies", 1969), without backfilling: a process that waits for more than is
free blocks those behind it, and pools that share accelerators share one queue. CPUs and memory beside free accelerators
that such a process waits for are kept from processes without accelerators. A process that the present nodes can't hold
even when they are idle blocks only those that ask for the same.

As many cells start as places are free, and one more for each pool, so that a place is never empty for the time in which
a cell starts. The process whose turn comes next in a pool asks Ray for its resources while none are free, so that Ray's
autoscaler sees that more nodes are wanted. Where nodes must come first, one cell starts for each kind of request, since
nobody knows which of them the autoscaler can fulfil.

Nothing here talks to Ray: the keeper of the hosts (engine/ray/hosts/keeper.py) asks for decisions and starts what they
say. queues.py holds the cells that were not started, room_on_nodes.py what is free.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.cells import ANY, CPUS, CellToPlace
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.placing.queues import CellQueues, WaitingLine
from raysweep.engine.placing.room_on_nodes import RoomOnNodes
from raysweep.planning.predictions.needs import Needs, names_in


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

    `cells`: all that are to run. `pools`: of groups of cells (`raysweep.engine.placing.groups.pools_of_groups`).
    `may_grow`: an autoscaler may start nodes of types that cells ask for by name.
    """

    def __init__(
        self,
        cells: Iterable[CellToPlace] = (),
        pools: Mapping[str, str] = MappingProxyType({}),
        *,
        may_grow: bool = False,
    ) -> None:
        self._cells = {cell.id: cell for cell in cells}  # that have not ended
        self.room = RoomOnNodes(may_grow=may_grow)
        self._queues = CellQueues(self._cells.values(), pools, self.room.idle)
        self._pool_of: dict[str, str] = {}  # of each cell that was started
        self._waiting: dict[WaitingLine, set[str]] = {}  # started cells that hold nothing, yet
        self._executing: set[str] = set()
        self._places: dict[str, _Place] = {}  # by owner

    def set_nodes(self, nodes: Mapping[str, NodeFacts], cordoned: Collection[str] = ()) -> None:
        """Take note of the live nodes that are not drained; what was held on others is free no longer.

        `cordoned`: those that get no new work now.
        """
        if nodes == self.room.idle.nodes and set(cordoned) == self.room.cordoned:
            return
        self.room.set_nodes(nodes, cordoned)
        self._queues.set_nodes(self.room.idle)
        waiting = [name for names in self._waiting.values() for name in names]
        self._waiting = {}
        for name in waiting:
            self._waits(name)
        for place in self._places.values():
            for node in place.nodes or ():
                self.room.take(node, place.needs)

    @property
    def started(self) -> int:
        return len(self._pool_of)

    def restart(self, started: Mapping[str, str], ended: Iterable[str]) -> None:
        """Take note of cells that were started before this object was made, with their pools, and of those that ended.

        What they hold is not known, so they count as waiting. They ask for it again when they need more; those that
        work in their trial's process never do, so it is asked for here.
        """
        self._pool_of = dict(started)
        self._queues.set_cells(cell for cell in self._cells.values() if cell.id not in started)
        for place in self._places.values():
            if not place.nodes:
                place.pool = self._pool(place.cell, place.needs)
        for name in ended:
            self.end(name)
        for name in self._pool_of:
            self._waits(name)
            if name in self._cells and self._cells[name].needs.in_trial:
                self.request(name, name, self._cells[name].needs.training)

    def next_cell(self) -> tuple[str, str] | None:
        """Start the cell whose turn it is; return its id and its pool, or None while none should start.

        A cell that works in its trial's process asks for its place by that; `grant` gives it.
        """
        if len(self._executing) > self.room.idle.capacity(Needs(), 1, CPUS):
            return None
        for line, cell in self._queues.first_cells():
            more = 1 if self._may_wait_in_ray(line) else 0
            if len(self._waiting.get(line, ())) < self.room.free(line.pool, *cell.first) + more:
                self._start(cell, line.pool)
                return cell.id, line.pool
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

        In each pool one of them waits in Ray, and one of each kind that the present nodes could never hold.
        """
        granted: list[str] = []
        blocked: set[WaitingLine] = set()
        taken: set[str] = set()  # nodes whose accelerators those wait for that come first
        self.room.kept = {}
        for place in self._waiting_places():
            pool, needs, number = place.pool, place.needs, place.number
            line = self._line(pool, needs, number)
            if line in blocked:
                continue
            waited_here, nodes = place.nodes is None, self.room.take_nodes(pool, needs, number, taken)
            if nodes:
                self._no_longer_waits(place.cell)
            else:
                blocked.add(line)
                self.room.keep_for(pool, needs, number)
                nodes_for_it = set(self.room.idle.usable(needs, pool)) if needs.gpus and not line.to_come else set()
                is_behind = bool(nodes_for_it & taken)  # Ray would not know that somebody comes first
                taken |= nodes_for_it
                if waited_here and (is_behind or not self._may_wait_in_ray(line)):
                    continue
            place.nodes = nodes
            if waited_here:
                granted.append(place.owner)
        return granted

    def next_in_line(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for place in self._waiting_places():
            if not self._line(place.pool, place.needs, place.number).to_come:
                first.setdefault(place.pool, place.owner)
        return first

    def is_in_the_way(self, owner: str) -> bool:
        held = self._places.get(owner)
        if held is None or not held.nodes:
            return False
        return self._is_wanted(held.pool) or (held.pool == CPUS and any(node in self.room.kept for node in held.nodes))

    def may_go_on(self, owner: str) -> bool:
        """Return True if an owner holds what it asked for, or waits for it in Ray."""
        return owner in self._places and self._places[owner].nodes is not None

    def is_placed(self, owner: str) -> bool:
        return bool(owner in self._places and self._places[owner].nodes)

    def has_room(self, cell: str, needs: Needs) -> bool:
        """Return True if one more process of a cell would find free resources, and nobody waits for them."""
        pool = self._pool(cell, needs)
        return not self._is_wanted(pool) and self.room.free(pool, needs, 1) > 0

    def release(self, owner: str) -> None:
        place = self._places.pop(owner, None)
        for node in (place.nodes if place else None) or ():
            self.room.give_back(node, place.needs)  # type: ignore[union-attr]

    def executing(self, cell: str) -> None:
        """Take note that a cell only executes programs from now on."""
        if cell in self._cells:
            self._no_longer_waits(cell)
            self._executing.add(cell)

    def end(self, cell: str) -> None:
        self._executing.discard(cell)
        self._no_longer_waits(cell)
        self._cells.pop(cell, None)
        self._queues.end(cell)
        self.release(cell)

    def _is_wanted(self, pool: str) -> bool:
        pools = set(self.next_in_line())
        return pool in pools or (pool != CPUS and (ANY in pools or (pool == ANY and bool(pools - {CPUS}))))

    def _line(self, pool: str, needs: Needs, number: int) -> WaitingLine:
        return WaitingLine.of(self.room.idle, pool, needs, number)

    def _may_wait_in_ray(self, line: WaitingLine) -> bool:
        """Return False while Ray would give what is kept for others to one that waits there."""
        return not (line == WaitingLine(CPUS) and self.room.kept)

    def _waits(self, cell: str) -> None:
        if cell in self._cells:
            line = self._line(self._pool_of[cell], *self._cells[cell].first)
            self._waiting.setdefault(line, set()).add(cell)

    def _no_longer_waits(self, cell: str) -> None:
        for names in self._waiting.values():
            names.discard(cell)

    def _start(self, cell: CellToPlace, pool: str) -> None:
        self._queues.remove(cell.id)
        self._pool_of[cell.id] = pool
        self._waits(cell.id)
        if cell.needs.in_trial:  # it holds its resources from its start to its end
            self.request(cell.id, cell.id, cell.needs.training)

    def _pool(self, cell: str, needs: Needs) -> str:
        label = needs.labels.get(ACCELERATOR_LABEL, "")
        if not needs.gpus:
            return CPUS
        return label if names_in(label) == [label] else self._pool_of.get(cell, ANY)

    def _waiting_places(self) -> list[_Place]:
        waiting = [place for place in self._places.values() if not place.nodes]
        return sorted(waiting, key=lambda place: (place.pool == CPUS, place.nodes is None, -place.hours))
