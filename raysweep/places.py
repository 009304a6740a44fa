"""Where files lie: on a disk, or in an object store through pyarrow.fs. Each does the same few things, at once or not.

What a missing file, a full disk or an absent network mean to a sweep is `raysweep.files`'s business.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError

TRANSIENT = (errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.EHOSTDOWN, errno.ETIMEDOUT)
FINAL = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "Bucket", "redentials")
"""In an object store's error: asking again won't help."""


@dataclass(frozen=True)
class FileInfo:
    """A file's size in bytes and when it was written (ns since the epoch, by the clock of where it lies)."""

    size: int
    mtime_ns: int


class Vanished(OSError):
    """A root that was there is not."""


class Place(ABC):
    """Files by name below one folder. A name that isn't there: None, nothing, or no error; else OSError."""

    @abstractmethod
    def info(self, name: str) -> FileInfo | None:
        """Return a file's size and time."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return a file's content."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file; readers see the old content or the new one, never a part."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file."""

    @abstractmethod
    def infos(self, folder: str) -> dict[str, FileInfo]:
        """Return the files below a folder, at any depth, by name relative to it."""

    @abstractmethod
    def remove_folder(self, folder: str) -> None:
        """Remove a folder and all below it."""

    @abstractmethod
    def put(self, source: Path, name: str) -> None:
        """Bring a local file to its place; `source` may be gone afterwards."""

    @abstractmethod
    def get(self, name: str, target: Path) -> None:
        """Copy a file to a local path."""

    @abstractmethod
    def may_pass(self, error: OSError) -> bool:
        """Tell whether an error may go away by waiting."""


class Disk(Place):
    """A folder on a local or shared disk."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def info(self, name: str) -> FileInfo | None:
        """See `Place`."""
        return _status(self.top / name)

    def read(self, name: str) -> bytes | None:
        """See `Place`."""
        try:
            return (self.top / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Place`."""
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.top / name, data)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with contextlib.suppress(NotADirectoryError):
            (self.top / name).unlink(missing_ok=True)

    def infos(self, folder: str) -> dict[str, FileInfo]:
        """See `Place`."""
        top = self.top / folder
        found = {str(path.relative_to(top)): _status(path) for path in top.rglob("*") if path.is_file()}
        return {name: info for name, info in found.items() if info is not None}

    def remove_folder(self, folder: str) -> None:
        """See `Place`."""
        shutil.rmtree(self.top / folder, ignore_errors=True)

    def put(self, source: Path, name: str) -> None:
        """See `Place`."""
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(self.top / name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            temporary = (self.top / name).with_name(f".{uuid.uuid4().hex}")
            shutil.copyfile(source, temporary)
            temporary.replace(self.top / name)

    def get(self, name: str, target: Path) -> None:
        """See `Place`."""
        shutil.copyfile(self.top / name, target)

    def may_pass(self, error: OSError) -> bool:
        """See `Place`."""
        return error.errno in TRANSIENT or isinstance(error, Vanished)


class ObjectStore(Place):
    """A prefix in an object store, or any file system that pyarrow knows by a URI.

    Args:
        uri: such as ``s3://bucket/folder?endpoint_override=host:port&scheme=http``.
        below: a folder in it.

    Raises:
        UsageError: pyarrow knows no such kind of URI.
    """

    def __init__(self, uri: str, below: str) -> None:
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem

        try:
            self.filesystem, path = FileSystem.from_uri(uri)
        except (ArrowException, OSError, ValueError) as error:
            raise UsageError(
                f"storage {uri!r} can't be opened: {reason_of(error)}; give a path, or a URI such as "
                "s3://bucket/folder or gs://bucket/folder"
            ) from None
        self.top = "/".join(part for part in (path.rstrip("/"), below) if part)

    def info(self, name: str) -> FileInfo | None:
        """See `Place`."""
        return _described(self.filesystem.get_file_info(self._at(name)))

    def read(self, name: str) -> bytes | None:
        """See `Place`."""
        try:
            with self.filesystem.open_input_stream(self._at(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Place`."""
        with self.filesystem.open_output_stream(self._at(name)) as stream:
            stream.write(data)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_file(self._at(name))

    def infos(self, folder: str) -> dict[str, FileInfo]:
        """See `Place`."""
        from pyarrow.fs import FileSelector

        top = self._at(folder)
        listed = self.filesystem.get_file_info(FileSelector(top, recursive=True, allow_not_found=True))
        described = {entry.path[len(top) + 1 :]: _described(entry) for entry in listed}
        return {name: info for name, info in described.items() if info is not None}

    def remove_folder(self, folder: str) -> None:
        """See `Place`."""
        with contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_dir(self._at(folder))

    def put(self, source: Path, name: str) -> None:
        """See `Place`."""
        from pyarrow.fs import LocalFileSystem, copy_files

        copy_files(str(source), self._at(name), LocalFileSystem(), self.filesystem)

    def get(self, name: str, target: Path) -> None:
        """See `Place`."""
        from pyarrow.fs import LocalFileSystem, copy_files

        copy_files(self._at(name), str(target), self.filesystem, LocalFileSystem())

    def may_pass(self, error: OSError) -> bool:
        """See `Place`."""
        return not isinstance(error, PermissionError) and not any(sign in str(error) for sign in FINAL)

    def _at(self, name: str) -> str:
        return f"{self.top}/{name}" if name else self.top


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a local file so that readers see the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def reason_of(error: Exception) -> str:
    """Return an error's reason in one line."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space is left on the disk: free some, or give another --storage"
    text = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    return text.splitlines()[0]


def _described(entry: Any) -> FileInfo | None:
    return FileInfo(entry.size, entry.mtime_ns or 0) if entry.is_file else None


def _status(path: Path) -> FileInfo | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileInfo(status.st_size, status.st_mtime_ns)
