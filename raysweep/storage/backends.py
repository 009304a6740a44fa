"""The contract of a place for files, and its variant for disks. The one for object stores is in object_stores.py.

Also atomic writes of local files, the normal form of a root, and errors of full disks.

Not covered: waiting for a disk or a network that vanishes (`raysweep.storage.files`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed
from typing_extensions import override

from raysweep.errors import RaysweepError, StoreError, UsageError

MARKER = "raysweep-store.json"
"""A file of each root, so that the empty folder of an unmounted disk isn't mistaken for it."""
TRANSIENT = (errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.EHOSTDOWN, errno.ETIMEDOUT)
FULL = (errno.ENOSPC, errno.EDQUOT)
LOCK_SECONDS = 10.0
"""Limit for waiting for a file lock: a process that keeps it longer hangs."""
NO_SPACE = "no space is left on the disk; free some, or give another one with --storage"


@dataclass(frozen=True)
class FileInfo:
    """A file's size and the time of its last change."""

    size: int  # bytes
    mtime_ns: int  # since the epoch, by the clock of the disk or server


class Vanished(OSError):
    """A root that existed before is missing."""

    def __init__(self) -> None:
        super().__init__(errno.ENOENT, f"its folder, or the file {MARKER} in it, is gone")


class Backend(ABC):
    """Files by name below one folder.

    For a file that doesn't exist, methods return None or nothing and raise no error. Other problems raise OSError.
    `expected`: the root existed before; without its marker it has vanished, and nothing is created in its place.
    """

    expected = False

    @abstractmethod
    def require_root(self) -> None:
        """Raise Vanished if the root is expected and missing, another OSError if the server can't be reached."""

    @abstractmethod
    def info(self, name: str) -> FileInfo | None:
        """Return a file's size and time."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return a file's content."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file. Readers see the old content or the new one, never a part."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file."""

    @abstractmethod
    def swap(self, name: str, old: bytes, new: bytes) -> bool:
        """Write a file if its content is `old`, and return whether it has the content `new` now.

        Of processes that swap the same content at the same time, one succeeds, if each has a `new` of its own. No file
        and an empty one are the same here: with an empty `new` a file is removed, or left empty.
        """

    @abstractmethod
    def infos(self, folder: str) -> dict[str, FileInfo]:
        """Return the files below a folder, at any depth, by name relative to it."""

    @abstractmethod
    def folders(self, folder: str) -> set[str]:
        """Return the names of the folders in a folder."""

    @abstractmethod
    def remove_folder(self, folder: str) -> None:
        """Remove a folder and all below it."""

    @abstractmethod
    def put(self, source: Path, name: str) -> None:
        """Move or copy a local file to `name`."""

    @abstractmethod
    def get(self, name: str, target: Path) -> None:
        """Copy a file to a local path."""

    @abstractmethod
    def is_transient(self, error: OSError) -> bool:
        """Return True if an error may go away by waiting."""


