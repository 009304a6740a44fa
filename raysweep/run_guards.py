"""What surrounds a run: enough resources, no second run of the same sweep, and what is said when it ends early."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from raysweep.config import SweepConfig
from raysweep.errors import UsageError
from raysweep.plans import CellPlan
from raysweep.progress import RUNNING, ProgressFile, read_activities
from raysweep.storage.leases import DEAD_SECONDS, Lease
from raysweep.sweep_folder import SweepFolder

log = logging.getLogger("raysweep")


@contextmanager
def only_run(folder: SweepFolder) -> Iterator[Lease]:
    """Hold a sweep for the length of the block.

    Raises:
        UsageError: another process runs it; it is named. One elsewhere, maybe dead, is watched for a while first.
    """
    leases, until = folder.store.leases, time.monotonic() + DEAD_SECONDS + 15
    lease, told = leases.take(folder.lease), False
    while lease is None:
        holder = leases.holder(folder.lease)
        if holder is not None and (holder.is_here or time.monotonic() > until):
            raise UsageError(
                f"sweep {folder.name!r} is being run by {holder}; wait for it "
                f"(raysweep status {folder.name} --storage {folder.store.root}), stop "
                f"it, or give this one another name (--set name={folder.name}-2)"
            )
        if not told and holder is not None:
            log.info("sweep %r was run by %s: looking for up to a minute whether it still is", folder.name, holder)
            told = True
        time.sleep(1)
        lease = leases.take(folder.lease)
    with lease:
        yield lease


@contextmanager
def stopped_when_interrupted(folder: SweepFolder) -> Iterator[None]:
    """Mark what runs as stopped when a signal, or the end of Ray, ends the block: its processes may end before."""
    try:
        yield
    except BaseException:
        for name, activity in read_activities(folder.progress).items():
            if activity.state == RUNNING:
                ProgressFile(folder.progress, name).stop()
        raise


def require_resources(
    config: SweepConfig, cells: Sequence[CellPlan], engine: str = "ray", address: str | None = None
) -> None:
    """Raise UsageError when a cell asks for more than this machine has, or its programs for better isolation.

    A running Ray (`address`) is asked once connected.
    """
    from raysweep.engine.cluster import foreign_address, placement
    from raysweep.engine.preflight import require_feasible, this_machine

    if engine == "local" and any(cell.recipe and cell.recipe.workers > 1 for cell in cells):
        raise UsageError("a recipe has several training workers, and the local engine has one; use --engine ray")
    if engine == "ray" and foreign_address(address):
        return
    here = this_machine(config.ray)
    for workers in sorted({cell.recipe.workers if cell.recipe else 0 for cell in cells}):
        asked = placement(config.resources, workers)
        known = dataclasses.replace(asked, custom={}, labels={})  # what Ray adds to a node is seen once it runs
        require_feasible(known, workers, [here], "this machine")
    _require_isolation(cells)


def _require_isolation(cells: Sequence[CellPlan]) -> None:
    """Raise UsageError when programs can't be isolated here as they must be: before anything is trained."""
    from raysweep.execution.pool import Executor

    for sandbox in {pair.sandbox for cell in cells for pair in cell.pairs}:
        with Executor(1, sandbox) as executor:
            executor.level()
