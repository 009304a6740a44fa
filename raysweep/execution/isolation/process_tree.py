"""Finds all processes below one, adds up their CPU time, and kills them; for machines without process namespaces.

The process that forks programs is a subreaper (PR_SET_CHILD_SUBREAPER): a process whose parent ends becomes its child,
whatever its session or group. So the tree below it has every process that its programs started.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KILL_SECONDS = 20.0
MARKER = "RAYSWEEP_SLOT"  # environment variable that names the slot a process belongs to
_PROC = Path("/proc")
_KERNEL_LISTS_CHILDREN = (_PROC / f"self/task/{os.getpid()}/children").exists()  # CONFIG_PROC_CHILDREN


def own_marker() -> dict[str, str]:
    return {MARKER: os.environ[MARKER]} if MARKER in os.environ else {}


def descendants(pid: int) -> Iterator[int]:
    """Yield the pids of all processes below `pid`, zombies included."""
    children_of = _children if _KERNEL_LISTS_CHILDREN else _children_by_scan
    waiting = list(children_of(pid))
    while waiting:
        descendant = waiting.pop()
        waiting += children_of(descendant)  # before the caller may kill it
        yield descendant


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of those children that it has waited for; 0 for a process that is gone."""
    return _cpu_seconds(pid, slice(11, 15))


def cpu_seconds_of_ended(pid: int) -> float:
    """Return the CPU time of those children that a process has waited for; 0 for a process that is gone."""
    return _cpu_seconds(pid, slice(13, 15))


def _cpu_seconds(pid: int, fields: slice) -> float:
    return sum(map(int, _stat(pid)[fields])) / os.sysconf("SC_CLK_TCK")


def kill_descendants() -> None:
    """Kill every process below this one and wait; raise TimeoutError if one is still there after KILL_SECONDS."""
    until = time.monotonic() + KILL_SECONDS
    while time.monotonic() < until:
        try:
            while os.wait4(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in descendants(os.getpid()):
            _kill(pid)
        time.sleep(0.0005)
    raise TimeoutError(f"{len(list(descendants(os.getpid())))} processes of a program did not end")


def kill_marked(marker: str) -> None:
    """Kill every process that was started with `marker` in its environment, until there is none.

    When a slot's process was killed, its descendants have another parent, and only the marker identifies them.
    """
    until = time.monotonic() + KILL_SECONDS
    while (pids := list(_marked(marker.encode()))) and time.monotonic() < until:
        for pid in pids:
            _kill(pid)
        time.sleep(0.01)


def _kill(pid: int) -> None:
    """Kill a process, but first the group it leads: killing all members at once outruns a fork bomb."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def _marked(marker: bytes) -> Iterator[int]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it is gone, or it belongs to another user
                if marker in (entry / "environ").read_bytes():
                    yield int(entry.name)


def _children(pid: int) -> Iterator[int]:
    for thread in threads_of(pid):
        with suppress(OSError), open(f"{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123
            yield from map(int, file.readall().split())


def _children_by_scan(pid: int) -> Iterator[int]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and int(fields[1]) == pid:
            yield int(entry.name)


def _stat(pid: int) -> list[bytes]:
    """Return the fields of a process's stat from the state (the third) on; an empty list when it is gone."""
    return words_of(f"/proc/{pid}/stat")


def threads_of(pid: int) -> list[str]:
    """Return the folders of a process's threads in /proc; an empty list when it is gone."""
    with suppress(OSError):
        return [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    return []


def words_of(path: str) -> list[bytes]:
    """Return the words in a short file of /proc, of a stat those from the state on; an empty list when it is gone.

    Before them stands a name, which a program can choose: no copy of that may stay in the memory of this process, where
    the next program would find it.
    """
    buffer = bytearray(1024)
    size = 0
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        with suppress(OSError):
            size = os.preadv(descriptor, [buffer], 0)
        os.close(descriptor)
    words = bytes(buffer[buffer.rfind(b")") + 1 : size]).split()
    buffer[:] = bytes(len(buffer))
    return words