class LocalDisk(Backend):
    """The folder `below` a root on a local or shared disk. Writers go there by the root's descriptor; see `opened`."""

    def __init__(self, root: Path, below: str = "") -> None:
        self._root = root
        self._below = below
        self.top = root / below
        self._text = str(self.top)

    @override
    def require_root(self) -> None:
        if self.expected and not (self._root / MARKER).is_file():
            raise Vanished

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """Yield a path to the top, which need not exist, that leads through the root's descriptor.

        It leads into the same root for the whole block, also in other processes, whatever has the root's name by then:
        an empty folder after an unmount, or nothing. A root that isn't expected is created.
        """
        if not self.expected:
            self._root.mkdir(parents=True, exist_ok=True)
        if sys.platform != "linux":  # no path leads through a descriptor
            self.require_root()
            yield self.top
            return
        try:
            descriptor = os.open(self._root, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise Vanished from error
        try:
            root = Path("/proc") / Path("/proc/self").readlink() / "fd" / str(descriptor)
            if self.expected and not (root / MARKER).is_file():
                raise Vanished
            yield root / self._below
        finally:
            os.close(descriptor)

    @override
    def info(self, name: str) -> FileInfo | None:
        return _info(self.top / name)

    @override
    def read(self, name: str) -> bytes | None:
        try:
            with open(f"{self._text}/{name}", "rb", buffering=0) as file:  # noqa: PTH123  a Path takes twice the time
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    @override
    def write(self, name: str, data: bytes) -> None:
        with self.opened() as top:
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(top / name, data)

    @override
    def remove(self, name: str) -> None:
        with contextlib.suppress(NotADirectoryError):
            (self.top / name).unlink(missing_ok=True)

    @override
    def swap(self, name: str, old: bytes, new: bytes) -> bool:
        with self.opened() as top:
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.with_name("guard")) as is_alone:
                current = self.read(name) or b""
                if current == old and not is_alone:
                    return _swap_without_lock(path, old, new)
                if current == old and new:
                    write_atomically(path, new)
                elif current == old:
                    self.remove(name)
                return current in (old, new)

    @override
    def infos(self, folder: str) -> dict[str, FileInfo]:
        top = self.top / folder
        paths = [Path(parent) / name for parent, _, names in os.walk(top, onerror=_raise_unless_gone) for name in names]
        infos = {str(path.relative_to(top)): _info(path) for path in paths}
        return {name: info for name, info in infos.items() if info is not None}

    @override
    def folders(self, folder: str) -> set[str]:
        try:
            with os.scandir(self.top / folder) as entries:
                return {entry.name for entry in entries if entry.is_dir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    @override
    def remove_folder(self, folder: str) -> None:
        for _ in range(10):  # another process may remove the same folder, or still write to it
            try:
                shutil.rmtree(self.top / folder)
            except NotADirectoryError:
                return
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                    raise
            if not (self.top / folder).exists():
                return

    @override
    def put(self, source: Path, name: str) -> None:
        with self.opened() as top:
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.replace(path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                temporary = path.with_name(f".{uuid.uuid4().hex}")
                try:
                    shutil.copyfile(source, temporary)
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)

    @override
    def get(self, name: str, target: Path) -> None:
        shutil.copyfile(self.top / name, target)

    @override
    def is_transient(self, error: OSError) -> bool:
        return error.errno in TRANSIENT or isinstance(error, Vanished)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a local file so that readers see the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a file lock for the block; yield False where the disk has no locks or the wait for it ran out."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    is_held = retry_if_exception_type(BlockingIOError)
    retrying = Retrying(retry=is_held, stop=stop_after_delay(LOCK_SECONDS), wait=wait_fixed(0.01), reraise=True)
    try:
        try:
            retrying(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough while a child has the descriptor too
    finally:
        os.close(descriptor)


def _swap_without_lock(path: Path, old: bytes, new: bytes) -> bool:
    """Swap a file's content: of several processes one renames the old file, and one creates the new one."""
    aside, draft = (path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}") for _ in range(2))
    try:
        if old:
            path.rename(aside)
            if aside.read_bytes() != old:  # another process has swapped it since it was read
                os.link(aside, path)
                return False
        if new:
            write_atomically(draft, new)
            os.link(draft, path)
        return True
    except (FileNotFoundError, FileExistsError):
        return False
    finally:
        aside.unlink(missing_ok=True)
        draft.unlink(missing_ok=True)


def normal_root(root: str) -> str:
    """Return a URI without a slash at its end, or an absolute path; raise UsageError for a URI like ``s3:/bucket``."""
    scheme, separator, rest = root.partition("://")
    if not separator:
        if re.match(r"(s3|gs|gcs|abfss?):/", root, re.IGNORECASE):
            raise UsageError(f"storage {root!r}: a URI has two slashes, {root.replace(':/', '://', 1)}")
        return str(Path(root).expanduser().absolute())
    if scheme.lower() == "file":
        return str(Path(unquote(rest)).absolute())
    path, question, query = rest.partition("?")
    return f"{scheme.lower()}://{path.rstrip('/')}{question}{query}"


def is_full(error: BaseException) -> bool:
    """Return True if an error means that a disk is full. Libraries in other languages give no number, only words."""
    words = rf"No space left|os error 28\b|{re.escape(NO_SPACE)}"
    return getattr(error, "errno", None) in FULL or bool(re.search(words, str(error)))


@contextlib.contextmanager
def full_disk_named(place: str) -> Iterator[None]:
    """Turn any library's error about a full disk into a StoreError that names the place."""
    try:
        yield
    except Exception as error:
        if isinstance(error, RaysweepError) or not is_full(error):
            raise
        raise StoreError(f"{place}: {NO_SPACE}") from error


def reason_of(error: Exception) -> str:
    if is_full(error):
        return NO_SPACE
    text = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    return re.sub(r" ?\(Request ID: [^)]*\)|; Details: .*| error_info={.*", "", text.splitlines()[0])


def _info(path: Path) -> FileInfo | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileInfo(status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
