"""Gives batches to hosts: to whichever host of their base is free, or to one that does others of the same cell.

So a model that a host has always has rows to write. Hosts are started while batches wait, for a cell at most as many as
it may use. The batches of a host that died are the next that others get.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from raysweep.engine.placing.places import Places
from raysweep.engine.ray.batches import MAX_RESTARTS, BatchFailure, died_again
from raysweep.engine.ray.hosts.host import HostBatch, HostKind
from raysweep.engine.ray.hosts.running import Call, RunningHost, RunningHosts, spawn

log = logging.getLogger("raysweep")
WAIT_SECONDS = 10.0
"""Time between two reports that a cell waits for a host, so that the wait isn't taken for a hang."""


class Dispatcher:
    """The batches that tasks of Ray Data wait for.

    `cells`: the name of the base of each unfinished cell; its owner removes those that end. `give_places`: gives free
    places to those that wait.
    """

    def __init__(self, cells: Mapping[str, str], places: Places, give_places: Callable[[], None]) -> None:
        self.hosts = RunningHosts(places, give_places, self.hand_out, self._give_up)
        self._cells, self._places, self._give_places = cells, places, give_places
        self._calls: dict[tuple[str, int], Call] = {}
        self._queue: deque[Call] = deque()

    async def generate(self, asked: HostBatch) -> bytes:
        """Return what `Host.generate` returns for a batch. A batch that is asked for again is not made twice."""
        key = asked.run, asked.index
        if key not in self._calls:
            # the cell's earlier pipeline has died or was ended for a hang
            same_cell = (call for call in self._calls.values() if call.asked.cell == asked.cell)
            self._drop(call for call in same_cell if call.asked.run != asked.run)
            self._calls[key] = call = Call(asked, asyncio.get_running_loop().create_future())
            self._queue.append(call)
            self.hand_out()
        try:
            return await asyncio.shield(self._calls[key].result)
        finally:
            if key in self._calls and self._calls[key].result.done():
                del self._calls[key]

    def drop_cell(self, cell: str) -> None:
        self._drop(call for call in self._calls.values() if call.asked.cell == cell)

    def _drop(self, calls: Iterable[Call]) -> None:
        for call in list(calls):
            del self._calls[call.asked.run, call.asked.index]
            call.result.cancel()
            if call in self._queue:
                self._queue.remove(call)
            for host in [host for host in self.hosts.all if call in host.calls]:
                host.calls.remove(call)
                self._end(host)

    def _give_up(self, kind: HostKind, reason: str) -> None:
        failure = pickle.dumps(BatchFailure(reason, retry=True, trace=""))
        for call in [call for call in self._queue if call.asked.kind == kind]:
            self._queue.remove(call)
            call.result.set_result(failure)

    def hand_out(self) -> None:
        """Give waiting batches to free hosts, and start a host for each that gets none.

        Of several free hosts, a batch goes to one that has its model already; of several batches, a host gets one of
        its model, so that versions change seldom. Batches of a host that died come before both.
        """
        loaded = {host.model for host in self.hosts.all if host.is_free}
        for call in sorted(self._queue, key=lambda call: (not call.deaths, call.asked.model not in loaded)):
            at_work = self.hosts.at_work(call.asked.run)
            among = at_work if len(at_work) >= call.asked.most else self.hosts.all
            free = [host for host in among if host.can_take(call)]
            if any(other.deaths and other.asked.kind == call.asked.kind for other in self._queue):
                free = [host for host in free if not host.calls]  # else no host would be free for that batch alone
            if free:
                host = min(free, key=lambda host: (len(host.calls), host.model != call.asked.model))
                self._queue.remove(call)
                host.calls.append(call)
                host.model = call.asked.model
                spawn(self._run(host, call))
        starting = [host.kind for host in self.hosts.all if not host.is_up]
        for kind, cell in self._wanted():
            if kind in starting:
                starting.remove(kind)
            else:
                self.hosts.start(kind, self._cells.get(cell, ""), cell)
        self._start_spares()
        self._give_places()

    def wanted(self) -> list[HostKind]:
        return [kind for kind, _ in self._wanted()]

    def _wanted(self) -> list[tuple[HostKind, str]]:
        runs: dict[str, list[Call]] = {}
        for call in self._queue:
            runs.setdefault(call.asked.run, []).append(call)
        wanted: list[tuple[HostKind, str]] = []
        shared: dict[str, list[HostBatch]] = {}  # those that go beside those of any cell
        for run, calls in runs.items():
            kind, most = calls[0].asked.kind, max(0, calls[0].asked.most - len(self.hosts.at_work(run)))
            alone = [call.asked for call in calls if call.is_alone]
            joining = [call.asked for call in calls if not call.is_alone]
            if kind.mixes_cells and joining:
                shared.setdefault(kind.text, []).extend(joining[: most * kind.at_once])
                joining = []
            wanted += [(kind, batch.cell) for batch in [*alone, *joining[:: kind.at_once]][:most]]
        for batches in filter(None, shared.values()):
            wanted += [(batch.kind, batch.cell) for batch in batches[:: batches[0].kind.at_once]]
        return wanted

    def _start_spares(self) -> None:
        kinds: list[HostKind] = []
        for host in self.hosts.all:
            is_shared = len({call.asked.cell for call in host.calls}) > 1
            if host.kind.holds_place and is_shared and host.kind not in kinds:
                kinds.append(host.kind)
        for kind in kinds:
            alike = [host for host in self.hosts.all if host.kind == kind]
            if all(host.is_up and host.calls for host in alike):
                cell = alike[0].calls[0].asked.cell
                if self._places.has_room(cell, kind.placement):
                    self.hosts.start(kind, self._cells.get(cell, ""), cell, is_spare=True)

    async def _run(self, host: RunningHost, call: Call) -> None:
        """Have a host do a batch. If the host dies, its batches are the next that others get."""
        import ray

        does = "edits" if call.asked.is_edit else "generates"
        name = f"Host {does} {call.asked.cell}"  # in Ray's dashboard, and the title of the process
        try:
            result: bytes = await host.actor.generate.options(name=name).remote(call.asked)
            if host not in self.hosts.all:
                return  # it was ended, and its batch dropped
        except ray.exceptions.RayError as error:
            if host not in self.hosts.all:
                return
            self._count_death(host, error)
            self._end(host)
        else:
            host.calls.remove(call)
            host.since = time.monotonic()
            failure = pickle.loads(result)
            if isinstance(failure, BatchFailure) and not failure.is_harmless:
                self._end(host)  # its process may be damaged, such as by an error of the accelerator
            if not call.result.done():
                call.result.set_result(result)
        self.hand_out()

    def _count_death(self, host: RunningHost, error: Any) -> None:
        log.debug("a host of %s died: %s", host.base, error)
        is_drained = host.is_leaving or getattr(error, "preempted", False)
        what = "went with its node" if is_drained else "died"
        for asked in {call.asked.cell: call.asked for call in host.calls}.values():
            asked.progress.note(f"the process that held {host.base} {what}; another one does its batch")
        for call in host.calls:
            call.deaths += not is_drained
            if call.deaths > MAX_RESTARTS:
                text = died_again("a generator", call.deaths)
                call.result.set_result(pickle.dumps(BatchFailure(text, retry=True, trace=str(error))))
        host.calls = [call for call in host.calls if not call.result.done()]

    def _end(self, host: RunningHost) -> None:
        self._queue.extendleft(reversed(host.calls))
        self.hosts.end(host)

    def report_waits(self) -> None:
        at_work = {call.asked.cell for host in self.hosts.all for call in host.calls}
        now = time.monotonic()
        for call in self._queue:
            if call.asked.cell not in at_work and now - call.reported > WAIT_SECONDS:
                at_work.add(call.asked.cell)
                call.reported = now
                needs = call.asked.kind.placement.in_words
                call.asked.progress.report_wait(f"a free host of its base, which needs {needs}")

    def waiting(self) -> Counter[tuple[str, str]]:
        return Counter(
            (self._cells.get(call.asked.cell, ""), call.asked.kind.job.generator.name) for call in self._queue
        )
