"""A folder of small files that lies in an object store and, while this process works with it, on this machine too.

Libraries write into the local folder; what is new there is copied on demand. On a disk there is one folder and nothing
to copy.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from raysweep.storage.digests import describe, sha256
from raysweep.storage.files import Files
from raysweep.storage.places import write_atomically


class Mirror:
    """A folder in the store and on this machine.

    Args:
        files: of the folder in the store.
        path: the folder on this machine, for the one process that writes into both.
        without: subfolders that others write into; they are not copied.
        growing: files that are appended to: a kill may leave the local one longer than the other.
    """

    def __init__(self, files: Files, path: Path, without: Collection[str], growing: Collection[str]) -> None:
        self._files = files
        self._without = without
        self._growing = growing
        self._published: dict[str, str] = {}
        self._own: tempfile.TemporaryDirectory[str] | None = None
        self.path = path

    def read_only(self) -> None:
        """Pull into a folder of this process alone: another one may be writing into the usual one."""
        if self._files.local is None and self._own is None:
            self._own = tempfile.TemporaryDirectory(prefix="raysweep-", ignore_cleanup_errors=True)
            self.path = Path(self._own.name)
        self.pull()

    def pull(self) -> None:
        """Make the local folder what lies in the store; on a disk it is."""
        if self._files.local is not None:
            return
        there = {name: info for name, info in self._files.infos().items() if not self._is_left_out(name)}
        for name in describe(self.path).keys() - there.keys() - set(self._growing):
            (self.path / name).unlink(missing_ok=True)
        for name, info in there.items():
            path = self.path / name
            if name in self._growing and path.is_file() and path.stat().st_size > info.size:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self._files.read(name) or b"")
            self._published[name] = sha256(path)

    def publish(self) -> None:
        """Copy what is new in the local folder into the store; on a disk it is there."""
        if self._files.local is not None:
            return
        for name in describe(self.path):
            sha = sha256(self.path / name)
            if not self._is_left_out(name) and self._published.get(name) != sha:
                self._files.write(name, (self.path / name).read_bytes())
                self._published[name] = sha

    def _is_left_out(self, name: str) -> bool:
        return name.partition("/")[0] in self._without
