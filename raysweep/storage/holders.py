"""Who holds a lease: a process, told apart from all others of all machines, and whether it is still alive."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease; of a lease that can't be understood all is empty but the token."""

    host: str = ""
    boot: str = ""  # of the host's system
    space: str = ""  # of process ids: containers of a host have their own
    pid: int = 0
    started: int = 0  # in ticks since boot
    since: float = 0.0  # seconds since the epoch, for people
    token: str = ""  # of one taking

    def __str__(self) -> str:
        if not self.pid:
            return "a process of another version"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {when}"

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine, whose life can be looked up."""
        return bool(self.boot) and (self.host, self.boot, self.space) == _machine()

    @property
    def was_here(self) -> bool:
        """Whether it seems to be of this machine before it was booted; another one may have the same name."""
        host, boot, _ = _machine()
        return bool(self.boot and boot) and self.host == host and self.boot != boot

    @property
    def is_dead(self) -> bool:
        """Whether it is known to be dead: a process of this machine that is no more."""
        return self.is_here and _start_of(self.pid) != self.started

    @property
    def is_me(self) -> bool:
        """Whether it is this process."""
        return self.is_here and self.pid == os.getpid() and not self.is_dead

    @property
    def text(self) -> str:
        """What stands in the lease's file."""
        return json.dumps(dataclasses.asdict(self))


def this_process() -> Holder:
    """Return this process as the holder of one more lease."""
    host, boot, space = _machine()
    return Holder(host, boot, space, os.getpid(), _start_of(os.getpid()), time.time(), uuid.uuid4().hex)


def holder_from(text: bytes) -> Holder:
    """Return whom a lease's file names; what it says beyond that, such as one of a newer version does, is left out."""
    try:
        content: dict[str, Any] = json.loads(text)
        kinds = {name: type(value) for name, value in dataclasses.asdict(Holder()).items()}
        return Holder(**{name: kind(content[name]) for name, kind in kinds.items()})
    except (ValueError, TypeError, KeyError):  # a torn file of a machine that went down, or of another version
        return Holder(token=hashlib.sha256(text).hexdigest())


@cache
def _machine() -> tuple[str, str, str]:
    """Return what tells processes apart whose ids mean the same: host, boot, and space of process ids."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return socket.gethostname(), boot, str(Path("/proc/self/ns/pid").readlink())
    return socket.gethostname(), "", ""


def uptime() -> float:
    """Return the seconds since this machine was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _start_of(pid: int) -> int:
    """Return when a process started, in ticks since boot; 0 when there is none of that id (or it is a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])
