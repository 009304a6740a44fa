"""Leases: of all processes that work on one store, one makes an artefact, and the others wait for it.

A lease is a small file that names its holder (host, boot, process, start time) and is touched every few seconds. A
holder of this machine that is dead is taken over at once, one elsewhere when its lease was not touched for a minute. On
a disk a file lock makes taking a lease exclusive. Object stores have no such thing, so there two may now and then make
the same artefact; what they write is not mixed up, since a manifest names the content of its files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import StoreError
from raysweep.files import Files

log = logging.getLogger("raysweep")

FOLDER = "leases"
BEAT_SECONDS = 10.0
DEAD_SECONDS = 60.0
"""A holder elsewhere that was silent for so long is dead."""
LOOK_SECONDS = 2.0
"""Between two looks at a lease that another process holds."""
SETTLE_SECONDS = 0.5
"""In an object store the last writer holds a lease; it looks again after so long."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease. `machine`: host, boot and process namespace; `started`: in ticks since boot."""

    host: str
    machine: str
    pid: int
    started: int
    since: float  # seconds since the epoch, for people
    token: str  # of one taking

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {when}"

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine, whose life can be looked up."""
        return self.machine == _machine()

    @property
    def is_dead(self) -> bool:
        """Whether it is known to be dead: a process of this machine that is no more, or of an earlier boot."""
        return self.is_here and _start_of(self.pid) != self.started


class Lease:
    """A lease that this process holds; kept alive by a thread until it is released."""

    def __init__(self, files: Files, name: str, holder: Holder) -> None:
        self._files, self._name, self._holder = files, name, holder
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the lease back."""
        self._end.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(StoreError), _guard(self._files):
            if _holder_of(self._files, self._name) == self._holder:
                self._files.remove(_file(self._name))

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                if self._files.local is not None:
                    os.utime(self._files.local / _file(self._name))  # needs no space on a full disk
                elif _holder_of(self._files, self._name) == self._holder:
                    self._files.write(_file(self._name), _text(self._holder), patient=False)
            except (OSError, StoreError):
                log.debug("the lease %s could not be renewed", self._name, exc_info=True)


class Leases:
    """The leases of one store, as one process sees them. What it saw of others it remembers, to tell who is silent."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: dict[str, tuple[tuple[str, int], float]] = {}

    def take(self, name: str) -> Lease | None:
        """Take a lease; None while another process holds it that is alive, or not known to be dead yet.

        Raises:
            StoreError: the store can't be read or written.
        """
        mine = Holder(
            socket.gethostname(), _machine(), os.getpid(), _start_of(os.getpid()), time.time(), uuid.uuid4().hex
        )
        with _guard(self._files):
            there = self.holder(name)
            if there is not None and not self._is_over(name, there):
                return None
            self._files.write(_file(name), _text(mine))
        if self._files.local is None:
            time.sleep(SETTLE_SECONDS)
            if self.holder(name) != mine:
                return None
        return Lease(self._files, name, mine)

    def wait(self, name: str, is_done: Callable[[], bool], tell: Callable[[Holder | None], None]) -> Lease | None:
        """Take a lease as soon as it is free; None when what it is for is done before that.

        Args:
            name: the lease's.
            is_done: asked before each try.
            tell: told who holds it, again and again; None when the wait is over.
        """
        waited, lease = False, None
        while not is_done():
            lease = self.take(name)
            if lease is not None:
                break
            waited = True
            tell(self.holder(name))
            time.sleep(LOOK_SECONDS)
        if waited:
            tell(None)
        return lease

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lease, dead or alive; None when nobody does."""
        return _holder_of(self._files, name)

    def is_alive(self, name: str) -> bool:
        """Tell whether a lease is held; for one from elsewhere by the clocks, which may differ by some seconds."""
        there = self.holder(name)
        if there is None or there.is_here:
            return there is not None and not there.is_dead
        info = self._files.info(_file(name))
        return info is not None and time.time() - info.mtime_ns / 1e9 < DEAD_SECONDS + BEAT_SECONDS

    def _is_over(self, name: str, there: Holder) -> bool:
        if there.is_here:
            return there.is_dead
        info = self._files.info(_file(name))
        beat = (there.token, info.mtime_ns if info else 0)
        seen, since = self._seen.get(name, (None, 0.0))
        if seen != beat:
            self._seen[name] = beat, time.monotonic()
            return False
        return time.monotonic() - since > DEAD_SECONDS


def _file(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _holder_of(files: Files, name: str) -> Holder | None:
    try:
        return Holder(**json.loads(files.read(_file(name)) or b""))
    except (ValueError, TypeError):  # nobody, or a torn file of a machine that went down
        return None


def _text(holder: Holder) -> str:
    return json.dumps(dataclasses.asdict(holder))


@contextlib.contextmanager
def _guard(files: Files) -> Iterator[None]:
    """Keep other processes from looking at leases meanwhile, where the file system can."""
    if files.local is None:
        yield
        return
    with files.writing(FOLDER) as folder, (folder / "guard").open("a") as file:
        with contextlib.suppress(OSError):  # a shared disk without locks: as good as an object store
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def _machine() -> str:
    """Return what tells processes apart whose ids mean the same: host, boot, and process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()} {boot.read_text().strip()} {space.readlink()}"
    return socket.gethostname()


def _start_of(pid: int) -> int:
    """Return when a process started, in ticks since boot; 0 when there is none of that id (or it is a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
