"""Limits how many threads a program can have at a time, and gives every program in a namespace the same process number.

Processes and threads have numbers, of which a machine has only so many: a program that takes them all stops everybody.
There are three ways to limit them:

- On Linux 6.14 or newer, a process namespace has a largest number of its own.
- On Linux 5.14 or newer, RLIMIT_NPROC counts the processes of one user namespace only. It doesn't bind root. Outside
  such a namespace it counts all processes of the user, so that verdicts would depend on them.
- Everywhere, the watch counts a program's threads from time to time.

With the first two the kernel refuses a further thread, which the program meets as an error. The watch kills a program.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

from raysweep.execution.isolation import kernel
from raysweep.programs import Outcome

MAX_THREADS = 128
"""How many threads a program can have at a time, the first one included.

As many fit into 1 GiB of address space, since each usually takes 8 MiB for its stack.
"""
_BEFORE_PROGRAMS = 300  # beyond this number the kernel gives out no smaller one again
_LARGEST = 2**22  # the largest number of a new namespace that has one of its own
_OTHERS = 2  # processes of a slot in its user namespace beside the program: the keeper, and the one that forks


class Numbers:
    """The process numbers of a slot's namespace; without a namespace its methods do nothing."""

    def __init__(self) -> None:
        self._last: int | None = None  # descriptor of the file with the number that was given out last

    def limit(self, proc: Path) -> None:
        """Limit those of this process's new namespace. `proc`: where its file system proc is mounted."""
        largest, last = proc / "sys/kernel/pid_max", proc / "sys/kernel/ns_last_pid"
        with suppress(OSError):  # it is refused: the watch counts
            if kernel.version() >= (6, 14) and int(largest.read_text()) == _LARGEST:  # before, it is the machine's
                largest.write_text(f"{_BEFORE_PROGRAMS + MAX_THREADS}")
        with suppress(OSError):  # a kernel without it
            self._last = os.open(last, os.O_WRONLY)

    def begin_again(self) -> None:
        """Give the next process the number that each one before it had; else it tells how many threads they had."""
        if self._last is not None:
            os.pwrite(self._last, b"%d" % _BEFORE_PROGRAMS, 0)


def limit_in_user_namespace() -> None:
    """Limit the processes of the user namespace that this process is in, if the kernel counts them apart."""
    if kernel.version() >= (5, 14):
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        most = MAX_THREADS + _OTHERS if hard == resource.RLIM_INFINITY else min(hard, MAX_THREADS + _OTHERS)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def exceeded_threads(pids: list[int]) -> tuple[str, str] | None:
    """Return outcome and detail if these processes, all of one program, have too many threads."""
    threads = 0
    for pid in pids:
        with suppress(OSError):
            threads += os.stat(f"/proc/{pid}/task").st_nlink - 2  # noqa: PTH116  # listing thousands would take long
    return (Outcome.MEMORY, f"more than {MAX_THREADS} threads") if threads > MAX_THREADS else None
