"""One slot of the sandbox as a Ray actor; `raysweep.engine.execution` keeps a pool of them."""

from __future__ import annotations

import os
import platform
from typing import NamedTuple

from raysweep.engine.base import Programs
from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.programs import Sandbox, Verdict


class Place(NamedTuple):
    """Where an actor is: Ray's id of its node, and both in words. `refusal`: why it can run no programs, or ""."""

    node: str
    where: str
    refusal: str


class ExecutionActor:
    """One slot: programs run in interpreters of their own, never in the actor's process.

    `label`: what it is called in Ray's dashboard.
    """

    def __init__(self, label: str, sandbox: Sandbox) -> None:
        self._label = label
        self._executor = Executor(1, sandbox)  # its slot ends with this process

    def __repr__(self) -> str:
        return f"execute {self._label}"

    def ready(self) -> Place:
        """Say where the actor runs, once it has been placed and its sandbox tried."""
        import ray

        name, refusal = platform.node(), ""
        try:
            self._executor.level()
        except UsageError as error:
            refusal = f"node {name}: {error}"
        return Place(ray.get_runtime_context().get_node_id(), f"pid {os.getpid()} on node {name}", refusal)

    def run(self, batch: Programs) -> list[Verdict]:
        """Return one verdict a program, in order."""
        return self._executor.run(batch.programs, batch.limits)

    def close(self) -> None:
        """End the slot and remove its folder: Ray would kill both at once."""
        self._executor.close()
