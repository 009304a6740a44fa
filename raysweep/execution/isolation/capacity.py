"""Finds out whether this machine has room for what a program's limits allow.

A program that gets no thread, no memory or no disk, has reached its own limits only if the machine would have given it
as much as they allow. What the machine refuses is no fault of the program.
"""

from __future__ import annotations

import _thread
import bisect
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.layers import BOX_MIB, FILE_MIB
from raysweep.execution.isolation.room import PAUSE_SECONDS, ROOM_SECONDS

MIB = 2**20
_STACK_BYTES = 2**18  # no kind of machine asks for more at least
_PRINT_GRANTED = (
    "import sys; sys.path.append(sys.argv[1]); from raysweep.execution.isolation.capacity import _most_mib; "
    "print(_most_mib(int(sys.argv[2])))"
)


def had_room(threads: int, memory: int) -> bool:
    """Return True if another process could have so much now. If not, wait until one could, up to ROOM_SECONDS.

    A fork of this process tries it, so what limits other children of this process limits it, too. This process has one
    thread only, see `kernel.fork`.

    `threads`: at the same time, the first one included. `memory`: bytes of address space.
    """

    def is_room() -> bool:
        try:
            pid = kernel.fork()
        except OSError:
            return False
        if pid == 0:
            code = 1
            try:
                kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
                code = 0 if grants(memory) and _starts(threads - 1) else 1
            finally:
                os._exit(code)
        return os.waitpid(pid, 0)[1] == 0

    return _is_now(is_room)


def had_disk(folder: str) -> bool:
    """Return True if there is room for all that a box may hold on a folder's disk. If not, wait for it as above."""

    def is_room() -> bool:
        try:
            with ExitStack() as files:
                for _ in range(BOX_MIB // FILE_MIB):
                    file = files.enter_context(tempfile.TemporaryFile(dir=folder))
                    os.posix_fallocate(file.fileno(), 0, FILE_MIB * MIB)
        except OSError:
            return False
        return True

    return _is_now(is_room)


def grants(memory: int) -> bool:
    """Return True if the machine grants a process so many bytes, which are given back at once."""
    try:
        mmap.mmap(-1, memory).close()
    except (OSError, OverflowError):  # more than an address has bits for
        return False
    return True


@lru_cache
def granted_mib(wanted: int) -> int:
    """Return the MiB of address space that this machine grants a new process: those that are wanted, or fewer.

    Where this process gets less than is wanted, another one tries: this one may use much of a limit that both have.
    """
    if grants(wanted * MIB):
        return wanted
    command = [sys.executable, "-s", "-P", "-S", "-B", "-c", _PRINT_GRANTED, str(Path(__file__).parents[3])]
    return int(subprocess.run([*command, str(wanted)], capture_output=True, check=True, cwd="/").stdout)


def _most_mib(wanted: int) -> int:
    if grants(wanted * MIB):
        return wanted
    return bisect.bisect_left(range(1, wanted), True, key=lambda mib: not grants(mib * MIB))


def _is_now(is_room: Callable[[], bool]) -> bool:
    """Return True if there is room now. If not, wait until there is, up to ROOM_SECONDS, and return False."""
    if is_room():
        return True
    until = time.monotonic() + ROOM_SECONDS
    while time.monotonic() < until and not is_room():
        time.sleep(PAUSE_SECONDS)
    return False


def _starts(count: int) -> bool:
    closed = _thread.allocate_lock()
    closed.acquire()
    if count:
        _thread.stack_size(_STACK_BYTES)
    try:
        for _ in range(count):
            _thread.start_new_thread(closed.acquire, ())
    except RuntimeError:
        return False
    return True
