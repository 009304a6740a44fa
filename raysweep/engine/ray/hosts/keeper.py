"""The keeper of a sweep's hosts, each of which keeps one base model in memory (host.py).

    Data's tasks (generation.py)  --batches-->  HostKeeper, one actor for a sweep  --batches-->  Host

A batch goes to whichever host of its base is free, or to one that does another batch of the same cell, so that its
model always has rows to write. The keeper starts hosts while batches wait, for a cell at most as many as it may use. It
ends hosts whose base no unfinished cell has or whose place is wanted, or whose node is drained, and replaces dead ones,
together with their batches. It also says which cell starts next and which training, since hosts and trainings share the
cluster's accelerators (places.py decides).
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import shlex
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.places import Places
from raysweep.engine.ray.batches import MAX_RESTARTS, BatchFailure, died_again
from raysweep.engine.ray.cluster.drains import MOST_DRAINS, draining_nodes
from raysweep.engine.ray.cluster.nodes import driver_labels, nodes_by_id
from raysweep.engine.ray.cluster.ray_lost import end_with_raylet
from raysweep.engine.ray.hosts.host import Host, HostBatch, HostKind
from raysweep.engine.ray.numbers.gauges import waiting_gauge
from raysweep.generators.environments import python_of
from raysweep.planning.predictions.needs import Needs
from raysweep.records import ModelRef

log = logging.getLogger("raysweep")
IDLE_SECONDS = 20.0
"""A host without work that holds CPUs or accelerators ends after so long, since a training may wait for them."""
IDLE_HOSTS = 2
"""Most hosts without work that stay longer though they hold nothing but memory."""
ROOM_SECONDS = 60.0
"""So long after other work has asked for room, such a host ends as soon as it is idle."""
GAP_SECONDS = 5.0
"""A host without work for less may only wait for its cell's next batch, so it keeps a place that others want."""
POLL_SECONDS = 1.0
UNKNOWN = "unknown"
"""What the keeper says of the next cell after it has died: it no longer knows which cells were started."""
WAIT_SECONDS = 10.0
"""Time between two reports that a cell waits for a host, so that the wait isn't taken for a hang."""


@dataclass(eq=False)
class _Call:
    """A batch that a task of Data waits for."""

    asked: HostBatch
    result: asyncio.Future[bytes]
    deaths: int = 0  # of processes that did it, without those of drained nodes
    drains: int = 0  # of nodes on which a process did it
    told: float = field(default_factory=time.monotonic)  # when its cell was last told to wait for a host

    @property
    def is_alone(self) -> bool:
        """Whether it needs a host that does nothing else."""
        return bool(self.deaths) or not (self.asked.joins or self.asked.kind.mixes_cells)


@dataclass(eq=False)
class _Held:
    """A host and what it does.

    `is_up`: its process has started; `is_leaving`: its node is drained, so that it gets no further batches; `model`:
    the version that it was given last.
    """

    kind: HostKind
    base: str  # the base's name
    owner: str = ""  # its name among those that hold places
    actor: Any = None  # None: it waits for a place
    is_up: bool = False
    node: str = ""  # id, once it is up
    is_leaving: bool = False
    shares: bool = False  # it is started for batches that other hosts do meanwhile
    model: ModelRef | None = None
    calls: list[_Call] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)  # when it was started, or last had work

    @property
    def is_free(self) -> bool:
        """Whether it can take another batch. One with which a process has died works alone."""
        is_open = self.is_up and not self.is_leaving
        return is_open and len(self.calls) < self.kind.at_once and not any(call.deaths for call in self.calls)

    def can_take(self, call: _Call) -> bool:
        """Return True if it can take this batch beside what it does."""
        if not self.is_free or self.kind != call.asked.kind:
            return False
        if not self.calls:
            return True
        return not call.is_alone and (self.kind.mixes_cells or self.calls[0].asked.run == call.asked.run)


