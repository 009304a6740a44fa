"""The life of hosts: starts their processes once they have a place, and ends those that nobody needs."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from raysweep.engine.placing.places import Places
from raysweep.engine.ray.batches import MAX_RESTARTS, died_again
from raysweep.engine.ray.cluster.cordons import Excused
from raysweep.engine.ray.hosts.host import Host, HostBatch, HostKind
from raysweep.generators.environments import python_of
from raysweep.records import ModelRef

IDLE_SECONDS = 20.0
"""A host without work that holds CPUs or accelerators ends after so long, since a training may wait for them."""
IDLE_HOSTS = 2
"""Most hosts without work that stay longer though they hold nothing but memory."""
GAP_SECONDS = 5.0
"""A host without work for less may only wait for its cell's next batch, so it keeps a place that others want."""


@dataclass(eq=False)
class Call:
    """A batch that a task of Ray Data waits for."""

    asked: HostBatch
    result: asyncio.Future[bytes]
    deaths: int = 0  # of processes that did it, without those of drained nodes
    reported: float = field(default_factory=time.monotonic)  # when its cell was last reported to wait for a host

    @property
    def is_alone(self) -> bool:
        return bool(self.deaths) or not (self.asked.joins or self.asked.kind.mixes_cells)


@dataclass(eq=False)
class RunningHost:
    """A host, from the request for its place to its end, and the batches that it does.

    `is_up`: its process has started; `is_leaving`: its node is drained or cordoned, so that it gets no further batches;
    `is_spare`: it was started while several cells share the others; `model`: the version that it was given last.
    """

    kind: HostKind
    base: str  # the base's name
    owner: str = ""  # its name among those that hold places
    actor: Any = None  # None: it waits for a place
    is_up: bool = False
    node: str = ""  # id, once it is up
    is_leaving: bool = False
    is_spare: bool = False
    model: ModelRef | None = None
    calls: list[Call] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)  # when it was started, or last had work

    @property
    def is_free(self) -> bool:
        """Whether it can take another batch. One with which a process has died works alone."""
        is_open = self.is_up and not self.is_leaving
        return is_open and len(self.calls) < self.kind.at_once and not any(call.deaths for call in self.calls)

    def can_take(self, call: Call) -> bool:
        if not self.is_free or self.kind != call.asked.kind:
            return False
        if not self.calls:
            return True
        return not call.is_alone and (self.kind.mixes_cells or self.calls[0].asked.run == call.asked.run)


class RunningHosts:
    """The hosts of a sweep, in the order in which they were asked for.

    `places`: where those that hold CPUs or accelerators ask for them. `give_places`: gives free ones to those that
    wait. `changed`: called when a host is up, or has failed to start. `give_up`: called with a kind whose hosts have
    failed to start too often, and the reason.
    """

    def __init__(
        self,
        places: Places,
        give_places: Callable[[], None],
        changed: Callable[[], None],
        give_up: Callable[[HostKind, str], None],
    ) -> None:
        self.all: list[RunningHost] = []
        self._places, self._give_places = places, give_places
        self._changed, self._give_up = changed, give_up
        self._number = 0  # of hosts that were asked for
        self._failed_starts = Counter[str]()  # by kind of host, since the last success

    def start(self, kind: HostKind, base: str, cell: str, *, is_spare: bool = False) -> None:
        self._number += 1
        host = RunningHost(kind, base, f"host {self._number}", is_spare=is_spare)
        self.all.append(host)
        if kind.holds_place:
            self._places.request(host.owner, cell, kind.placement)
            self._give_places()
        else:
            self.begin(host)

    def begin(self, host: RunningHost) -> None:
        import ray

        kind = host.kind
        lent = kind.placement.in_trial  # the trial lends its CPU while it waits
        python = python_of(kind.job.generator)
        remote: Any = ray.remote(Host).options(
            num_cpus=0 if lent else kind.placement.cpus,
            num_gpus=kind.placement.gpus or None,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=kind.at_once,
            **kind.placement.actor_options(),
            **({"runtime_env": {"py_executable": shlex.quote(str(python))}} if python else {}),
        )
        host.actor = remote.remote(kind, host.base)
        spawn(self.await_start(host))

    async def await_start(self, host: RunningHost) -> None:
        import ray

        try:
            host.node = await host.actor.ready.remote()
        except ray.exceptions.RayError as error:
            if host not in self.all:
                return
            self.end(host)
            kind = host.kind.text
            self._failed_starts[kind] += not (getattr(error, "preempted", False) or isinstance(error, Excused))
            if self._failed_starts[kind] > MAX_RESTARTS:
                del self._failed_starts[kind]
                self._give_up(host.kind, f"{died_again('a host', MAX_RESTARTS + 1)} ({error})")
        else:
            del self._failed_starts[host.kind.text]
            host.is_up, host.since = True, time.monotonic()
        self._changed()

    def end(self, host: RunningHost) -> None:
        import ray

        self.all.remove(host)
        self._places.release(host.owner)
        if host.actor is not None:
            ray.kill(host.actor)

    def begin_placed(self, owner: str) -> None:
        """Start the process of a host that has its place now; do nothing if it isn't a host that the place is for."""
        for host in self.all:
            if host.owner == owner:
                self.begin(host)

    def note_leaving(self, nodes: Collection[str]) -> None:
        """`nodes`: ids of those that are drained or cordoned."""
        for host in self.all:
            host.is_leaving |= host.node in nodes  # and stays so when the node has gone

    def at_work(self, run: str) -> list[RunningHost]:
        return [host for host in self.all if any(call.asked.run == run for call in host.calls)]

    def end_one_in_the_way(self) -> bool:
        """End the idle host that has been idle longest, of those whose place others wait for; return False if none."""
        now = time.monotonic()
        idle = [host for host in self._idle() if now - host.since > GAP_SECONDS]
        in_the_way = [host for host in idle if self._places.is_in_the_way(host.owner)]
        if in_the_way:
            self.end(min(in_the_way, key=lambda host: host.since))
        return bool(in_the_way)

    def end_unneeded(self, bases: Collection[str], wanted: Iterable[HostKind], *, makes_room: bool) -> None:
        """End idle hosts that nobody needs or that are in the way, and starting ones without work.

        `bases`: of the unfinished cells. `wanted`: the kind of each host that the waiting batches would fill.
        `makes_room`: other work waits for what idle hosts hold.
        """
        now = time.monotonic()
        for host in self._idle():
            is_old = now - host.since > IDLE_SECONDS
            if host.kind.holds_place:
                is_in_the_way = is_old or makes_room
            else:
                is_in_the_way = is_old and sum(not other.kind.holds_place for other in self._idle()) > IDLE_HOSTS
            if host.base not in bases or is_in_the_way or host.is_leaving:
                self.end(host)
        unfilled = list(wanted)
        for host in [host for host in self.all if not host.is_up]:
            if host.is_spare and any(other.calls for other in self.all if other.kind == host.kind):
                continue
            if host.kind in unfilled:
                unfilled.remove(host.kind)
            else:
                self.end(host)

    def _idle(self) -> list[RunningHost]:
        return [host for host in self.all if host.is_up and not host.calls]


_tasks: set[asyncio.Task[None]] = set()
"""Those that run; asyncio itself keeps no reference."""


def spawn(coroutine: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(coroutine)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
