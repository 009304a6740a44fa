"""Leases: of all processes that use a store, one makes an artefact while the others wait for it.

A lease is a small file that names its holder (host, boot, process, start time). The holder touches it every few
seconds. A dead holder on this machine loses its lease at once, any other holder after a minute without a touch. Whoever
takes, renews or gives back a lease writes the file only if its content is still what was read, so that one process gets
the lease and a slow one harms no successor. In an object store a free lease is an empty file or none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.errors import StoreError
from raysweep.storage.files import Files

log = logging.getLogger("raysweep")

FOLDER = "leases"
CLEANING = "gc"
"""The lease of a process that removes what no sweep uses."""
SWEEPS = "sweep-"
"""How the names of the leases of sweeps begin; the sweep's name follows."""
HEARTBEAT_SECONDS = 10.0
"""Between two touches of a lease by its holder."""
POLL_SECONDS = 2.0
"""Between two tries of a process that waits for a lease."""
OVERDUE_SECONDS = HEARTBEAT_SECONDS + POLL_SECONDS
"""The machine of a holder elsewhere is asked at first sight, and then after so long without a touch or an answer."""
DEAD_SECONDS = 60.0 - POLL_SECONDS
"""A holder is taken for dead after being watched for so long without a touch. If it lives, it notices the loss."""
LONG_DEAD_SECONDS = 600.0
"""A holder on another machine is taken for dead at first sight after so long without a touch, by the store's clock."""
_HELD: set[str] = set()
"""Tokens of the leases that this process holds. A lease with another token is one that it failed to release."""
_DEAD: set[str] = set()
"""Tokens of holders elsewhere whose own machine said that they have ended."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease. Only `token` is set where the lease's file is unreadable."""

    host: str = ""
    boot: str = ""  # id of the host's current boot
    space: str = ""  # namespace of process ids: each container has its own
    pid: int = 0
    started: int = 0  # when the process started, in ticks since boot
    since: float = 0.0  # when it took the lease, in seconds since the epoch; for messages only
    token: str = ""  # unique for each time a lease is taken

    def __str__(self) -> str:
        if not self.pid:
            return "a process of another version"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {when}"

    @property
    def is_here(self) -> bool:
        """Whether this process can look up its life: it has the same boot and namespace of process ids, by any name."""
        return bool(self.boot) and (self.boot, self.space) == _machine()[1:]

    @property
    def was_here(self) -> bool:
        """Whether it seems to belong to this machine before its last boot. Another machine may have the same name."""
        host, boot, _ = _machine()
        return bool(self.boot and boot) and self.host == host and self.boot != boot

    @property
    def is_dead(self) -> bool:
        """Whether it certainly is dead: a process that has ended, of this machine or of one that said so."""
        return self.token in _DEAD or (self.is_here and _start_of(self.pid) != self.started)

    @property
    def is_me(self) -> bool:
        return self.is_here and self.pid == os.getpid() and not self.is_dead

    def new_text(self) -> bytes:
        """Return content for its file. No two are equal, so that a store notices a renewal."""
        return json.dumps({**dataclasses.asdict(self), "written": uuid.uuid4().hex}).encode()


class Lease:
    """A lease that this process holds; a thread touches it until it is released."""

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
        """Give the lease back. If the store is out of reach, the lease expires by itself."""
        _HELD.discard(self._holder.token)
        self._end.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(StoreError):
            self._swap(self._read(), b"")

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            try:
                current = self._read()
                if self._files.local is not None and _holder_in(current) == self._holder:
                    os.utime(self._files.local / _file(self._name))  # needs no space on a full disk
                elif not self._swap(current, self._holder.new_text()):
                    successor = _holder_in(self._read()) or "another process"
                    log.warning("%s took the lease %s over, since this process did not renew it", successor, self._name)
                    return
            except (OSError, StoreError) as error:
                log.debug("the lease %s could not be renewed: %s", self._name, error)

    def _read(self) -> bytes:
        return self._files.read(_file(self._name), patient=False) or b""

    def _swap(self, current: bytes, new: bytes) -> bool:
        """Return False, and write nothing, if another process has taken the lease over."""
        is_mine = _holder_in(current) == self._holder  # also when a renewal was written whose answer was lost
        return is_mine and self._files.swap(_file(self._name), current, new, patient=False)


