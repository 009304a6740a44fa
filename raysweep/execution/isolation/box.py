"""The box: a program's folder, its standard streams, its processes. Checks their size; each program gets new ones."""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.cleanup import remove_folder
from raysweep.execution.isolation.layers import BOX_MIB, Layers
from raysweep.execution.isolation.process_tree import cpu_seconds, descendants, kill_descendants
from raysweep.execution.isolation.threads import exceeded_threads
from raysweep.execution.isolation.watch import OutcomeAndDetail
from raysweep.programs import Outcome

MAX_PROCESSES = 64  # that exist at the same time, where seccomp doesn't forbid to start any
STDIN, STDOUT, STDERR = 0, 1, 2
FolderState = tuple[int, ...]


class BoxLost(Exception):
    """A box can't be renewed, so the process that has it must end: a slot then starts another.

    It is no OSError, which judges take for an error at one program.
    """


class Box:
    """A slot's box. Programs write their output to two files in memory, descriptors 1 and 2 of this process."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._disks = [layers.box] if layers.own_disk else []  # where disks of its own are mounted
        os.chmod(layers.box, 0o700)  # noqa: PTH101
        os.chdir(layers.box)
        self._untouched = _state(layers.box)
        self.renew_streams()

    @property
    def folder(self) -> str:
        return self._layers.box

    def renew_streams(self) -> None:
        """Open files for a program's input and output that no earlier program has had.

        A program can change the size, mode, times and locks of such a file, and the offset and flags of its descriptor.
        """
        _open_as(STDIN, os.open(os.devnull, os.O_RDONLY))
        for descriptor, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
            file = os.memfd_create(name)
            fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
            _open_as(descriptor, file)

    def stderr(self, characters: int) -> str:
        if not os.fstat(STDERR).st_size:
            return ""
        return os.pread(STDERR, 4 * characters, 0).decode("utf-8", "replace")[:characters]

    def end_of_stderr(self, size: int) -> str:
        written = os.fstat(STDERR).st_size
        return os.pread(STDERR, size, max(0, written - size)).decode("utf-8", "replace")

    def read_stderr(self, buffer: bytearray) -> int:
        """Read the beginning of stderr into a buffer; return how many bytes there are. No other copy is made."""
        return os.preadv(STDERR, [buffer], 0) if os.fstat(STDERR).st_size else 0

    def exceeded_limit(self, output_bytes: int, cpu_limit: float) -> OutcomeAndDetail | None:
        """Check the limits that no kernel layer enforces; return outcome and detail for a program that exceeds one.

        `output_bytes`: limit of stdout and of stderr. `cpu_limit`: seconds of CPU time, for a program and the processes
        that it started.
        """
        if max(os.fstat(STDOUT).st_size, os.fstat(STDERR).st_size) > output_bytes:
            return Outcome.OUTPUT_LIMIT, f"more than {output_bytes // 1024} KiB of output (execution.output_kib)"
        box = self._layers.box
        if not self._layers.own_disk and _state(box) != self._untouched and _disk_usage(box) > BOX_MIB * 2**20:
            return Outcome.KILLED, f"more than {BOX_MIB} MiB of files"
        if self._layers.filter is None or self._layers.is_script:
            pids = list(descendants(os.getpid()))
            if len(pids) > MAX_PROCESSES:
                return Outcome.KILLED, f"more than {MAX_PROCESSES} processes"
            if sum(map(cpu_seconds, pids)) > cpu_limit:
                return Outcome.TIMEOUT, f"more than {cpu_limit:g} s of CPU time"
            return exceeded_threads(pids)
        return None

    def kill_processes(self) -> None:
        if self._layers.namespaces:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # all processes of this namespace except its first, which is this one
            with suppress(ChildProcessError):
                while os.wait4(-1, 0)[0]:
                    pass
        elif self._layers.filter is None or self._layers.may_fork:
            kill_descendants()

    def renew_folder(self) -> None:
        """Give the next program a new folder, unless this one is as it was when it was new; raise BoxLost.

        A folder that was emptied could still tell something by its times, its size on disk and its attributes. The
        latter can be changed without a trace where seccomp is missing: times are stored in steps of milliseconds.
        """
        box, layers = self._layers.box, self._layers
        is_as_new = layers.filter is not None and _state(box) == self._untouched and _is_empty(box)
        if is_as_new and not layers.is_script:
            return
        try:
            os.chdir("/")
            if layers.own_disk:
                while self._disks:
                    kernel.unmount(self._disks.pop())
                self._disks.extend(layers.mount_disks())
                if layers.is_script:
                    layers.allow_box()
            else:
                remove_folder(box)
                os.makedirs(box, exist_ok=True)  # noqa: PTH103
                os.chmod(box, 0o700)  # noqa: PTH101
                layers.allow_box()
            os.chdir(box)
        except OSError as error:
            raise BoxLost(str(error)) from error
        self._untouched = _state(box)


def _open_as(descriptor: int, file: int) -> None:
    os.dup2(file, descriptor)
    os.close(file)


def _state(folder: str) -> FolderState:
    """Return what tells whether a program has changed a folder, or listed it; nothing if it has removed it."""
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return ()
    times = status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns
    return status.st_mode, status.st_dev, status.st_ino, status.st_nlink, status.st_size, *times


def _is_empty(folder: str) -> bool:
    """Return True if a folder of this user is empty, False if it isn't or can't be read; its time of access stays."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    except OSError:
        return False
    try:
        return not os.listdir(descriptor)  # noqa: PTH208  # pathlib takes ten times as long
    finally:
        os.close(descriptor)


def _disk_usage(folder: str) -> int:
    import subprocess  # here, since most slots never need it

    listing = subprocess.run(["du", "-sk", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return 1024 * int(listing.split()[0]) if listing else 0
