"""Execution through Ray: a pool of actors, each with one slot of the sandbox, fed batch by batch.

The pool grows while work waits and CPUs come: at most one actor waits for its place, and none is waited for while
others work. An actor has two batches, so that its next is there when one ends, and no more, so that little is lost with
it: the batches of one that died are run again, what it has returned is not. Nodes that can't isolate programs as far as
is required are left out.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from raysweep.engine.base import Block, ExecuteJob
from raysweep.engine.cluster import Placement
from raysweep.engine.execution_actor import ExecutionActor, Place
from raysweep.engine.stragglers import Stragglers
from raysweep.errors import RaysweepError, UsageError
from raysweep.programs import Verdict
from raysweep.progress import ProgressFile
from raysweep.terminal import count

IN_FLIGHT = 2
"""Batches queued at each actor."""
WORTH = 8
"""Batches that must wait before a pool of automatic size grows: below, an actor's start takes longer than they do."""
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""Without any actor that found a CPU for so long, one is started that asks for none."""
DEATHS = 3
"""Actors that may die at one batch, or one after the other before they are ready."""
CLOSE_SECONDS = 5
NODE_LABEL = "ray.io/node-id"
"""That Ray gives to every node."""


def execute_with_ray(
    job: ExecuteJob, placement: Placement, actors: int | None, progress: ProgressFile
) -> Iterator[Block[Verdict]]:
    """Yield the verdicts on each batch as they come. The actors are called by the activity in Ray's dashboard.

    Args:
        job: what to run.
        placement: where the trial is; in it, the first actor works on the trial's own CPU.
        actors: at most so many; None: as many as find a CPU and have work.
        progress: told what is waited for, which actors died, and which batches are late.

    Raises:
        UsageError: no node can isolate programs as far as is required.
        RaysweepError: actors died again and again.
    """
    pool = _Pool(job, placement, actors, progress)
    try:
        while pool.left:
            pool.grow()
            yield from pool.step()
        pool.close()
    finally:
        pool.kill()


@dataclass(eq=False)
class _Worker:
    """One actor. `queue`: the batches that it has, with Ray's references to what they return; the first one runs."""

    actor: Any
    where: str = ""
    queue: list[tuple[Any, int]] = field(default_factory=list)