class Leases:
    """The leases of one store, seen by one process. It remembers other holders' touches to notice silent ones."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._last_beats: dict[str, tuple[tuple[str, int], float]] = {}  # name: (token, file's time), when first seen
        self._asked: dict[str, float] = {}  # token: when the holder's machine was last asked

    def take(self, name: str) -> Lease | None:
        """Return None while a process that may be alive holds the lease; raise StoreError if the store fails."""
        holder, lease = this_process(), None
        _HELD.add(holder.token)
        try:
            old = self._files.read(_file(name)) or b""
            current = _holder_in(old)
            is_free = current is None or self._is_expired(name, current)
            if is_free and self._files.swap(_file(name), old, holder.new_text()):
                lease = Lease(self._files, name, holder)
            return lease
        finally:
            if lease is None:
                _HELD.discard(holder.token)

    def wait(self, name: str, is_done: Callable[[], bool], report: Callable[[Holder | None], None]) -> Lease | None:
        """Take a lease as soon as it is free; return None once its work is done.

        `is_done`: called before each try. `report`: called again and again with the process that is waited for, then
        with None when the wait is over.
        """
        has_waited, lease = False, None
        while not is_done():
            lease = self.take(name)
            if lease is not None:
                break
            holder = self.holder(name)
            if holder is not None and self._has_ended_elsewhere(name, holder):
                continue
            if holder is not None:
                has_waited = True
                report(holder)
            time.sleep(POLL_SECONDS)
        if has_waited:
            report(None)
        return lease

    def _has_ended_elsewhere(self, name: str, holder: Holder) -> bool:
        """Have the holder's machine asked if that is due. Never while it takes a lease: an answer may take seconds."""
        _, touched = self._last_beats.get(name, (None, 0.0))
        now, asked = time.monotonic(), self._asked.get(holder.token)
        if asked is None or now - max(asked, touched) >= OVERDUE_SECONDS:
            self._asked[holder.token] = now
            if not holder.is_here and has_ended_elsewhere(holder):
                _DEAD.add(holder.token)
        return holder.token in _DEAD

    def holder(self, name: str) -> Holder | None:
        """Return the holder of a lease, dead or alive; None if nobody holds it."""
        return _holder_in(self._files.read(_file(name)))

    def is_alive(self, name: str) -> bool:
        """Return True if a lease is held by a live process. For other machines, clocks decide, to within seconds."""
        holder = self.holder(name)
        if holder is None or holder.is_here:
            return holder is not None and not holder.is_dead
        info = self._files.info(_file(name))
        return info is not None and time.time() - info.mtime_ns / 1e9 < DEAD_SECONDS + HEARTBEAT_SECONDS

    def alive(self) -> dict[str, Holder]:
        """Return the holders of all leases that processes hold which may be alive, by the leases' names.

        One on another machine counts as alive until it has not touched its lease for long, by the store's clock.
        """
        infos = self._files.infos(FOLDER).items()
        files = [name for name, info in infos if info.size and name.endswith(".json") and not name.startswith(".")]
        holders = {name.removesuffix(".json"): self.holder(name.removesuffix(".json")) for name in files}

        def may_live(name: str, holder: Holder) -> bool:
            if holder.is_here:
                return not holder.is_dead
            info = self._files.info(_file(name))
            return info is not None and self._store_time() - info.mtime_ns / 1e9 < LONG_DEAD_SECONDS

        return {name: holder for name, holder in holders.items() if holder is not None and may_live(name, holder)}

    def await_cleaning(self) -> None:
        """Wait while another process removes what no sweep uses.

        Call it under a lease of one's own: whoever cleans begins after this process's work, or is waited for.
        """
        logged = False
        while self.is_alive(CLEANING):
            if not logged:
                log.info("waiting for %s, which removes what no sweep uses (raysweep gc)", self.holder(CLEANING))
                logged = True
            time.sleep(POLL_SECONDS)

    def _is_expired(self, name: str, holder: Holder) -> bool:
        if holder.is_dead or (holder.is_me and holder.token not in _HELD):
            return True
        info = self._files.info(_file(name))
        if info is None:
            return True
        beat = (holder.token, info.mtime_ns)
        last_beat, since = self._last_beats.get(name, (None, 0.0))
        if last_beat == beat:
            return time.monotonic() - since >= DEAD_SECONDS
        self._last_beats[name] = beat, time.monotonic()
        if holder.is_here:
            return False
        silence = self._store_time() - info.mtime_ns / 1e9
        return silence > (min(LONG_DEAD_SECONDS, uptime()) if holder.was_here else LONG_DEAD_SECONDS)

    def _store_time(self) -> float:
        """Return the time by the clock of the store's machine, in seconds since the epoch; 0 if nothing is writable."""
        with contextlib.suppress(StoreError):
            self._files.write(f"{FOLDER}/clock", b"", patient=False)
            info = self._files.info(f"{FOLDER}/clock")
            return info.mtime_ns / 1e9 if info else 0.0
        return 0.0


def _is_unknown(process: Holder) -> bool:
    return False


has_ended_elsewhere: Callable[[Holder], bool] = _is_unknown
"""Returns True if a process of another machine certainly has ended. An engine that can ask that machine replaces it."""


def has_ended(process: Holder) -> bool:
    """Return True if a process certainly has ended; False if it lives, and if nobody here can know."""
    return process.is_dead or (not process.is_here and has_ended_elsewhere(process))


def this_process() -> Holder:
    host, boot, space = _machine()
    return Holder(host, boot, space, os.getpid(), _start_of(os.getpid()), time.time(), uuid.uuid4().hex)


def holder_from(text: bytes) -> Holder:
    """Return the holder in a lease's file. Fields that a newer version added are ignored."""
    try:
        content: dict[str, Any] = json.loads(text)
        kinds = {name: type(value) for name, value in dataclasses.asdict(Holder()).items()}
        return Holder(**{name: kind(content[name]) for name, kind in kinds.items()})
    except (ValueError, TypeError, KeyError):  # torn when a machine crashed, or written by another version
        return Holder(token=hashlib.sha256(text).hexdigest())


def uptime() -> float:
    """Return the seconds since this machine was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def _machine() -> tuple[str, str, str]:
    """Return (host, boot id, namespace of process ids): process ids can be compared where the last two agree."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return socket.gethostname(), boot, str(Path("/proc/self/ns/pid").readlink())
    return socket.gethostname(), "", ""


def _start_of(pid: int) -> int:
    """Return when a process started, in ticks since boot; 0 if there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _file(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _holder_in(text: bytes | None) -> Holder | None:
    return holder_from(text) if text else None
