"""The cells that may start and were not started yet, in a queue for each pool in which they may run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from raysweep.engine.placing.cells import ANY, CPUS, CellToPlace
from raysweep.engine.placing.fits import IdleNodes, request_key
from raysweep.planning.predictions.needs import Needs


class WaitingLine(NamedTuple):
    """Those that wait in a pool for one another.

    `to_come`: what they ask for, if more nodes must come for it; empty if the present nodes hold it when they are idle.
    """

    pool: str
    to_come: tuple[Any, ...] = ()

    @classmethod
    def of(cls, idle: IdleNodes, pool: str, needs: Needs, number: int) -> WaitingLine:
        return cls(pool, () if idle.capacity(needs, number, pool) else request_key(needs, number, pool))


class CellQueues:
    """Queues of cells, the one with the longest expected time first, those that others wait for before all others.

    A cell stands in each pool that it fits into, once the cells that it waits for have ended.
    """

    def __init__(self, cells: Iterable[CellToPlace], pools: Mapping[str, str], idle: IdleNodes) -> None:
        self._cells = {cell.id: cell for cell in cells}  # that were not started
        self._unfinished = set(self._cells)
        self._awaited = {name for cell in self._cells.values() for name in cell.after}  # cells that others wait for
        self._named = {name for cell in self._cells.values() for name in cell.named or ()}
        self._pool_of_group = dict(pools)
        self._idle = idle
        self._queues: dict[str, dict[WaitingLine, list[str]]] = {}  # by pool, longest last, with cells that have left

    def set_nodes(self, idle: IdleNodes) -> None:
        self._idle, self._queues = idle, {}

    def set_cells(self, cells: Iterable[CellToPlace]) -> None:
        self._cells, self._queues = {cell.id: cell for cell in cells}, {}

    def remove(self, cell: str) -> None:
        self._cells.pop(cell, None)

    def end(self, cell: str) -> None:
        self.remove(cell)
        self._unfinished.discard(cell)
        if cell in self._awaited:
            self._queues = {}

    def first_cells(self) -> Iterator[tuple[WaitingLine, CellToPlace]]:
        """Yield the first cell of each queue; in each pool, first that of those whose nodes are there."""
        for pool in self._pools():
            for line, queue in self._queues_of(pool).items():
                while queue and queue[-1] not in self._cells:
                    queue.pop()
                if queue:
                    yield line, self._cells[queue[-1]]

    def _queues_of(self, pool: str) -> dict[WaitingLine, list[str]]:
        if pool not in self._queues:
            queues: dict[WaitingLine, list[str]] = {WaitingLine(pool): []}
            ready = [cell for cell in self._cells.values() if self._unfinished.isdisjoint(cell.after)]
            usable = [cell for cell in ready if self._may_use(cell, pool)]
            for cell in sorted(reversed(usable), key=lambda cell: (cell.id in self._awaited, cell.expected(pool))):
                queues.setdefault(WaitingLine.of(self._idle, pool, *cell.first), []).append(cell.id)
            self._queues[pool] = queues
        return self._queues[pool]

    def _pools(self) -> list[str]:
        to_come = self._named if self._idle.may_grow else set()
        return [*sorted({*self._idle.accelerators, *to_come, *self._pool_of_group.values(), ANY}), CPUS]

    def _may_use(self, cell: CellToPlace, pool: str) -> bool:
        if not cell.is_on_accelerators:
            return pool == CPUS
        if cell.group in self._pool_of_group:
            return self._pool_of_group[cell.group] == pool
        if pool == ANY:
            return not any(self._fits(cell, other) for other in self._pools() if other not in (ANY, CPUS))
        return self._fits(cell, pool)

    def _fits(self, cell: CellToPlace, pool: str) -> bool:
        """Where no pool's nodes can, nodes that an autoscaler may start count too."""
        idle = self._idle
        if idle.can_run(cell, pool):
            return True
        may_come = pool in idle.types_to_come([cell])
        return may_come and not any(idle.can_run(cell, other) for other in self._pools() if other not in (ANY, CPUS))
