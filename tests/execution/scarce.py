"""A machine that has no room: a control group with few numbers for further processes, and disks that fail to mount."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.patience import eventually

NO_DISK = (
    "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.isolation import layers; "
    "mount, n = layers.mount_empty_disk, iter(range(7)); "
    "layers.mount_empty_disk = lambda *of, **how: mount(*of, **how) if next(n, 0) < 6 else layers.os.listdir('/no'); "
    "from {} import main; main()"
)
"""Starts a slot in which each process can mount its disk, and five times a new one, and then never again."""


@contextmanager
def few_processes(slot: int, more: int) -> Iterator[None]:
    """Let a slot's processes start only so many further processes and threads; skip where nothing can limit them.

    Args:
        slot: pid of the first of its processes.
        more: how many there can be beside those that there are.
    """
    parent = _parent_group()
    group = parent / f"raysweep-{os.getpid()}"
    try:
        group.mkdir()
        for process in [psutil.Process(slot), *psutil.Process(slot).children(recursive=True)]:
            (group / "cgroup.procs").write_text(f"{process.pid}")
        (group / "pids.max").write_text(f"{int((group / 'pids.current').read_text()) + more}")
    except OSError as error:
        _remove(group, parent)
        pytest.skip(f"no control group can limit how many processes there are: {error}")
    try:
        yield
    finally:
        _remove(group, parent)


def _parent_group() -> Path:
    """Return the folder of this process's control group for the number of processes."""
    groups = Path("/proc/self/cgroup").read_text()
    found = re.search(r"^\d+:pids:(.*)$", groups, re.MULTILINE)
    if found:
        return Path(f"/sys/fs/cgroup/pids{found[1]}")
    found = re.search(r"^0::(.*)$", groups, re.MULTILINE)
    return Path(f"/sys/fs/cgroup{found[1] if found else ''}")


def _remove(group: Path, parent: Path) -> None:
    """Move the processes of a group to its parent, and remove it."""

    def is_gone() -> bool:
        with suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    (parent / "cgroup.procs").write_text(pid)
        with suppress(OSError):
            group.rmdir()
        return not group.exists()

    assert eventually(is_gone, 60)
