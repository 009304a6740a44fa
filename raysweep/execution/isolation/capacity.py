"""Finds out whether this machine has room for what a program's limits allow.

A program that gets no thread, or no memory, has reached its own limits only if the machine would have given it as much
as they allow. What the machine refuses is no fault of the program.
"""

from __future__ import annotations

import _thread
import mmap
import os
import signal
import time

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.room import PAUSE_SECONDS, ROOM_SECONDS

_STACK_BYTES = 2**18  # no kind of machine asks for more at least


def had_room(threads: int, memory: int) -> bool:
    """Return True if another process could have so much now. If not, wait until one could, up to ROOM_SECONDS.

    A fork of this process tries it, so what limits other children of this process limits it, too.

    Args:
        threads: at the same time, the first one included.
        memory: bytes of address space.
    """
    if _is_room(threads, memory):
        return True
    until = time.monotonic() + ROOM_SECONDS
    while time.monotonic() < until and not _is_room(threads, memory):
        time.sleep(PAUSE_SECONDS)
    return False


def grants(memory: int) -> bool:
    """Return True if the machine grants a process so many bytes, which are given back at once."""
    try:
        mmap.mmap(-1, memory).close()
    except OSError:
        return False
    return True


def _is_room(threads: int, memory: int) -> bool:
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


def _starts(count: int) -> bool:
    """Return True if this process can start so many threads, all of which then wait."""
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
