"""Canonical JSON, and SHA-256 of values, texts, files and folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

FULL_CHECK_BYTES = 256 * 2**20
"""`difference` compares hashes of files up to this size, and only sizes of larger ones unless `whole` is set."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, so that equal values give equal texts; raise ValueError for NaN."""
    return _ENCODER.encode(value)


def text_sha(text: str) -> str:
    """Return the SHA-256 of a text as 64 hex digits; lone surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content; a process reads the file again only if its size or time has changed."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Return ``{name: {"bytes": size, "sha256": hash}}`` for all files below a folder, sorted by name."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names}


def difference(folder: Path, expected: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return one line about the first file that differs from its description; empty if none does.

    Args:
        folder: the folder; files in it that `expected` doesn't name are ignored.
        expected: the result of `describe`, as read from a file that may be damaged.
        whole: compare the hashes of files of any size, not only of those up to `FULL_CHECK_BYTES`.

    Raises:
        OSError: a file exists but can't be read.
    """
    differences = (_difference(folder / name, entry, whole) for name, entry in expected.items())
    return next((text for text in differences if text), "")


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
