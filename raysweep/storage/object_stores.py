"""Files in an object store, or in any other file system that pyarrow knows by a URI: s3, gs, abfs, hdfs."""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from raysweep.errors import UsageError
from raysweep.storage.places import FULL, FileInfo, Place, reason_of

FINAL = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "HTTP status 301",
    "HTTP status 403",
    "redentials",
)
"""In an object store's error: asking again won't help."""
OPTIONS = {"s3": ("allow_delayed_open", "true"), "gs": ("retry_limit_seconds", "15")}
"""Small files in one request instead of three; an error after seconds instead of 15 minutes."""
OBJECT_STORES = ("s3", "gcs", "abfs")
"""pyarrow's names of those in which a file is seen when it is whole, and which have no folders."""


class ObjectStore(Place):
    """A prefix in an object store, opened when it is first used.

    Args:
        uri: such as ``s3://bucket/folder?endpoint_override=host:port&scheme=http``.
        below: a folder in it.
    """

    def __init__(self, uri: str, below: str) -> None:
        self._uri = uri
        self._below = below

    def __str__(self) -> str:
        """Return the URI without what may hold secrets."""
        shown = _hidden(self._uri.partition("?")[0]).rstrip("/")
        return f"{shown}/{self._below}" if self._below else shown

    @property
    def filesystem(self) -> Any:
        """Pyarrow's file system.

        Raises:
            UsageError: pyarrow knows no such kind of URI.
            OSError: it can't be reached.
        """
        return _opened(self._uri, _surroundings())[0]

    @property
    def top(self) -> str:
        """The path in the file system."""
        path = _opened(self._uri, _surroundings())[1]
        return "/".join(part for part in (path.rstrip("/"), self._below) if part)

    def info(self, name: str) -> FileInfo | None:
        """See `Place`."""
        return _described(self.filesystem.get_file_info(self._at(name)))

    def read(self, name: str) -> bytes | None:
        """See `Place`."""
        try:
            with self.filesystem.open_input_stream(self._at(name), compression=None) as stream:
                return bytes(stream.read())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            if self._has_folders and self.info(name) is None:
                return None
            raise

    def write(self, name: str, data: bytes) -> None:
        """See `Place`."""
        with self._whole(name) as path, self.filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)

    def remove(self, name: str) -> None:
        """See `Place`."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
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
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.filesystem.delete_dir(self._at(folder))

    def put(self, source: Path, name: str) -> None:
        """See `Place`."""
        from pyarrow.fs import LocalFileSystem, copy_files

        with self._whole(name) as path:
            copy_files(str(source), path, LocalFileSystem(), self.filesystem)

    def get(self, name: str, target: Path) -> None:
        """See `Place`."""
        from pyarrow.fs import LocalFileSystem, copy_files

        copy_files(self._at(name), str(target), self.filesystem, LocalFileSystem())

    def may_pass(self, error: OSError) -> bool:
        """See `Place`."""
        if isinstance(error, PermissionError | FileNotFoundError) or error.errno in FULL:
            return False
        return not any(sign in str(error) for sign in FINAL)

    def require_bucket(self) -> None:
        """Raise UsageError when there is no such bucket, which listings don't say."""
        from pyarrow.fs import FileType

        bucket = self.top.split("/")[0]
        if self.filesystem.get_file_info(bucket).type == FileType.NotFound:
            raise UsageError(f"storage {str(self)!r}: there is no bucket {bucket!r}")

    @property
    def _has_folders(self) -> bool:
        return self.filesystem.type_name not in OBJECT_STORES

    def _at(self, name: str) -> str:
        return f"{self.top}/{name}" if name else self.top

    @contextlib.contextmanager
    def _whole(self, name: str) -> Any:
        """Give a path to write a file to, which becomes `name` with the end of the block."""
        path = self._at(name)
        if not self._has_folders:
            yield path
            return
        folder, _, last = path.rpartition("/")
        temporary = f"{folder}/.{last[:200]}.{uuid.uuid4().hex[:8]}"
        self.filesystem.create_dir(folder, recursive=True)
        yield temporary
        self.filesystem.move(temporary, path)


@cache
def _opened(uri: str, surroundings: tuple[tuple[str, str], ...]) -> tuple[Any, str]:
    """Open a file system; each that is opened asks for its bucket's region, so once a process."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    try:
        filesystem, path = FileSystem.from_uri(_complete(uri))
    except OSError:
        raise
    except (ArrowException, ValueError) as error:
        raise UsageError(
            f"storage {_hidden(uri)!r} can't be opened: {_hidden(reason_of(error))}; give a path, or a URI such as "
            "s3://bucket/folder or gs://bucket/folder"
        ) from None
    if not path.strip("/"):
        raise UsageError(f"storage {_hidden(uri)!r} names no bucket; give s3://bucket/folder or gs://bucket/folder")
    return filesystem, str(path)


def _surroundings() -> tuple[tuple[str, str], ...]:
    """Return the environment variables that decide what a URI means."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(("AWS_", "GOOGLE_", "AZURE_"))))


def _complete(uri: str) -> str:
    """Return a URI as pyarrow wants it: escaped, and with our options unless they are given."""
    scheme, _, rest = uri.partition("://")
    path, _, query = rest.partition("?")
    name, value = OPTIONS.get("gs" if scheme == "gcs" else scheme, ("", ""))
    if name and f"{name}=" not in query:
        query = "&".join(part for part in (query, f"{name}={value}") if part)
    escaped = quote(path, safe="/:@%+~!$&'()*,;=")
    return f"{scheme}://{escaped}" + (f"?{query}" if query else "")


def _hidden(text: str) -> str:
    """Return a text without the keys that a URI in it may hold."""
    return re.sub(r"://[^/@\s]*:[^/@\s]*@", "://", text)


def _described(entry: Any) -> FileInfo | None:
    return FileInfo(entry.size, entry.mtime_ns or 0) if entry.is_file else None
