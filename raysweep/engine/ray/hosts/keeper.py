"""The keeper of a sweep's hosts, each of which keeps one base model in memory (host.py).

    Ray Data's tasks (generation.py)  --batches-->  HostKeeper, one actor for a sweep  --batches-->  Host

It says which cell starts next and which training, since hosts and trainings share the cluster's accelerators (places.py
decides). dispatcher.py gives batches to hosts; running.py starts hosts and ends them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.places import Places
from raysweep.engine.ray.cluster.cordons import read_cordons
from raysweep.engine.ray.cluster.drains import draining_nodes
from raysweep.engine.ray.cluster.nodes import nodes_by_id, present_driver_labels
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.engine.ray.hosts.dispatcher import Dispatcher
from raysweep.engine.ray.hosts.host import HostBatch
from raysweep.engine.ray.hosts.running import spawn
from raysweep.engine.ray.numbers.gauges import in_ascii, waiting_gauge
from raysweep.planning.predictions.needs import Needs

log = logging.getLogger("raysweep")
ROOM_SECONDS = 60.0
"""So long after other work has asked for room, a host that holds some ends as soon as it is idle."""
POLL_SECONDS = 1.0
UNKNOWN = "unknown"
"""What the keeper says of the next cell after it has died: it no longer knows which cells were started."""


class HostKeeper:
    """Gives places to cells, trainings and hosts, and batches to hosts. It is an asyncio actor.

    `cells`: the name of the base of each unfinished cell. `to_place`: cells that wait to be started. `pools`: of groups
    of cells. `may_grow`: an autoscaler may start nodes.
    """

    def __init__(
        self,
        cells: Mapping[str, str],
        to_place: Sequence[CellToPlace] = (),
        pools: Mapping[str, str] = MappingProxyType({}),
        may_grow: bool = False,
    ) -> None:
        end_with_raylet()
        self._cells = dict(cells)
        self._places = Places(to_place, pools, may_grow=may_grow)
        self._trainings: dict[str, asyncio.Future[None]] = {}  # by cell: those that wait for a place
        self._dispatcher = Dispatcher(self._cells, self._places, self._give_places)
        self._hosts = self._dispatcher.hosts
        self._is_watching = False
        self._room_until = 0.0
        self._waiting = waiting_gauge()

    async def generate(self, asked: HostBatch) -> bytes:
        self._watch_over()
        return await self._dispatcher.generate(asked)

    async def end_cell(self, cell: str) -> None:
        self._cells.pop(cell, None)
        self._trainings.pop(cell, None)
        self._places.end(cell)
        self._dispatcher.drop_cell(cell)
        self._end_unneeded()
        self._dispatcher.hand_out()

    async def next_cell(self, started: int) -> tuple[str, str] | str | None:
        """Return the cell to start now and its pool; None: none should start yet.

        `started`: how many cells the caller has started. If that isn't what the keeper knows, since it has died in
        between, it returns `UNKNOWN`, and `restart` must be called first.
        """
        if started != self._places.started:
            return UNKNOWN
        self._watch_over()
        turn = self._places.next_cell()
        self._give_places()
        return turn

    async def restart(self, started: Mapping[str, str], ended: Sequence[str]) -> None:
        self._places.restart(started, ended)
        for cell in ended:
            self._cells.pop(cell, None)
        self._give_places()

    async def take(self, cell: str, needs: Needs, number: int) -> None:
        """Return once a cell's training holds places for so many workers. Asking again is harmless."""
        self._watch_over()
        if self._places.may_go_on(cell):
            return
        if cell not in self._trainings:
            self._trainings[cell] = asyncio.get_running_loop().create_future()
        turn = self._trainings[cell]
        self._places.request(cell, cell, needs, number)
        self._give_places()
        await asyncio.shield(turn)

    async def give_back(self, cell: str) -> None:
        self._places.release(cell)
        self._give_places()

    async def executing(self, cell: str) -> None:
        self._places.executing(cell)

    async def make_room(self) -> None:
        """End idle hosts that hold CPUs or accelerators, since an execution waits for some."""
        self._room_until = time.monotonic() + ROOM_SECONDS
        self._end_unneeded()
        self._give_places()

    def _watch_over(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            spawn(self._watch())
            self._read_nodes()

    def _read_nodes(self) -> None:
        cordoned = read_cordons().by_node.keys()
        self._places.set_nodes(nodes_by_id(), cordoned)
        self._hosts.note_leaving({*draining_nodes(), *cordoned})

    def _give_places(self) -> None:
        is_over = False
        while not is_over:
            for owner in self._places.grant():
                if owner in self._trainings:
                    self._trainings.pop(owner).set_result(None)
                self._hosts.begin_placed(owner)
            is_over = not self._hosts.end_one_in_the_way()

    def _end_unneeded(self) -> None:
        makes_room = time.monotonic() < self._room_until
        self._hosts.end_unneeded(set(self._cells.values()), self._dispatcher.wanted(), makes_room=makes_room)

    async def _watch(self) -> None:
        known: set[tuple[str, str]] = set()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                self._read_nodes()
                self._end_unneeded()
                self._dispatcher.hand_out()
                self._dispatcher.report_waits()
            except Exception:  # such as a moment without an answer from Ray
                log.warning("hosts can't be looked after for the moment", exc_info=True)
            waiting = self._dispatcher.waiting()
            known |= waiting.keys() | {(host.base, host.kind.job.generator.name) for host in self._hosts.all}
            for model, generator in known:
                self._waiting.set(waiting[model, generator], {"model": in_ascii(model), "generator": generator})


def start_keeper(
    cells: Mapping[str, str],
    to_place: Sequence[CellToPlace] = (),
    pools: Mapping[str, str] = MappingProxyType({}),
    may_grow: bool = False,
) -> Any:
    """It ends with the process that calls this. `HostKeeper` explains the arguments."""
    import ray

    keeper: Any = ray.remote(HostKeeper).options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=10_000,
        label_selector=present_driver_labels(),
    )
    return keeper.remote(dict(cells), list(to_place), dict(pools), may_grow)
