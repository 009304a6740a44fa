"""Executes programs through Ray: a pool of actors, each with one slot of the sandbox, runs batches.

The pool grows while batches wait: it requests one actor at a time, and the others work while Ray schedules it. Each
actor has at most two batches: the second one is there when the first ends, and little is lost if the actor dies. The
batches of a dead actor run again, except those it has returned. Nodes that can't isolate programs as far as the sandbox
requires are excluded.
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from raysweep.engine.base import BatchOutput, ExecuteJob, ProgramBatch
from raysweep.engine.progress import ProgressFile
from raysweep.engine.ray.cluster.cluster import Placement
from raysweep.engine.ray.cluster.cordons import require_open_node
from raysweep.engine.ray.cluster.drains import excuse_for
from raysweep.engine.ray.numbers.held import held_resources
from raysweep.engine.ray.stragglers import Stragglers
from raysweep.errors import RaysweepError, UsageError
from raysweep.execution.pool import Executor
from raysweep.programs import Sandbox, Verdict
from raysweep.units import count

IN_FLIGHT = 2
"""Batches queued at each actor."""
MIN_BACKLOG = 8
"""Waiting batches from which a pool of automatic size grows: fewer take less time than the start of an actor."""
POLL_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""If no actor gets a CPU for so long, the pool starts one that needs none."""
DEATHS = 3
"""The execution fails after so many deaths at one batch, or in a row before an actor was ready."""
CLOSE_SECONDS = 5


class ActorNode(NamedTuple):
    """The node of an actor.

    `node_id` is Ray's, `where` names process and node for messages, `refusal` says why the node can run no programs.
    """

    node_id: str
    where: str
    refusal: str  # "" if it can


class ExecutionActor:
    """One slot. Programs run in interpreters of their own, never in the actor's process.

    `label`: the name in Ray's dashboard.
    """

    def __init__(self, label: str, sandbox: Sandbox) -> None:
        self._label = label
        self._executor = Executor(1, sandbox)  # its slot ends with this process
        self._held = ExitStack()
        self._held.enter_context(held_resources(""))

    def __repr__(self) -> str:
        return f"execute {self._label}"

    def ready(self) -> ActorNode:
        import ray

        require_open_node()
        name, refusal = platform.node(), ""
        try:
            self._executor.level()
        except UsageError as error:
            refusal = f"node {name}: {error}"
        return ActorNode(ray.get_runtime_context().get_node_id(), f"pid {os.getpid()} on node {name}", refusal)

    def run(self, batch: ProgramBatch) -> list[Verdict]:
        return self._executor.run(batch.programs, batch.limits)

    def close(self) -> None:
        """End the slot and remove its folder; Ray would kill the actor before it could remove the folder."""
        self._held.close()
        self._executor.close()


def execute_with_ray(
    job: ExecuteJob, placement: Placement, actors: int | None, progress: ProgressFile
) -> Iterator[BatchOutput[Verdict]]:
    """Yield the verdicts on each batch as soon as it is done. Ray's dashboard names the actors by their activity.

    `placement`: if the task works in the trial's process, the first actor uses the trial's CPU. `actors`: largest
    number of actors; None: as many as have work and get a CPU.

    Raises:
        UsageError: no node can isolate programs as far as the sandbox requires.
        RaysweepError: actors died too often.
    """
    pool = _Pool(job, placement, actors, progress)
    try:
        while pool.unfinished:
            pool.grow()
            yield from pool.poll()
        pool.close()
    finally:
        pool.kill()


@dataclass(eq=False)
class _Worker:
    """One actor. `queue`: references to the results of its batches, with the batches' indices; the first one runs."""

    actor: Any
    where: str = ""
    node: str = ""  # id
    queue: list[tuple[Any, int]] = field(default_factory=list)


