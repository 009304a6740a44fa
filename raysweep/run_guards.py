"""What surrounds a run: no second one of the same sweep, and what its parts are said to do when it ends early."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from raysweep.errors import UsageError
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