class _Pool:
    def __init__(self, job: ExecuteJob, placement: Placement, actors: int | None, progress: ProgressFile) -> None:
        self.left = len(job.batches)
        self._job, self._placement, self._most, self._progress = job, placement, actors, progress
        self._waiting = deque(range(len(job.batches)))
        self._workers: list[_Worker] = []
        self._pending: dict[Any, _Worker] = {}  # at most one, by the reference to its being ready
        self._since = time.monotonic()  # when the pending one was asked for
        self._deaths: Counter[int] = Counter()  # of actors, by the batch that they ran
        self._failed_starts = 0
        self._refused: dict[str, str] = {}  # why, by the id of a node that isolates too little
        self._stragglers = Stragglers(len(job.batches))

    def grow(self) -> None:
        """Ask for one more actor where it is of use and none is being waited for."""
        if self._pending:
            if not self._workers and time.monotonic() - self._since > PATIENCE_SECONDS:
                self._drop_pending()
                self._require_a_node()
                self._start(cpus=0)
            return
        worth = 1 if self._most is not None or not self._workers else WORTH
        if len(self._waiting) >= worth and (self._most is None or len(self._workers) < self._most):
            lent = self._placement.in_trial and not self._refused and (self._most is not None or not self._workers)
            self._start(cpus=0 if lent else 1)

    def step(self) -> Iterator[Block[Verdict]]:
        """Wait for something to end, or some seconds, and yield what was made."""
        import ray

        running = {ref: worker for worker in self._workers for ref, _ in worker.queue}
        for ref in ray.wait([*self._pending, *running], num_returns=1, timeout=LOOK_SECONDS)[0]:
            if ref in self._pending:
                self._welcome(ref)
                continue
            worker = running[ref]
            try:
                block = self._ended(worker, ref, _got(ref))
            except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):  # with its node, the latter
                yield from self._lost(worker)
            else:
                self._feed(worker)
                yield block
        for line in self._stragglers.late(time.monotonic()):
            self._progress.note(line)

    def close(self) -> None:
        """End the actors' slots."""
        import ray

        closed = [worker.actor.close.remote() for worker in self._workers]
        ray.wait(closed, num_returns=len(closed), timeout=CLOSE_SECONDS)

    def kill(self) -> None:
        """End all actors at once."""
        import ray

        self._drop_pending()
        for worker in self._workers:
            ray.kill(worker.actor)

    def _start(self, cpus: int) -> None:
        import ray

        # SPREAD keeps actors with a CPU of their own out of the trial's placement group, where they would wait for ever
        elsewhere = {NODE_LABEL: f"!in({','.join(sorted(self._refused))})"} if self._refused else None
        remote: Any = ray.remote(ExecutionActor).options(
            num_cpus=cpus,
            scheduling_strategy="SPREAD" if cpus or elsewhere else "DEFAULT",
            label_selector=elsewhere,
            max_restarts=0,
            max_task_retries=0,
        )
        worker = _Worker(remote.remote(self._progress.activity.id, self._job.sandbox))
        self._pending = {worker.actor.ready.remote(): worker}
        self._since = time.monotonic()

    def _drop_pending(self) -> None:
        import ray

        for worker in self._pending.values():
            ray.kill(worker.actor)
        self._pending = {}

    def _welcome(self, ref: Any) -> None:
        """Give an actor that is ready its first batches; one that died before is replaced, a few times."""
        import ray

        worker = self._pending.pop(ref)
        try:
            place: Place = _got(ref)
        except ray.exceptions.RayActorError as error:
            self._failed_starts += 1
            if self._failed_starts >= DEATHS:
                raise RaysweepError(
                    f"{DEATHS} execution actors died before they were ready; was memory short?"
                ) from error
            return
        self._failed_starts = 0
        if place.refusal:
            ray.kill(worker.actor)
            self._leave_out(place)
            return
        worker.where = place.where
        if self._progress.activity.waits:
            self._progress.go_on()
        self._workers.append(worker)
        self._feed(worker)

    def _leave_out(self, place: Place) -> None:
        """Start no more actors on a node; raise UsageError when there is no other."""
        self._refused[place.node] = place.refusal
        self._require_a_node()
        self._progress.note(f"no programs are run on a node: {place.refusal}")

    def _require_a_node(self) -> None:
        """Raise UsageError when nobody works and every node that there is isolates too little."""
        import ray

        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if not self._workers and alive <= self._refused.keys():
            raise UsageError(list(self._refused.values())[-1])

    def _feed(self, worker: _Worker) -> None:
        while self._waiting and len(worker.queue) < IN_FLIGHT:
            at = self._waiting.popleft()
            named = worker.actor.run.options(name=f"execute {self._progress.activity.id}")
            worker.queue.append((named.remote(self._job.batches[at]), at))
            if len(worker.queue) == 1:
                self._stragglers.began(at, worker.where, time.monotonic())

    def _ended(self, worker: _Worker, ref: Any, rows: list[Verdict]) -> Block[Verdict]:
        """Note that a batch has ended; the next in the queue has begun."""
        now = time.monotonic()
        at = next(at for known, at in worker.queue if known == ref)
        worker.queue.remove((ref, at))
        self._stragglers.ended(at, now)
        if worker.queue:
            self._stragglers.began(worker.queue[0][1], worker.where, now)
        self.left -= 1
        return Block(at, rows)

    def _lost(self, worker: _Worker) -> Iterator[Block[Verdict]]:
        """Yield what a dead actor had returned before it died; put its other batches first in the queue."""
        import ray

        self._workers.remove(worker)
        ray.kill(worker.actor)  # it may only be out of reach
        for ref, _ in list(worker.queue):
            gone = ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.GetTimeoutError
            with suppress(*gone):
                yield self._ended(worker, ref, _got(ref, timeout=0))
        lost = [at for _, at in worker.queue]
        sizes = [len(self._job.batches[at].programs) for at in lost]
        self._progress.note(f"an execution actor died ({worker.where}); {count(sum(sizes), 'program')} run again")
        for at in lost:
            self._stragglers.lost(at)
        self._waiting.extendleft(reversed(lost))
        self._deaths.update(lost[:1])
        if lost and self._deaths[lost[0]] >= DEATHS:
            raise RaysweepError(
                f"{DEATHS} execution actors died while they ran the same {count(sizes[0], 'program')}, the last one "
                f"({worker.where}); was memory short? Fewer of them: resources.executors: 1"
            )


def _got(ref: Any, timeout: float | None = None) -> Any:
    """Return what an actor returned; raise its own error, where it is one of ours, without Ray's around it."""
    import ray

    try:
        return ray.get(ref, timeout=timeout)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, RaysweepError) else error) from None