class HostKeeper:
    """Starts and ends the hosts of a sweep and gives them batches. It is an asyncio actor.

    Args:
        cells: the name of the base of each unfinished cell.
        to_place: cells that wait to be started.
        pools: of groups of cells.
        may_grow: an autoscaler may start nodes.
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
        self._number_of_hosts = 0
        self._calls: dict[tuple[str, int], _Call] = {}
        self._queue: deque[_Call] = deque()
        self._hosts: list[_Held] = []
        self._failed_starts = Counter[str]()  # by kind of host, since the last success
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_watching = False
        self._room_until = 0.0
        self._waiting = waiting_gauge()

    async def generate(self, asked: HostBatch) -> bytes:
        """Return what `Host.generate` returns for a batch. A batch that is asked for again is not made twice."""
        self._watch_over()
        key = asked.run, asked.index
        if key not in self._calls:
            self._drop_runs_before(asked)
            self._calls[key] = call = _Call(asked, asyncio.get_running_loop().create_future())
            self._queue.append(call)
            self._hand_out()
        try:
            return await asyncio.shield(self._calls[key].result)
        finally:
            if key in self._calls and self._calls[key].result.done():
                del self._calls[key]

    async def end_cell(self, cell: str) -> None:
        """Take note that a cell is done or has given up; end hosts that work for it, and those that nobody needs."""
        self._cells.pop(cell, None)
        self._trainings.pop(cell, None)
        self._places.end(cell)
        self._drop([call for call in self._calls.values() if call.asked.cell == cell])
        self._end_unneeded()
        self._hand_out()

    async def next_cell(self, started: int) -> tuple[str, str] | str | None:
        """Return the cell to start now and its pool; None: none should start yet.

        Args:
            started: how many cells the caller has started. If that isn't what the keeper knows, since it has died in
                between, it returns `UNKNOWN`, and `restart` must be called first.
        """
        if started != self._places.started:
            return UNKNOWN
        self._watch_over()
        turn = self._places.next_cell()
        self._give_places()
        return turn

    async def restart(self, started: Mapping[str, str], ended: Sequence[str]) -> None:
        """Take note of the cells that were started, with their pools, and of those that have ended."""
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
        """Take back what a cell's training held."""
        self._places.release(cell)
        self._give_places()

    async def executing(self, cell: str) -> None:
        """Take note that a cell only executes programs from now on."""
        self._places.executing(cell)

    async def make_room(self) -> None:
        """End idle hosts that hold CPUs or accelerators, since an execution waits for some."""
        self._room_until = time.monotonic() + ROOM_SECONDS
        self._end_unneeded()
        self._give_places()

    def _watch_over(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            self._spawn(self._watch())
            self._read_nodes()

    def _read_nodes(self) -> None:
        self._places.set_nodes(nodes_by_id())
        draining = draining_nodes()
        for held in self._hosts:
            held.is_leaving |= held.node in draining  # and stays so when the node has gone

    def _give_places(self) -> None:
        """Give free places to the trainings and hosts whose turn it is; end idle hosts that are in their way."""
        while True:
            for owner in self._places.grant():
                if owner in self._trainings:
                    self._trainings.pop(owner).set_result(None)
                for held in self._hosts:
                    if held.owner == owner:
                        self._begin(held)
            now = time.monotonic()
            idle = [held for held in self._idle() if now - held.since > GAP_SECONDS]
            in_the_way = [held for held in idle if self._places.is_in_the_way(held.owner)]
            if not in_the_way:
                return
            self._end(min(in_the_way, key=lambda held: held.since))

    def _drop_runs_before(self, asked: HostBatch) -> None:
        """Drop the batches of the same cell's earlier pipeline, whose process has died or was ended for a hang."""
        same_cell = (call for call in self._calls.values() if call.asked.cell == asked.cell)
        self._drop([call for call in same_cell if call.asked.run != asked.run])

    def _drop(self, calls: list[_Call]) -> None:
        for call in calls:
            del self._calls[call.asked.run, call.asked.index]
            call.result.cancel()
            if call in self._queue:
                self._queue.remove(call)
            for held in [held for held in self._hosts if call in held.calls]:
                held.calls.remove(call)
                self._end(held)

    def _hand_out(self) -> None:
        """Give waiting batches to free hosts, and start a host for each that gets none.

        Of several free hosts, a batch goes to one that has its model already; of several batches, a host gets one of
        its model, so that versions change seldom. Batches of a host that died come before both.
        """
        loaded = {held.model for held in self._hosts if held.is_free}
        for call in sorted(self._queue, key=lambda call: (not call.deaths, call.asked.model not in loaded)):
            at_work = self._at_work(call.asked.run)
            among = at_work if len(at_work) >= call.asked.most else self._hosts
            free = [held for held in among if held.can_take(call)]
            if any(other.deaths and other.asked.kind == call.asked.kind for other in self._queue):
                free = [held for held in free if not held.calls]  # else no host would be free for that batch alone
            if free:
                held = min(free, key=lambda held: (len(held.calls), held.model != call.asked.model))
                self._queue.remove(call)
                held.calls.append(call)
                held.model = call.asked.model
                self._spawn(self._run(held, call))
        starting = [held.kind for held in self._hosts if not held.is_up]
        for kind, cell in self._wanted():
            if kind in starting:
                starting.remove(kind)
            else:
                self._start(kind, cell)
        self._spread()
        self._give_places()

    def _at_work(self, run: str) -> list[_Held]:
        """Return the hosts that do batches of a pipeline."""
        return [held for held in self._hosts if any(call.asked.run == run for call in held.calls)]

    def _wanted(self) -> list[tuple[HostKind, str]]:
        """Return the kind of each host that the waiting batches would fill, and a cell to start it for."""
        runs: dict[str, list[_Call]] = {}
        for call in self._queue:
            runs.setdefault(call.asked.run, []).append(call)
        wanted: list[tuple[HostKind, str]] = []
        shared: dict[str, list[HostBatch]] = {}  # those that go beside those of any cell
        for run, calls in runs.items():
            kind, most = calls[0].asked.kind, max(0, calls[0].asked.most - len(self._at_work(run)))
            alone = [call.asked for call in calls if call.is_alone]
            joining = [call.asked for call in calls if not call.is_alone]
            if kind.mixes_cells and joining:
                shared.setdefault(kind.text, []).extend(joining[: most * kind.at_once])
                joining = []
            wanted += [(kind, batch.cell) for batch in [*alone, *joining[:: kind.at_once]][:most]]
        for batches in filter(None, shared.values()):
            wanted += [(batch.kind, batch.cell) for batch in batches[:: batches[0].kind.at_once]]
        return wanted

    def _spread(self) -> None:
        """Start one more host of a kind where cells share each of its hosts, and a place is free."""
        kinds: list[HostKind] = []
        for held in self._hosts:
            is_shared = len({call.asked.cell for call in held.calls}) > 1
            if held.kind.holds_place and is_shared and held.kind not in kinds:
                kinds.append(held.kind)
        for kind in kinds:
            alike = [held for held in self._hosts if held.kind == kind]
            if all(held.is_up and held.calls for held in alike):
                cell = alike[0].calls[0].asked.cell
                if self._places.has_room(cell, kind.placement):
                    self._start(kind, cell, shares=True)

    def _start(self, kind: HostKind, cell: str, shares: bool = False) -> None:
        """Start a host for a cell as soon as there is a place for it."""
        self._number_of_hosts += 1
        held = _Held(kind, self._cells.get(cell, ""), f"host {self._number_of_hosts}", shares=shares)
        self._hosts.append(held)
        if kind.holds_place:
            self._places.request(held.owner, cell, kind.placement)
            self._give_places()
        else:
            self._begin(held)

    def _begin(self, held: _Held) -> None:
        """Start a host's process."""
        import ray

        kind = held.kind
        lent = kind.placement.in_trial  # the trial lends its CPU while it waits
        python = python_of(kind.job.generator)
        remote: Any = ray.remote(Host).options(
            num_cpus=0 if lent else kind.placement.cpus,
            num_gpus=kind.placement.gpus or None,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=kind.at_once,
            **kind.placement.remote_options,
            **({"runtime_env": {"py_executable": shlex.quote(str(python))}} if python else {}),
        )
        held.actor = remote.remote(kind, held.base)
        self._spawn(self._await_start(held))

    async def _await_start(self, held: _Held) -> None:
        import ray

        try:
            held.node = await held.actor.ready.remote()
        except ray.exceptions.RayError as error:
            if held not in self._hosts:
                return
            self._end(held)
            kind = held.kind.text
            self._failed_starts[kind] += not getattr(error, "preempted", False)
            if self._failed_starts[kind] > MAX_RESTARTS:
                del self._failed_starts[kind]
                failure = BatchFailure(f"{died_again('a host', MAX_RESTARTS + 1)} ({error})", retry=True, trace="")
                for call in [call for call in self._queue if call.asked.kind == held.kind]:
                    self._queue.remove(call)
                    call.result.set_result(pickle.dumps(failure))
        else:
            del self._failed_starts[held.kind.text]
            held.is_up, held.since = True, time.monotonic()
        self._hand_out()

    async def _run(self, held: _Held, call: _Call) -> None:
        """Have a host do a batch. If the host dies, its batches are the next that others get."""
        import ray

        name = f"Host generates {call.asked.cell}"  # in Ray's dashboard, and the title of the process
        try:
            result: bytes = await held.actor.generate.options(name=name).remote(call.asked)
            if held not in self._hosts:
                return  # it was ended, and its batch dropped
        except ray.exceptions.RayError as error:
            if held not in self._hosts:
                return
            log.debug("a host of %s died: %s", held.base, error)
            is_drained = held.is_leaving or getattr(error, "preempted", False)
            what = "went with its node" if is_drained else "died"
            for cell in {lost.asked.cell: lost.asked for lost in held.calls}.values():
                cell.progress.note(f"the process that held {held.base} {what}; another one does its batch")
            for lost in held.calls:
                if is_drained and lost.drains < MOST_DRAINS:
                    lost.drains += 1
                else:
                    lost.deaths += 1
                if lost.deaths > MAX_RESTARTS:
                    text = died_again("a generator", lost.deaths)
                    lost.result.set_result(pickle.dumps(BatchFailure(text, retry=True, trace=str(error))))
            held.calls = [lost for lost in held.calls if not lost.result.done()]
            self._end(held)
        else:
            held.calls.remove(call)
            held.since = time.monotonic()
            failure = pickle.loads(result)
            if isinstance(failure, BatchFailure) and not failure.is_harmless:
                self._end(held)  # its process may be damaged, such as by an error of the accelerator
            if not call.result.done():
                call.result.set_result(result)
        self._hand_out()

    async def _watch(self) -> None:
        known: set[tuple[str, str]] = set()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                self._read_nodes()
                self._end_unneeded()
                self._hand_out()
                self._report_waits()
            except Exception:  # such as a moment without an answer from Ray
                log.warning("hosts can't be looked after for the moment", exc_info=True)
            waiting = Counter(
                (self._cells.get(call.asked.cell, ""), call.asked.kind.job.generator.name) for call in self._queue
            )
            known |= waiting.keys() | {(held.base, held.kind.job.generator.name) for held in self._hosts}
            for model, generator in known:
                self._waiting.set(waiting[model, generator], {"model": model, "generator": generator})

    def _end_unneeded(self) -> None:
        """End idle hosts that no unfinished cell needs or that are in the way, and starting ones without work."""
        bases, now = set(self._cells.values()), time.monotonic()
        for held in self._idle():
            is_old = now - held.since > IDLE_SECONDS
            if held.kind.holds_place:
                is_in_the_way = is_old or now < self._room_until
            else:
                is_in_the_way = is_old and sum(not one.kind.holds_place for one in self._idle()) > IDLE_HOSTS
            if held.base not in bases or is_in_the_way or held.is_leaving:
                self._end(held)
        wanted = [kind for kind, _ in self._wanted()]
        for held in [held for held in self._hosts if not held.is_up]:
            if held.shares and any(other.calls for other in self._hosts if other.kind == held.kind):
                continue
            if held.kind in wanted:
                wanted.remove(held.kind)
            else:
                self._end(held)

    def _report_waits(self) -> None:
        """Report for each cell that only waits for a host that it does, again and again."""
        at_work = {call.asked.cell for held in self._hosts for call in held.calls}
        now = time.monotonic()
        for call in self._queue:
            if call.asked.cell not in at_work and now - call.told > WAIT_SECONDS:
                at_work.add(call.asked.cell)
                call.told = now
                call.asked.progress.report_wait("a free host of its base")

    def _idle(self) -> list[_Held]:
        return [held for held in self._hosts if held.is_up and not held.calls]

    def _end(self, held: _Held) -> None:
        """End a host; batches that it is doing are the next that others get."""
        import ray

        self._hosts.remove(held)
        self._queue.extendleft(reversed(held.calls))
        self._places.release(held.owner)
        if held.actor is not None:
            ray.kill(held.actor)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)  # asyncio itself keeps no reference
        task.add_done_callback(self._tasks.discard)


def start_keeper(
    cells: Mapping[str, str],
    to_place: Sequence[CellToPlace] = (),
    pools: Mapping[str, str] = MappingProxyType({}),
    may_grow: bool = False,
) -> Any:
    """Start the keeper of a sweep's hosts; return its handle. It ends with the process that calls this.

    Args:
        cells: the name of the base of each cell.
        to_place: cells that wait to be started.
        pools: of groups of cells.
        may_grow: an autoscaler may start nodes.
    """
    import ray

    keeper: Any = ray.remote(HostKeeper).options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=10_000,
        label_selector=driver_labels(nodes_by_id().values()),
    )
    return keeper.remote(dict(cells), list(to_place), dict(pools), may_grow)
