"""What a file's content is, and how it differs from what was written: sizes and SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

FULL_CHECK_BYTES = 256 * 2**20
"""Files up to this size are hashed whenever they are looked at; larger ones by size only, until they are used."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content; remembered within the process while its size and time stay."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Return ``{name: {"bytes", "sha256"}}`` of all files below a folder, sorted by name."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names}


def difference(folder: Path, expected: Mapping[str, Any], *, whole: bool = False) -> str:
    """Say how a folder's files differ from what `describe` said; empty when they don't. Further files don't count.

    Args:
        folder: where they lie.
        expected: `describe`'s answer, maybe broken since.
        whole: hash files of any size, not only those up to `FULL_CHECK_BYTES`.

    Raises:
        OSError: a file is there and can't be read.
    """
    found = (_difference(folder / name, entry, whole) for name, entry in expected.items())
    return next((text for text in found if text), "")


def _difference(path: Path, expected: Any, whole: bool) -> str:
    if not isinstance(expected, dict) or not {"bytes", "sha256"} <= set(expected):
        return f"the entry of {path.name} is incomplete"
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            return f"{path.name} has {size} bytes, not {expected['bytes']}"
        if (whole or size <= FULL_CHECK_BYTES) and sha256(path) != expected["sha256"]:
            return f"{path.name} has another content than was written"
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return f"{path.name} is missing"
    return ""


@lru_cache(maxsize=65536)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
