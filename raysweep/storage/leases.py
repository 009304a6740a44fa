"""Leases: of all processes that work on one store, one makes an artefact, and the others wait for it.

A lease is a small file that names its holder (host, boot, process, start time) and is touched every few seconds. A
holder of this machine that is dead is taken over at once, any other when its lease was not touched for a minute. On
a disk a file lock makes taking a lease exclusive. Object stores have no such thing, so there two may now and then make
the same artefact; what they write is not mixed up, since a manifest names the content of its files.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

from raysweep.errors import StoreError
from raysweep.storage.files import Files
from raysweep.storage.holders import Holder, holder_from, this_process, uptime

log = logging.getLogger("raysweep")

FOLDER = "leases"
BEAT_SECONDS = 10.0
LOOK_SECONDS = 2.0
"""Between two looks at a lease that another process holds."""
DEAD_SECONDS = 60.0 - LOOK_SECONDS
"""A holder whose lease was watched for so long, and not touched, is dead, or will find that it is not needed."""
LONG_DEAD_SECONDS = 600.0
"""A holder elsewhere whose lease was not touched for so long, by the store's clock, is dead at first sight."""
SETTLE_SECONDS = 0.5
"""Where there are no file locks, the last writer holds a lease; it looks again after so long."""
GUARD_SECONDS = 10.0
"""A process that keeps others from looking at leases for longer than this hangs, and is not waited for."""
_HELD: set[str] = set()
"""Tokens of what this process holds: a lease that it could not give back is not its own any more."""


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
        """Give the lease back; where the store is out of reach it ends by itself."""
        _HELD.discard(self._holder.token)
        self._end.set()
        self._thread.join(timeout=5)
        with contextlib.suppress(StoreError), _guard(self._files, patient=False):
            if _holder_of(self._files, self._name, patient=False) == self._holder:
                self._files.remove(_file(self._name), patient=False)

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            try:
                there = _holder_of(self._files, self._name, patient=False)
                if there is not None and there != self._holder:
                    log.warning("%s took over what this process makes, after it was silent: %s", there, self._name)
                    return
                if self._files.local is not None:
                    os.utime(self._files.local / _file(self._name))  # needs no space on a full disk
                else:
                    self._files.write(_file(self._name), self._holder.text, patient=False)
            except (OSError, StoreError) as error:
                log.debug("the lease %s could not be renewed: %s", self._name, error)


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
        mine, lease = this_process(), None
        _HELD.add(mine.token)
        try:
            if self._has_taken(name, mine):
                lease = Lease(self._files, name, mine)
            return lease
        finally:
            if lease is None:
                _HELD.discard(mine.token)

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
            there = self.holder(name)
            if there is not None:
                waited = True
                tell(there)
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

    def _has_taken(self, name: str, mine: Holder) -> bool:
        with _guard(self._files) as alone:
            there = self.holder(name)
            if there is not None and not self._is_over(name, there):
                return False
            self._files.write(_file(name), mine.text)
        if not alone:
            time.sleep(SETTLE_SECONDS)
        return alone or self.holder(name) == mine

    def _is_over(self, name: str, there: Holder) -> bool:
        if there.is_dead or (there.is_me and there.token not in _HELD):
            return True
        info = self._files.info(_file(name))
        if info is None:
            return True
        beat = (there.token, info.mtime_ns)
        seen, since = self._seen.get(name, (None, 0.0))
        if seen == beat:
            return time.monotonic() - since >= DEAD_SECONDS
        self._seen[name] = beat, time.monotonic()
        if there.is_here:
            return False
        silent = self._now() - info.mtime_ns / 1e9
        return silent > (min(LONG_DEAD_SECONDS, uptime()) if there.was_here else LONG_DEAD_SECONDS)

    def _now(self) -> float:
        """Return the time by the clock of where the store lies; 0 where nothing can be written."""
        with contextlib.suppress(StoreError):
            self._files.write(f"{FOLDER}/clock", b"", patient=False)
            info = self._files.info(f"{FOLDER}/clock")
            return info.mtime_ns / 1e9 if info else 0.0
        return 0.0


def _file(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _holder_of(files: Files, name: str, *, patient: bool = True) -> Holder | None:
    text = files.read(_file(name), patient=patient)
    return None if text is None else holder_from(text)


@contextlib.contextmanager
def _guard(files: Files, *, patient: bool = True) -> Iterator[bool]:
    """Keep other processes from looking at leases meanwhile; gives whether that can be done here."""
    if files.local is None:
        yield False
        return
    with files.opened(f"{FOLDER}/guard", patient=patient) as descriptor:
        alone = _locked(descriptor)
        try:
            yield alone
        finally:
            if alone:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough where a child has it, too


def _locked(descriptor: int) -> bool:
    until = time.monotonic() + GUARD_SECONDS
    while time.monotonic() < until:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:  # a shared disk without locks: as good as an object store
            return False
        else:
            return True
    return False
