"""Execution through Ray: a pool of actors, each with one slot of the sandbox, fed in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.engine.base import Tell
from raysweep.engine.cluster import Placement
from raysweep.execution.pool import Executor
from raysweep.records import Limits, Program, Verdict

BATCH = 32
IN_FLIGHT = 2
"""Batches queued at each actor: the next is there when one ends."""


class ExecutionActor:
    """One slot: programs run in interpreters of their own, never in the actor's process."""

    def __init__(self) -> None:
        self._executor = Executor(slots=1)  # its supervisor ends with this process

    def ready(self) -> None:
        """Answer once the actor has been placed and started."""

    def run(self, programs: Sequence[Program], limits: Limits) -> list[Verdict]:
        """Return one verdict a program, in order."""
        return self._executor.run(programs, limits)


def execute_with_ray(
    programs: Sequence[Program], limits: Limits, tell: Tell, placement: Placement, actors: int
) -> list[Verdict]:
    """Return one verdict a program, in order."""
    import ray

    waiting = iter([(at, list(programs[at : at + BATCH])) for at in range(0, len(programs), BATCH)])
    # SPREAD keeps actors with a CPU of their own out of the trial's placement group, where they would wait for ever.
    strategy = "DEFAULT" if placement.in_trial else "SPREAD"
    remote: Any = ray.remote(ExecutionActor).options(
        num_cpus=0 if placement.in_trial else 1, scheduling_strategy=strategy
    )
    pool = [remote.remote() for _ in range(min(actors, -(-len(programs) // BATCH)))]
    verdicts: dict[int, Verdict] = {}
    starting = {actor.ready.remote(): actor for actor in pool}  # one that never finds a CPU holds nothing up
    running: dict[Any, tuple[int, Any]] = {}

    def submit(actor: Any) -> None:
        batch = next(waiting, None)
        if batch is not None:
            running[actor.run.remote(batch[1], limits)] = (batch[0], actor)

    while len(verdicts) < len(programs):
        for ready in ray.wait([*starting, *running], num_returns=1)[0]:
            if ready in starting:
                ray.get(ready)
                for _ in range(IN_FLIGHT):
                    submit(starting[ready])
                del starting[ready]
                continue
            at, actor = running.pop(ready)
            verdicts.update(enumerate(ray.get(ready), start=at))
            submit(actor)
            tell(len(verdicts), len(programs), "")
    for actor in pool:
        ray.kill(actor)
    return [verdicts[at] for at in range(len(programs))]
