"""Local copies of what lies in an object store, since libraries load from and write to local folders only.

`Copies` holds artefacts. A copy belongs to the manifest in its folder. All processes of this machine share it; an
incomplete or altered copy is fetched again and says nothing about the artefact in the store.
`Mirror` holds a folder of small files that one process writes to and publishes into the store.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import StoreError, UsageError
from raysweep.hashing import describe, difference, sha256
from raysweep.machine import cache_folder
from raysweep.storage.artefacts import MANIFEST, Artefact, folder_of
from raysweep.storage.backends import FileInfo, reason_of, write_atomically
from raysweep.storage.files import Files

STAGING = "staging"
ABANDONED_SECONDS = 86_400
"""A fetch that began so long ago belongs to a process that was killed."""
FETCHES = 3
"""Attempts to fetch a copy that equals its manifest: meanwhile another process may make the artefact again."""


def cache_of(root: str) -> Path:
    """Return the folder on this machine for drafts and copies of a root in an object store."""
    name = f"{root} {os.environ.get('AWS_ENDPOINT_URL', '')}".strip()
    return cache_folder() / hashlib.sha256(name.encode()).hexdigest()[:16]


class Copies:
    """The copies of one store's artefacts."""

    def __init__(self, files: Files, scratch: Path) -> None:
        self._files = files
        self._scratch = scratch

    def prepare(self) -> None:
        """Create the folder, without what killed processes left; raise UsageError if that is impossible."""
        try:
            (self._scratch / STAGING).mkdir(parents=True, exist_ok=True)
            for fetched in (self._scratch / STAGING).glob("copy-*"):
                if time.time() - fetched.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(fetched, ignore_errors=True)
        except OSError as error:
            raise UsageError(
                f"{self._scratch}, for copies of what lies in {self._files}, can't be written: {reason_of(error)}; "
                "set RAYSWEEP_CACHE to another folder"
            ) from None

    def folder(self, node: Artefact) -> Path:
        return self._scratch / folder_of(node)

    def damage(self, node: Artefact, manifest: bytes, expected: Mapping[str, Any], *, refetch: bool) -> str:
        """Fetch an artefact if there is no right copy, or to `refetch`; return how it differs from its manifest, or "".

        Raises StoreError if an old copy can't be moved out of the way, or the fetched files can't be put there.
        """
        if not refetch and self._is_right(node, manifest, expected):
            return ""
        self.forget(node)
        damage = ""
        for _ in range(FETCHES):
            previous = damage
            damage, is_placed = self._fetch(node, expected)
            if is_placed or (not damage and self._is_right(node, manifest, expected)):
                return ""
            if damage and damage == previous:
                return damage
            self.forget(node)
        if damage:
            return damage
        raise self._in_the_way(node, "other processes keep placing another copy there")

    def adopt(self, node: Artefact, folder: Path, manifest: bytes) -> None:
        """Make an artefact's draft its copy, for the next stage; raise StoreError if an old one can't be moved."""
        self.forget(node)
        write_atomically(folder / MANIFEST, manifest)
        self._place(node, folder)

    def forget(self, node: Artefact) -> None:
        """Remove all of the copy or nothing; raise StoreError if that fails: nobody may use it then."""
        trash = self._scratch / STAGING / f"copy-{uuid.uuid4().hex}"
        try:
            trash.parent.mkdir(parents=True, exist_ok=True)
            self.folder(node).replace(trash)
        except FileNotFoundError:  # there is none, or another process has removed it
            return
        except OSError as error:
            raise self._in_the_way(node, f"the copy there can't be moved away ({reason_of(error)})") from error
        shutil.rmtree(trash, ignore_errors=True)

    def _is_right(self, node: Artefact, manifest: bytes, expected: Mapping[str, Any]) -> bool:
        with contextlib.suppress(OSError):
            is_same = (self.folder(node) / MANIFEST).read_bytes() == manifest
            return is_same and not difference(self.folder(node), expected, whole=True)
        return False

    def _fetch(self, node: Artefact, expected: Mapping[str, Any]) -> tuple[str, bool]:
        """Fetch a copy; return its damage, or "", and whether it became the artefact's copy.

        The fetched files are checked before they are put where other processes can remove them. A copy that another
        process has placed meanwhile was checked in the same way, may be in use, and stays.
        """
        draft = self._scratch / STAGING / f"copy-{uuid.uuid4().hex}"
        try:
            self._files.fetch(folder_of(node), draft)
            damage = difference(draft, expected, whole=True)
            return damage, not damage and self._place(node, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _place(self, node: Artefact, folder: Path) -> bool:
        """Return False if another process was faster; raise StoreError if the folder can't be moved there."""
        try:
            self.folder(node).parent.mkdir(parents=True, exist_ok=True)
            folder.replace(self.folder(node))
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise self._in_the_way(node, f"no copy can be put there ({reason_of(error)})") from error
        return True

    def _in_the_way(self, node: Artefact, reason: str) -> StoreError:
        return StoreError(f"{self.folder(node)}: {reason}; remove this folder, or set RAYSWEEP_CACHE to another folder")

    # ---------------------------------------------------------------------- record of late files that were checked

    def is_verified(self, node: Artefact, manifest: bytes, listed: Mapping[str, FileInfo]) -> bool:
        """Return True if `mark_verified` was called for this manifest and these sizes and times."""
        with contextlib.suppress(OSError):
            return self._record(node).read_text() == _fingerprint(manifest, listed)
        return False

    def mark_verified(self, node: Artefact, manifest: bytes, listed: Mapping[str, FileInfo]) -> None:
        """Record that the files in the store, with the sizes and times `listed`, were hashed and match the manifest."""
        path = self._record(node)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _fingerprint(manifest, listed))

    def _record(self, node: Artefact) -> Path:
        return self._scratch / "checked" / node.stage / node.key


