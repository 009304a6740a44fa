"""Reads and writes files below one root, on a disk or in an object store, and waits for a root that vanishes.

Readers see a whole file or none. Only single files are renamed, never folders. A root has a marker file, so that the
empty folder of an unmounted disk isn't mistaken for it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import OtherSchema, StoreError, UsageError, WasAway
from raysweep.hashing import difference
from raysweep.periodic import run_periodically
from raysweep.records import SCHEMA_VERSION
from raysweep.storage.backends import MARKER, Backend, FileInfo, LocalDisk, is_full, normal_root, reason_of
from raysweep.storage.object_stores import ObjectStore

log = logging.getLogger("raysweep")

T = TypeVar("T")

Outage = Callable[[], StoreError | None]
RECENT_SECONDS = 10.0
"""An error is ascribed to an outage that ended less than so long before."""
LOOK_SECONDS = 0.2
"""Between two looks whether a disk is there."""
PATIENCE = 120.0
"""Limit, in seconds, for an operation's wait for a root that has vanished."""


class Files:
    """Files below one root; raises UsageError for a URI of an unknown kind, or one that can't be reached.

    `root`: a path, or the URI of an object store (``s3://bucket/folder?endpoint_override=host:port&scheme=http``);
    each process that uses it reads accounts and end points from its environment. `below`: a folder in the root; names
    are relative to it. `expected`: the root existed before, so operations wait for it if it vanishes, as after
    `require_writable`.
    """

    def __init__(self, root: str, below: str = "", *, expected: bool = False) -> None:
        self.root = normal_root(root)
        self._below = below
        self._remote = ObjectStore(self.root, below) if "://" in self.root else None
        self.local = None if self._remote else Path(self.root) / below
        self._backend: Backend = self._remote or LocalDisk(Path(self.root), below)
        self._backend.expected = expected
        if self._remote and not expected:
            try:
                self._remote.top  # noqa: B018  opens it
            except OSError as error:
                raise UsageError(f"storage {str(self)!r} can't be opened: {reason_of(error)}") from None

    def __reduce__(self) -> Any:
        return functools.partial(Files, self.root, self._below, expected=self.expected), ()

    def __str__(self) -> str:
        return str(self._remote or self.local)

    @property
    def expected(self) -> bool:
        return self._backend.expected

    @property
    def _disk(self) -> LocalDisk:
        assert isinstance(self._backend, LocalDisk)
        return self._backend

    def below(self, folder: str) -> Files:
        return Files(self.root, f"{self._below}/{folder}".strip("/"), expected=self.expected)

    def filesystem(self) -> tuple[Any, str]:
        """Return pyarrow's file system (None: the disk) and the path in it, for libraries that need both."""
        remote = self._remote
        return (None, str(self.local)) if remote is None else self._retry(lambda: (remote.filesystem, remote.top))

    # ------------------------------------------------------------------------------------------ single files

    def info(self, name: str) -> FileInfo | None:
        return self._retry(lambda: self._or_vanished(self._backend.info(name)))

    def read(self, name: str, *, patient: bool = True) -> bytes | None:
        """`patient`, here and below: wait for a root that has vanished."""
        return self._retry(lambda: self._or_vanished(self._backend.read(name)), patient=patient)

    def write(self, name: str, content: str | bytes, *, patient: bool = True) -> None:
        data = content.encode() if isinstance(content, str) else content
        self._retry(lambda: self._backend.write(name, data), patient=patient)

    def remove(self, name: str, *, patient: bool = True) -> None:
        self._retry(lambda: self._backend.remove(name), patient=patient)

    def swap(self, name: str, old: bytes, new: bytes, *, patient: bool = True) -> bool:
        """Write a file if its content is `old`, and return whether it has the content `new` now; see `Backend.swap`."""
        return self._retry(lambda: self._backend.swap(name, old, new), patient=patient)

    def put(self, source: Path, name: str) -> None:
        self._retry(lambda: self._backend.put(source, name))

    # ---------------------------------------------------------------------------------------------- folders

    def infos(self, folder: str = "", *, patient: bool = True) -> dict[str, FileInfo]:
        """Return the files below a folder, at any depth, by name relative to it; empty if there is no such folder."""
        return self._retry(lambda: self._or_vanished(self._backend.infos(folder) or None), patient=patient) or {}

    def folders(self, folder: str = "") -> set[str]:
        return self._retry(lambda: self._or_vanished(self._backend.folders(folder) or None)) or set()

    def remove_folder(self, folder: str = "") -> None:
        self._retry(lambda: self._backend.remove_folder(folder))

    def difference(self, folder: str, expected: Mapping[str, Any], *, whole: bool) -> str:
        """Return how a folder on a disk differs from the expected files; see `raysweep.hashing.difference`."""
        assert self.local is not None
        path = f"{self.local}/{folder}"
        damage = self._retry(lambda: difference(path, expected, whole=whole))
        if damage and self.expected:  # maybe the root was only away for a moment
            self.await_root()
            damage = self._retry(lambda: difference(path, expected, whole=whole))
        return damage

    @contextlib.contextmanager
    def writing(self, folder: str) -> Iterator[Path]:
        """Yield a local folder to write to; when the block ends without an error, its files are in `folder`.

        On a disk it leads there by the root's descriptor, so that what is written lies in the root though that has
        vanished meanwhile. The block ends once it is back.
        """
        if self.local is not None:
            with contextlib.ExitStack() as stack:
                yield self._retry(lambda: self._created(folder, stack))
                self.await_root()
            return
        with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
            yield Path(scratch)
            for path in sorted(path for path in Path(scratch).rglob("*") if path.is_file()):
                self.put(path, f"{folder}/{path.relative_to(scratch)}")

    def create_folder(self, folder: str = "") -> None:
        """Create a folder on a disk."""
        with contextlib.ExitStack() as stack:
            self._retry(lambda: self._created(folder, stack))

    def _created(self, folder: str, stack: contextlib.ExitStack) -> Path:
        path = stack.enter_context(self._disk.opened()) / folder
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def reading(self, folder: str) -> Iterator[Path]:
        """Yield a local folder with a folder's files: the folder itself on a disk, else a temporary copy."""
        if self.local is not None:
            yield self.local / folder
            return
        with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
            self.fetch(folder, Path(scratch))
            yield Path(scratch)

    def fetch(self, folder: str, target: Path) -> None:
        for name in self.infos(folder):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            self._retry(functools.partial(self._backend.get, f"{folder}/{name}", target / name))

    # ------------------------------------------------------------------------------------- the root as a whole

    def require_writable(self) -> None:
        """Create root and marker; raise UsageError if that is impossible, OtherSchema if another raysweep wrote it."""
        backend = Files(self.root)._backend
        try:
            if isinstance(backend, LocalDisk):
                backend.top.mkdir(parents=True, exist_ok=True)
            marker = backend.read(MARKER)
            self._require_known(marker)
            if marker is None:
                backend.write(MARKER, (json.dumps({"schema_version": SCHEMA_VERSION}) + "\n").encode())
            probe = f".probe-{uuid.uuid4().hex}"
            backend.write(probe, b"x")
            if isinstance(backend, ObjectStore):
                backend.require_conditions(probe)
            backend.remove(probe)
        except OSError as error:
            way_out = "" if is_full(error) else "; give another one with --storage"
            raise UsageError(f"storage {str(self)!r} can't be written: {reason_of(error)}{way_out}") from None
        self._backend.expected = True

    def await_root(self) -> None:
        """Wait until the root is there; raise StoreError if it has vanished and does not come back."""
        self._retry(self._backend.require_root)

    @contextlib.contextmanager
    def noting_outages(self) -> Iterator[Outage]:
        """Yield a function that finds the outage that an error in the block comes from.

        It returns None if the root was not away in the last seconds and since the last call. Else it waits until the
        root is back, and returns WasAway, or StoreError if it doesn't come back. A disk is looked at several times a
        second, since it may be back before an error is handled.
        """
        problems: list[tuple[float, OSError]] = []  # the last one, and when it was met

        def look() -> None:
            try:
                self._backend.require_root()
            except OSError as error:
                problems[:] = [(time.monotonic(), error)]

        def outage() -> StoreError | None:
            look()
            if not problems or time.monotonic() - problems[0][0] > RECENT_SECONDS:
                return None
            try:
                self.await_root()
            except StoreError as error:
                return error
            return WasAway(f"storage {self._shown_root} was away: {reason_of(problems.pop()[1])}")

        is_watched = self.local is not None and self.expected
        with run_periodically(look, LOOK_SECONDS, "storage") if is_watched else contextlib.nullcontext():
            yield outage

    def steadily(self, work: Callable[[], T]) -> T:
        """Call something that reads and writes by paths, again if the root was away when it failed."""
        with self.noting_outages() as outage:
            while True:
                try:
                    return work()
                except Exception as error:
                    problem = None if getattr(error, "has_waited", False) else outage()
                    if problem is None:
                        raise
                    if problem.counts:
                        raise problem from error

    def require_known(self) -> None:
        """Raise OtherSchema if another raysweep wrote the store, StoreError if it can't be read."""
        root = Files(self.root)
        marker = root.read(MARKER)
        if marker is None and root._remote is not None:
            root._retry(root._remote.require_bucket)
        self._require_known(marker)

    def _require_known(self, marker: bytes | None) -> None:
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            version = int(json.loads(marker or b"{}").get("schema_version", SCHEMA_VERSION))
            if version != SCHEMA_VERSION:
                raise OtherSchema(str(self), version, SCHEMA_VERSION)

    @property
    def _shown_root(self) -> str:
        return str(ObjectStore(self.root, "")) if self._remote else self.root

    def _or_vanished(self, result: T | None) -> T | None:
        """Return `result`. If it is None, raise Vanished where not only the file but the whole root is missing."""
        if result is None and self.local is not None:
            self._backend.require_root()
        return result

    def _retry(self, operation: Callable[[], T], *, patient: bool = True) -> T:
        """Call an operation, again and again after transient errors; raise StoreError if it fails for good."""
        started, pause, has_warned = time.monotonic(), 0.5, False
        while True:
            try:
                result = operation()
                if has_warned:
                    log.warning("storage %s is back", self._shown_root)
                return result
            except OSError as error:
                left = started + PATIENCE - time.monotonic()
                if not (patient and self.expected and left > 0 and self._backend.is_transient(error)):
                    problem = StoreError(f"storage {self._shown_root}: {reason_of(error)}")
                    problem.has_waited = patient and left <= 0
                    raise problem from error
                if not has_warned:
                    has_warned = True
                    log.warning("storage %s: %s; waiting up to %.0f s for it", self._shown_root, reason_of(error), left)
                time.sleep(min(pause, left))
                pause = min(2 * pause, 5)
