"""Copies, on this machine, of artefacts that lie in an object store: what is loaded must be a local folder.

A copy stands for the artefact whose manifest it has. Processes of this machine share it, so one that is incomplete or
altered is fetched again, and never taken for damage of what lies in the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.errors import StoreError, UsageError
from raysweep.storage.artefacts import Artefact, folder_of
from raysweep.storage.digests import difference
from raysweep.storage.files import Files
from raysweep.storage.places import FileInfo, reason_of, write_atomically

MANIFEST = "manifest.json"
STAGING = "staging"
ABANDONED_SECONDS = 86_400
"""A copy that was being fetched so long ago is one of a process that was killed."""
FETCHES = 3
"""Attempts to get a copy that is as the manifest says: the artefact may be made again meanwhile."""


def cache_folder() -> Path:
    """Return the folder on this machine for what can be fetched again; it may not exist yet."""
    return Path(os.environ.get("RAYSWEEP_CACHE") or "~/.cache/raysweep").expanduser().absolute()


def cache_of(root: str) -> Path:
    """Return the folder on this machine for what is written to, and read from, a root in an object store."""
    name = f"{root} {os.environ.get('AWS_ENDPOINT_URL', '')}".strip()
    return cache_folder() / hashlib.sha256(name.encode()).hexdigest()[:16]


class Copies:
    """The copies of one store's artefacts.

    Args:
        files: the store's.
        scratch: a folder on this machine.
    """

    def __init__(self, files: Files, scratch: Path) -> None:
        self._files = files
        self._scratch = scratch

    def prepare(self) -> None:
        """Make the folder of copies; remove what killed processes left there.

        Raises:
            UsageError: it can't be made.
        """
        try:
            (self._scratch / STAGING).mkdir(parents=True, exist_ok=True)
            for left in (self._scratch / STAGING).glob("copy-*"):
                if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            raise UsageError(
                f"{self._scratch}, for copies of what lies in {self._files}, can't be written: {reason_of(error)}; "
                "set RAYSWEEP_CACHE to another folder"
            ) from None

    def folder(self, node: Artefact) -> Path:
        """Return where an artefact's copy lies or will lie."""
        return self._scratch / folder_of(node)

    def damage(self, node: Artefact, manifest: bytes, expected: Mapping[str, Any], *, afresh: bool) -> str:
        """Say how an artefact differs from its manifest after fetching it where necessary; empty: there is a copy.

        Args:
            node: the artefact.
            manifest: its text.
            expected: what it says of the files.
            afresh: fetch it in any case.

        Raises:
            StoreError: what was fetched is right, but another copy lies in its place and stays there.
        """
        if not afresh and self._stands(node, manifest, expected):
            return ""
        self.forget(node)
        wrong = ""
        for _ in range(FETCHES):
            before = wrong
            wrong, placed = self._fetch(node, expected)
            if placed or (not wrong and self._stands(node, manifest, expected)):
                return ""
            if wrong and wrong == before:
                return wrong
            self.forget(node)
        if wrong:
            return wrong
        raise StoreError(
            f"{self.folder(node)}: another copy lies there and can't be moved away; remove it, or set RAYSWEEP_CACHE "
            "to another folder"
        )

    def adopt(self, node: Artefact, folder: Path, manifest: bytes) -> None:
        """Take the folder that an artefact was made in for its copy: what was just made is wanted next."""
        self.forget(node)
        write_atomically(folder / MANIFEST, manifest)
        self._place(node, folder)

    def forget(self, node: Artefact) -> None:
        """Remove the copy, for those who look at it at once as a whole."""
        away = self._scratch / STAGING / f"copy-{uuid.uuid4().hex}"
        with contextlib.suppress(OSError):
            away.parent.mkdir(parents=True, exist_ok=True)
            self.folder(node).replace(away)
        shutil.rmtree(away, ignore_errors=True)

    def is_vouched_for(self, node: Artefact, manifest: bytes, listed: Mapping[str, FileInfo]) -> bool:
        """Whether a file was written after the manifest, yet was hashed since and found to be what it should be."""
        with contextlib.suppress(OSError):
            return self._voucher(node).read_text() == _seal(manifest, listed)
        return False

    def vouch_for(self, node: Artefact, manifest: bytes, listed: Mapping[str, FileInfo]) -> None:
        """Remember that all files as they are listed were found to be what they should be."""
        path = self._voucher(node)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _seal(manifest, listed))

    def _voucher(self, node: Artefact) -> Path:
        return self._scratch / "checked" / node.stage / node.key

    def _stands(self, node: Artefact, manifest: bytes, expected: Mapping[str, Any]) -> bool:
        """Whether there is a copy, of this manifest, and as it says."""
        with contextlib.suppress(OSError):
            same = (self.folder(node) / MANIFEST).read_bytes() == manifest
            return same and not difference(self.folder(node), expected, whole=True)
        return False

    def _fetch(self, node: Artefact, expected: Mapping[str, Any]) -> tuple[str, bool]:
        """Fetch a copy and say what is wrong with it, looked at before others can remove it; and whether it was kept.

        A copy that another process has brought meanwhile was looked at likewise, may be in use, and stays.
        """
        draft = self._scratch / STAGING / f"copy-{uuid.uuid4().hex}"
        try:
            self._files.fetch(folder_of(node), draft)
            wrong = difference(draft, expected, whole=True)
            return wrong, not wrong and self._place(node, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _place(self, node: Artefact, folder: Path) -> bool:
        self.folder(node).parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.replace(self.folder(node))
        except OSError:  # another process was faster
            return False
        return True


def _seal(manifest: bytes, listed: Mapping[str, FileInfo]) -> str:
    entries = [f"{name} {info.size} {info.mtime_ns}" for name, info in sorted(listed.items())]
    return hashlib.sha256("\n".join([manifest.hex(), *entries]).encode()).hexdigest()