def _fingerprint(manifest: bytes, listed: Mapping[str, FileInfo]) -> str:
    entries = [f"{name} {info.size} {info.mtime_ns}" for name, info in sorted(listed.items())]
    return hashlib.sha256("\n".join([manifest.hex(), *entries]).encode()).hexdigest()


class Mirror:
    """A folder of small files in a store and on this machine. For a store on a disk both are the same folder.

    `path`: the folder on this machine, for the one process that writes. `excluded`: subfolders that other processes
    write to; they are never copied. `appended`: files that only grow. After a kill the local file may be longer than
    the store's, and then it stays.
    """

    def __init__(self, files: Files, path: Path, excluded: Collection[str], appended: Collection[str]) -> None:
        self._files = files
        self._excluded = excluded
        self._appended = appended
        self._published: dict[str, str] = {}  # SHA-256 by name
        self._private_folder: tempfile.TemporaryDirectory[str] | None = None
        self.path = path

    def read_only(self) -> None:
        """Pull into a temporary folder of this process, since another process may be writing to the usual one."""
        if self._files.local is None and self._private_folder is None:
            self._private_folder = tempfile.TemporaryDirectory(prefix="raysweep-", ignore_cleanup_errors=True)
            self.path = Path(self._private_folder.name)
        self.pull()

    def pull(self) -> None:
        if self._files.local is not None:
            return
        stored = {name: info for name, info in self._files.infos().items() if not self._is_excluded(name)}
        for name in describe(self.path).keys() - stored.keys() - set(self._appended):
            (self.path / name).unlink(missing_ok=True)
        for name, info in stored.items():
            path = self.path / name
            if name in self._appended and path.is_file() and path.stat().st_size > info.size:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self._files.read(name) or b"")
            self._published[name] = sha256(path)

    def create(self) -> None:
        if self._files.local is not None:
            self._files.create_folder()
        else:
            self.path.mkdir(parents=True, exist_ok=True)

    def publish(self) -> None:
        if self._files.local is not None:
            return
        for name in describe(self.path):
            sha = sha256(self.path / name)
            if not self._is_excluded(name) and self._published.get(name) != sha:
                self._files.write(name, (self.path / name).read_bytes())
                self._published[name] = sha

    def _is_excluded(self, name: str) -> bool:
        return name.partition("/")[0] in self._excluded
