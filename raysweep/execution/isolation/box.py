"""The box: a program's folder, its output and its processes. Checks their size, and empties them after each program."""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.cleanup import remove_below
from raysweep.execution.isolation.layers import BOX_MIB, Layers, mount_empty_disk
from raysweep.execution.isolation.process_tree import cpu_seconds, descendants, kill_descendants
from raysweep.execution.isolation.watch import OutcomeAndDetail
from raysweep.programs import Outcome

MAX_PROCESSES = 64  # that exist at the same time, where seccomp doesn't forbid to start any
STDOUT, STDERR = 1, 2


class Box:
    """A slot's box. Programs write their output to two files in memory, descriptors 1 and 2 of this process."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        for descriptor, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
            file = os.memfd_create(name)
            os.dup2(file, descriptor)
            os.close(file)
        os.chmod(layers.box, 0o700)  # noqa: PTH101
        os.chdir(layers.box)
        self.reset_output()

    def reset_output(self) -> None:
        """Empty the output files and reset the flags of their descriptors, which a program may have changed."""
        for descriptor in (STDOUT, STDERR):
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
            status = os.fstat(descriptor)
            if status.st_size or status.st_blocks:
                os.ftruncate(descriptor, 0)

    def output_size(self) -> int:
        """Return the size of stdout or stderr in bytes, whichever is larger."""
        return max(os.fstat(STDOUT).st_size, os.fstat(STDERR).st_size)

    def stderr(self, characters: int) -> str:
        """Return the first characters of stderr."""
        if not os.fstat(STDERR).st_size:
            return ""
        return os.pread(STDERR, 4 * characters, 0).decode("utf-8", "replace")[:characters]

    def exceeded_limit(self, output_bytes: int, cpu_limit: float) -> OutcomeAndDetail | None:
        """Check the limits that no kernel layer enforces; return outcome and detail for a program that exceeds one.

        Args:
            output_bytes: limit of stdout and of stderr.
            cpu_limit: seconds of CPU time, for a program and the processes that it started.
        """
        if self.output_size() > output_bytes:
            return Outcome.OUTPUT_LIMIT, f"more than {output_bytes // 1024} KiB of output"
        if not self._layers.own_disk and _disk_usage(self._layers.box) > BOX_MIB * 2**20:
            return Outcome.KILLED, f"more than {BOX_MIB} MiB of files"
        if self._layers.filter is None:
            pids = list(descendants(os.getpid()))
            if len(pids) > MAX_PROCESSES:
                return Outcome.KILLED, f"more than {MAX_PROCESSES} processes"
            if sum(map(cpu_seconds, pids)) > cpu_limit:
                return Outcome.TIMEOUT, f"more than {cpu_limit:g} s of CPU time"
        return None

    def kill_processes(self) -> None:
        """Kill the processes that a program left, and wait until they are gone."""
        if self._layers.namespaces:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # all processes of this namespace except its first, which is this one
            with suppress(ChildProcessError):
                while os.wait4(-1, 0)[0]:
                    pass
        elif self._layers.filter is None:
            kill_descendants()

    def remove_files(self) -> None:
        """Remove the files that a program left in the folder, and restore the folder's mode."""
        box = self._layers.box
        if os.stat(box).st_mode & 0o7777 != 0o700:  # noqa: PTH116
            os.chmod(box, 0o700)  # noqa: PTH101
        if not os.listdir(box):  # noqa: PTH208  # it is usually empty, and pathlib takes ten times as long to see that
            return
        if self._layers.own_disk:
            os.chdir("/")
            kernel.unmount(box)
            mount_empty_disk(box)
            os.chdir(box)
        else:
            remove_below(box)


def _disk_usage(folder: str) -> int:
    """Return the bytes in use on disk below a folder."""
    if not os.listdir(folder):  # noqa: PTH208
        return 0
    import subprocess  # here, since most slots never need it

    listing = subprocess.run(["du", "-sk", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return 1024 * int(listing.split()[0]) if listing else 0
