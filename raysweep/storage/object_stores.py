"""The backend for object stores, which pyarrow opens by URI: s3, gs, abfs. obstore does the writes on a condition."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.storage.backends import FULL, MARKER, Backend, FileInfo, reason_of

PERMANENT_ERRORS = (
    "ACCESS_DENIED",
    "NO_SUCH_BUCKET",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "HTTP status 301",
    "HTTP status 403",
    "redentials",
)
"""Parts of the messages of errors that no retry will cure."""
OPTIONS = {"s3": ("allow_delayed_open", "true"), "gs": ("retry_limit_seconds", "15")}
"""Query options that URIs get: small files in one request, not three; errors after seconds, not 15 minutes."""
RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=15)}
"""obstore's, of a write on a condition."""
AWS_ROLES = "/latest/api/token"
"""What obstore asks a machine of AWS for last, where it has found no credentials."""
PART_BYTES = 8 * 2**20
"""Read at a time of a file that is put into the store."""
OBJECT_STORES = ("s3", "gcs", "abfs")
"""pyarrow's names of the file systems in which a file becomes visible only when it is complete."""


class ObjectStore(Backend):
    """A prefix in an object store: the folder `below` that of a URI; see `Files`. The first use opens it."""

    def __init__(self, uri: str, below: str) -> None:
        self._uri = uri
        self._below = below

    def __str__(self) -> str:
        shown = _without_keys(self._uri.partition("?")[0]).rstrip("/")
        return f"{shown}/{self._below}" if self._below else shown

    @property
    def filesystem(self) -> Any:
        """Raise UsageError for a kind of URI that pyarrow doesn't know, OSError if the server can't be reached."""
        return _open(self._uri, _environment())[0]

    @property
    def top(self) -> str:
        path = _open(self._uri, _environment())[1]
        return "/".join(part for part in (path.rstrip("/"), self._below) if part)

    @property
    def _conditional(self) -> Any:
        """The bucket for writes on a condition, which pyarrow's file systems don't have."""
        return _open_conditional(self._uri, _environment())

    @override
    def require_root(self) -> None:
        self.info(MARKER)  # whether it is there or not, the server answers

    @override
    def info(self, name: str) -> FileInfo | None:
        return _file_info(self.filesystem.get_file_info(self._path(name)))

    @override
    def read(self, name: str) -> bytes | None:
        try:
            with self.filesystem.open_input_stream(self._path(name), compression=None) as stream:
                return bytes(stream.read())
        except (FileNotFoundError, NotADirectoryError):
            return None

    @override
    def write(self, name: str, data: bytes) -> None:
        with self.filesystem.open_output_stream(self._path(name), compression=None) as stream:
            stream.write(data)

    @override
    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.filesystem.delete_file(self._path(name))

    @override
    def swap(self, name: str, old: bytes, new: bytes) -> bool:
        with _os_errors():
            current, condition = self._version(name)
            if current == old:
                if self._put_if(name, new, condition):
                    return True
                current, _ = self._version(name)  # maybe its own write, whose answer was lost
            return current == new

    def require_conditions(self, name: str) -> None:
        """Raise OSError if the server overwrites the file `name` though a write's condition forbids it."""
        with _os_errors():
            if self._put_if(name, b"y", "create"):
                raise OSError("its server ignores conditions on writes (If-None-Match)")

    def _version(self, name: str) -> tuple[bytes, Any]:
        """Return a file's content and the condition under which it is replaced."""
        try:
            found = self._conditional.get(self._key(name))
            return bytes(found.bytes()), {key: found.meta[key] for key in ("e_tag", "version") if found.meta[key]}
        except FileNotFoundError:
            return b"", "create"

    def _put_if(self, name: str, data: bytes, condition: Any) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._conditional.put(self._key(name), data, mode=condition)
            return True
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):  # the last: another process has removed it
            return False

    @override
    def infos(self, folder: str) -> dict[str, FileInfo]:
        from pyarrow.fs import FileSelector

        top = self._path(folder)
        listed = self.filesystem.get_file_info(FileSelector(top, recursive=True, allow_not_found=True))
        infos = {entry.path[len(top) + 1 :]: _file_info(entry) for entry in listed}
        return {name: info for name, info in infos.items() if info is not None}

    @override
    def folders(self, folder: str) -> set[str]:
        from pyarrow.fs import FileSelector, FileType

        listed = self.filesystem.get_file_info(FileSelector(self._path(folder), allow_not_found=True))
        return {entry.base_name for entry in listed if entry.type == FileType.Directory}

    @override
    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.filesystem.delete_dir(self._path(folder))

    @override
    def put(self, source: Path, name: str) -> None:
        with (
            source.open("rb") as file,
            # `copy_files` ignores failed uploads
            self.filesystem.open_output_stream(self._path(name), compression=None) as stream,
        ):
            shutil.copyfileobj(file, stream, PART_BYTES)

    @override
    def get(self, name: str, target: Path) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        copy_files(self._path(name), str(target), self.filesystem, LocalFileSystem())

    @override
    def is_transient(self, error: OSError) -> bool:
        if isinstance(error, PermissionError | FileNotFoundError) or error.errno in FULL:
            return False
        return not any(part in str(error) for part in PERMANENT_ERRORS)

    def require_bucket(self) -> None:
        """Raise UsageError if the bucket doesn't exist. A listing would just be empty."""
        from pyarrow.fs import FileType

        bucket = self.top.split("/")[0]
        if self.filesystem.get_file_info(bucket).type == FileType.NotFound:
            raise UsageError(f"storage {str(self)!r}: there is no bucket {bucket!r}")

    def _path(self, name: str) -> str:
        return f"{self.top}/{name}" if name else self.top

    def _key(self, name: str) -> str:
        return self._path(name).partition("/")[2]