class _Pool:
    def __init__(self, job: ExecuteJob, placement: Placement, actors: int | None, progress: ProgressFile) -> None:
        self.unfinished = len(job.batches)  # number of batches
        self._job, self._placement, self._max_actors, self._progress = job, placement, actors, progress
        self._backlog = deque(range(len(job.batches)))
        self._workers: list[_Worker] = []
        self._pending: dict[Any, _Worker] = {}  # at most one actor, by the reference to its `ready` call
        self._pending_since = time.monotonic()
        self._deaths: Counter[int] = Counter()  # deaths of actors by the index of the batch that they ran
        self._failed_starts = 0
        self._refused: dict[str, str] = {}  # reasons by the ids of nodes that isolate too little
        self._stragglers = Stragglers(len(job.batches))

    def grow(self) -> None:
        if self._pending:
            if not self._workers and time.monotonic() - self._pending_since > PATIENCE_SECONDS:
                self._drop_pending()
                self._require_usable_node()
                self._start(cpus=0)
            return
        automatic = self._max_actors is None
        required = MIN_BACKLOG if automatic and self._workers else 1
        if len(self._backlog) >= required and (self._max_actors is None or len(self._workers) < self._max_actors):
            uses_trial_cpu = self._placement.in_trial and not self._refused and not (automatic and self._workers)
            self._start(cpus=0 if uses_trial_cpu else self._placement.cpus)

    def poll(self) -> Iterator[BatchOutput[Verdict]]:
        import ray

        running = {ref: worker for worker in self._workers for ref, _ in worker.queue}
        for ref in ray.wait([*self._pending, *running], num_returns=1, timeout=POLL_SECONDS)[0]:
            if ref in self._pending:
                self._add_ready(ref)
                continue
            worker = running[ref]
            try:
                output = self._finish(worker, ref, _result(ref))
            except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):  # the latter if its node died
                yield from self._replace(worker)
            else:
                self._feed(worker)
                yield output
        for line in self._stragglers.report(time.monotonic()):
            self._progress.note(line)

    def close(self) -> None:
        import ray

        closed = [worker.actor.close.remote() for worker in self._workers]
        ray.wait(closed, num_returns=len(closed), timeout=CLOSE_SECONDS)

    def kill(self) -> None:
        import ray

        self._drop_pending()
        for worker in self._workers:
            ray.kill(worker.actor)

    def _start(self, cpus: float) -> None:
        import ray

        # SPREAD keeps actors that need a CPU out of the trial's placement group, where they would wait for ever
        placement = self._placement if cpus else replace(self._placement, memory_bytes=0, custom={})
        options = placement.actor_options(self._refused)
        remote: Any = ray.remote(ExecutionActor).options(
            num_cpus=cpus,
            scheduling_strategy="SPREAD" if cpus or options else "DEFAULT",
            max_restarts=0,
            max_task_retries=0,
            **options,
        )
        worker = _Worker(remote.remote(self._progress.activity.id, self._job.sandbox))
        self._pending = {worker.actor.ready.remote(): worker}
        self._pending_since = time.monotonic()

    def _drop_pending(self) -> None:
        import ray

        for worker in self._pending.values():
            ray.kill(worker.actor)
        self._pending = {}

    def _add_ready(self, ref: Any) -> None:
        """If the actor died, `grow` requests another, not for ever. A node that isolates too little is excluded."""
        import ray

        worker = self._pending.pop(ref)
        try:
            node: ActorNode = _result(ref)
        except ray.exceptions.RayActorError as error:
            self._failed_starts += not error.preempted
            if self._failed_starts >= DEATHS:
                raise RaysweepError(
                    f"{DEATHS} execution actors died before they were ready; was memory short?"
                ) from error
            return
        self._failed_starts = 0
        if node.refusal:
            ray.kill(worker.actor)
            self._refused[node.node_id] = node.refusal
            self._require_usable_node()
            self._progress.note(f"no programs are run on a node: {node.refusal}")
            return
        worker.where, worker.node = node.where, node.node_id
        if self._progress.activity.waits:
            self._progress.end_wait()
        self._workers.append(worker)
        self._feed(worker)

    def _require_usable_node(self) -> None:
        import ray

        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if not self._workers and alive <= self._refused.keys():
            raise UsageError(list(self._refused.values())[-1])

    def _feed(self, worker: _Worker) -> None:
        while self._backlog and len(worker.queue) < IN_FLIGHT:
            index = self._backlog.popleft()
            method = worker.actor.run.options(name=f"execute {self._progress.activity.id}")
            worker.queue.append((method.remote(self._job.batches[index]), index))
            if len(worker.queue) == 1:
                self._stragglers.start(index, worker.where, time.monotonic())

    def _finish(self, worker: _Worker, ref: Any, rows: list[Verdict]) -> BatchOutput[Verdict]:
        now = time.monotonic()
        index = next(index for queued, index in worker.queue if queued == ref)
        worker.queue.remove((ref, index))
        self._stragglers.finish(index, now)
        if worker.queue:
            self._stragglers.start(worker.queue[0][1], worker.where, now)
        self.unfinished -= 1
        return BatchOutput(index, rows)

    def _replace(self, worker: _Worker) -> Iterator[BatchOutput[Verdict]]:
        """Remove a dead actor: yield the batches that it returned in time, put the others back first in the queue."""
        import ray

        self._workers.remove(worker)
        ray.kill(worker.actor)  # it may be alive but unreachable
        for ref, _ in list(worker.queue):
            missing = ray.exceptions.RayActorError, ray.exceptions.ObjectLostError, ray.exceptions.GetTimeoutError
            with suppress(*missing):
                yield self._finish(worker, ref, _result(ref, timeout=0))
        lost = [index for _, index in worker.queue]
        sizes = [len(self._job.batches[index].programs) for index in lost]
        self._progress.note(f"an execution actor died ({worker.where}); {count(sum(sizes), 'program')} run again")
        for index in lost:
            self._stragglers.drop(index)
        self._backlog.extendleft(reversed(lost))
        if excuse_for(self._progress, [worker.node]):
            return
        self._deaths.update(lost[:1])
        if lost and self._deaths[lost[0]] >= DEATHS:
            raise RaysweepError(
                f"{DEATHS} execution actors died while they ran the same {count(sizes[0], 'program')}, the last one "
                f"({worker.where}); was memory short? Fewer of them: resources.executors: 1"
            )


def _result(ref: Any, timeout: float | None = None) -> Any:
    import ray

    try:
        return ray.get(ref, timeout=timeout)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, RaysweepError) else error) from None
