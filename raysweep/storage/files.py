"""Files below one root, on a disk or in an object store, by name; a root that vanishes for a while is waited for.

A file is seen whole or not at all, and nothing is renamed but a single file. A root has a marker file, so that the
empty folder which an unmounted disk leaves behind is not mistaken for it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from raysweep.errors import NewerStore, StoreError, UsageError
from raysweep.records import SCHEMA_VERSION
from raysweep.storage.digests import difference
from raysweep.storage.object_stores import ObjectStore
from raysweep.storage.places import Disk, FileInfo, Place, Vanished, is_full, normal_root, reason_of

log = logging.getLogger("raysweep")

T = TypeVar("T")

MARKER = "raysweep-store.json"
PATIENCE = 120.0
"""Seconds that an operation waits for a root that has vanished."""


class Files:
    """Files below one root.

    Args:
        root: a path, or a URI that pyarrow.fs knows (``s3://bucket/folder?endpoint_override=host:port&scheme=http``);
            what the process's environment says of accounts and end points holds wherever the root is used.
        below: a folder in it; names are relative to it.
        expected: the root was there before: it is waited for when it is not. Set by `require_writable`.

    Raises:
        UsageError: a URI of an unknown kind, or of something that can't be reached.
    """

    def __init__(self, root: str, below: str = "", *, expected: bool = False) -> None:
        self.root = normal_root(root)
        self.expected = expected
        self._below = below
        self._remote = ObjectStore(self.root, below) if "://" in self.root else None
        self.local = None if self._remote else Path(self.root) / below
        self._place: Place = self._remote or Disk(Path(self.root) / below)
        if self._remote and not expected:
            try:
                self._remote.top  # noqa: B018  opens it
            except OSError as error:
                raise UsageError(f"storage {str(self)!r} can't be opened: {reason_of(error)}") from None

    def __reduce__(self) -> Any:
        return _again, (self.root, self._below, self.expected)

    def __str__(self) -> str:
        return str(self._remote or self.local)

    def below(self, folder: str) -> Files:
        """Return the files of a folder."""
        return Files(self.root, f"{self._below}/{folder}".strip("/"), expected=self.expected)

    def filesystem(self) -> tuple[Any, str]:
        """Return pyarrow's file system (None: the disk) and the path in it, for libraries that take these."""
        remote = self._remote
        return (None, str(self.local)) if remote is None else self._patiently(lambda: (remote.filesystem, remote.top))

    # ------------------------------------------------------------------------------------------ single files

    def info(self, name: str) -> FileInfo | None:
        """Return a file's size and time, None when there is no such file."""
        return self._patiently(lambda: self._there(self._place.info(name)))

    def read(self, name: str, *, patient: bool = True) -> bytes | None:
        """Return a file's content, None when there is no such file."""
        return self._patiently(lambda: self._there(self._place.read(name)), patient=patient)

    def write(self, name: str, content: str | bytes, *, patient: bool = True) -> None:
        """Write a file. `patient`: wait for a root that has vanished."""
        data = content.encode() if isinstance(content, str) else content
        self._patiently(lambda: self._place.write(name, data), patient=patient, rooted=True)

    def remove(self, name: str, *, patient: bool = True) -> None:
        """Remove a file, if it is there."""
        self._patiently(lambda: self._place.remove(name), patient=patient)

    def put(self, source: Path, name: str) -> None:
        """Bring a local file to its place; it may be gone from the old one afterwards."""
        self._patiently(lambda: self._place.put(source, name), rooted=True)

    # ---------------------------------------------------------------------------------------------- folders

    def infos(self, folder: str = "", *, patient: bool = True) -> dict[str, FileInfo]:
        """Return the files below a folder, at any depth, by name relative to it; empty when there is no such folder."""
        return self._patiently(lambda: self._there(self._place.infos(folder) or None), patient=patient) or {}

    def remove_folder(self, folder: str = "") -> None:
        """Remove a folder and all below it, if it is there."""
        self._patiently(lambda: self._place.remove_folder(folder))

    def difference(self, folder: str, expected: Mapping[str, Any], *, whole: bool) -> str:
        """Say how a folder on a disk differs from what it should be; see `raysweep.storage.digests.difference`."""
        assert self.local is not None
        path = self.local / folder
        wrong = self._patiently(lambda: difference(path, expected, whole=whole))
        if wrong and self.expected:  # or was the root just away?
            self.await_root()
            wrong = self._patiently(lambda: difference(path, expected, whole=whole))
        return wrong

    @contextlib.contextmanager
    def opened(self, name: str, *, patient: bool = True) -> Iterator[int]:
        """Give the descriptor of a file on a disk, which is made if it isn't there."""
        assert self.local is not None
        path = self.local / name

        def made() -> int:
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

        descriptor = self._patiently(made, patient=patient, rooted=True)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def writing(self, folder: str) -> Iterator[Path]:
        """Give a local folder to write into; its files lie in `folder` once the block has ended without an error."""
        if self.local is not None:
            path = self.local / folder
            self._patiently(lambda: path.mkdir(parents=True, exist_ok=True), rooted=True)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
            yield Path(scratch)
            for path in sorted(path for path in Path(scratch).rglob("*") if path.is_file()):
                self.put(path, f"{folder}/{path.relative_to(scratch)}")

    @contextlib.contextmanager
    def reading(self, folder: str) -> Iterator[Path]:
        """Give a local folder with a folder's files: the folder itself on a disk, else a copy for the block."""
        if self.local is not None:
            yield self.local / folder
            return
        with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
            self.fetch(folder, Path(scratch))
            yield Path(scratch)

    def fetch(self, folder: str, target: Path) -> None:
        """Copy all files below a folder into a local one."""
        for name in self.infos(folder):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            self._patiently(functools.partial(self._place.get, f"{folder}/{name}", target / name))

    # ------------------------------------------------------------------------------------- the root as a whole

    def require_writable(self) -> None:
        """Make the root and its marker.

        Raises:
            UsageError: it can't be made or written.
            NewerStore: a newer raysweep wrote it.
        """
        place = Files(self.root)._place
        try:
            if isinstance(place, Disk):
                place.top.mkdir(parents=True, exist_ok=True)
            marker = place.read(MARKER)
            self._require_known(marker)
            if marker is None:
                place.write(MARKER, (json.dumps({"schema_version": SCHEMA_VERSION}) + "\n").encode())
            probe = f".probe-{uuid.uuid4().hex}"
            place.write(probe, b"x")
            place.remove(probe)
        except OSError as error:
            way_out = "" if is_full(error) else "; give another one with --storage"
            raise UsageError(f"storage {str(self)!r} can't be written: {reason_of(error)}{way_out}") from None
        self.expected = True

    def await_root(self) -> None:
        """Return once the root is there; raise StoreError when it has vanished and does not come back."""
        self._patiently(self._require_root)

    def require_known(self) -> None:
        """Raise NewerStore when a newer raysweep wrote the store; StoreError when it can't be read."""
        root = Files(self.root)
        marker = root.read(MARKER)
        if marker is None and root._remote is not None:
            root._patiently(root._remote.require_bucket)
        self._require_known(marker)

    def _require_known(self, marker: bytes | None) -> None:
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            version = int(json.loads(marker or b"{}").get("schema_version", 0))
            if version > SCHEMA_VERSION:
                raise NewerStore(str(self), version, SCHEMA_VERSION)

    @property
    def _shown_root(self) -> str:
        return str(ObjectStore(self.root, "")) if self._remote else self.root

    def _require_root(self) -> None:
        if self.expected and self.local is not None and not (Path(self.root) / MARKER).is_file():
            raise Vanished(errno.ENOENT, f"its folder, or the file {MARKER} in it, is gone")

    def _there(self, found: T | None) -> T | None:
        if found is None:
            self._require_root()
        return found

    def _patiently(self, operation: Callable[[], T], *, patient: bool = True, rooted: bool = False) -> T:
        """Return what an operation returns, once it works. `rooted`: it would do harm where the root has vanished."""
        started, pause, told = time.monotonic(), 0.5, False
        while True:
            try:
                if rooted:
                    self._require_root()
                done = operation()
                if told:
                    log.warning("storage %s is back", self._shown_root)
                return done
            except OSError as error:
                left = started + PATIENCE - time.monotonic()
                if not (patient and self.expected and left > 0 and self._place.may_pass(error)):
                    raise StoreError(f"storage {self._shown_root}: {reason_of(error)}") from error
                if not told:
                    told = True
                    log.warning("storage %s: %s; waiting up to %.0f s for it", self._shown_root, reason_of(error), left)
                time.sleep(min(pause, left))
                pause = min(2 * pause, 5)


def _again(root: str, below: str, expected: bool) -> Files:
    return Files(root, below, expected=expected)