@cache
def _open(uri: str, environment: tuple[tuple[str, str], ...]) -> tuple[Any, str]:
    """Open a file system and return it with the path in it. Cached, since opening asks for the bucket's region."""
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem

    try:
        filesystem, path = FileSystem.from_uri(_pyarrow_uri(uri))
        if filesystem.type_name not in OBJECT_STORES:
            raise ValueError(f"{filesystem.type_name} is no object store")
    except OSError:
        raise
    except (ArrowException, ValueError) as error:
        raise _unusable(uri, error) from None
    if not path.strip("/"):
        raise UsageError(
            f"storage {_without_keys(uri)!r} names no bucket; give s3://bucket/folder or gs://bucket/folder"
        )
    return filesystem, str(path)


@cache
def _open_conditional(uri: str, environment: tuple[tuple[str, str], ...]) -> Any:
    """Open a bucket for writes on a condition; raise UsageError if the URI means nothing to obstore."""
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    scheme, _, rest = uri.partition("://")
    place, _, query = rest.partition("?")
    keys, _, bucket = unquote(place.partition("/")[0]).rpartition("@")
    protocol, settings, config, credentials = "gs" if scheme == "gcs" else scheme, dict(parse_qsl(query)), {}, None
    if endpoint := settings.get("endpoint_override"):
        config["base_url" if protocol == "gs" else "endpoint"] = f"{settings.get('scheme', 'https')}://{endpoint}"
    if protocol == "s3":
        config["region"] = _open(uri, environment)[0].region
        if keys:
            config["access_key_id"], _, config["secret_access_key"] = keys.partition(":")
        elif "AWS_ACCESS_KEY_ID" not in os.environ:
            credentials = _boto3_credentials()
    elif keys and protocol.startswith("abfs"):  # abfs://container:key@account.dfs.core.windows.net
        bucket, config["account_name"] = keys.partition(":")[0], bucket.partition(".")[0]
        config |= {"account_key": key} if (key := keys.partition(":")[2]) else {}
    try:
        options: Any = {"config": config, "client_options": {"allow_http": True}, "retry_config": RETRIES}
        return from_url(f"{protocol}://{bucket}", credential_provider=credentials, **options)
    except BaseError as error:
        raise _unusable(uri, error) from None


def _boto3_credentials() -> Any:
    """Return what finds S3 credentials as boto3 does, also in ~/.aws; None without boto3, or if it finds none."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except Exception:  # boto3's own for a profile that doesn't exist, too
        return None


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Turn obstore's errors into OSErrors with the server's own words, if it answered."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except BaseError as error:
        words = re.search(r'<Message>(.*?)</Message>|message: "(.*?)"', str(error))
        text = (words.group(1) or words.group(2)) if words else str(error)
        if AWS_ROLES in str(error):
            text = "no credentials are in the environment, nor has this machine a role; those in ~/.aws need boto3"
        kind = PermissionError if isinstance(error, PermissionDeniedError | UnauthenticatedError) else OSError
        raise kind(text) from error


def _unusable(uri: str, error: Exception) -> UsageError:
    return UsageError(
        f"storage {_without_keys(uri)!r} can't be opened: {_without_keys(reason_of(error))}; give a path, or a URI "
        "such as s3://bucket/folder or gs://bucket/folder"
    )


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(("AWS_", "GOOGLE_", "AZURE_"))))


def _pyarrow_uri(uri: str) -> str:
    """Return a URI for pyarrow: escaped, with `OPTIONS` unless the URI sets them itself."""
    scheme, _, rest = uri.partition("://")
    path, _, query = rest.partition("?")
    name, value = OPTIONS.get("gs" if scheme == "gcs" else scheme, ("", ""))
    if name and f"{name}=" not in query:
        query = "&".join(part for part in (query, f"{name}={value}") if part)
    escaped = quote(path, safe="/:@%+~!$&'()*,;=")
    return f"{scheme}://{escaped}" + (f"?{query}" if query else "")


def _without_keys(text: str) -> str:
    return re.sub(r"://[^/@\s]*:[^/@\s]*@", "://", text)


def _file_info(entry: Any) -> FileInfo | None:
    return FileInfo(entry.size, entry.mtime_ns or 0) if entry.is_file else None
