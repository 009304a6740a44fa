"""Canonical and strict JSON, and SHA-256 of values, texts, files and folders."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

FULL_CHECK_BYTES = 256 * 2**20
"""`difference` compares hashes of files up to this size, and only sizes of larger ones unless `whole` is set."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """Return JSON of sorted keys without spaces; raise ValueError (with its place) for a number that isn't finite."""
    try:
        return _ENCODER.encode(value)
    except ValueError as error:
        place = next(_not_finite(value), "")
        raise ValueError(f"{place}, which can't be part of a key" if place else str(error)) from error


def strict_json(value: Any, **layout: Any) -> str:
    """Return JSON for others, which has null in place of NaN and Infinity. `layout`: what `json.dumps` takes."""
    try:
        return json.dumps(value, allow_nan=False, **layout)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, **layout)


def as_number(value: float | None) -> float:
    """Return a number of strict JSON, which has null in place of NaN."""
    return math.nan if value is None else float(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _not_finite(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place or 'the value'} is {value}"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _not_finite(one, f"{place}.{key}" if place else str(key))
    elif isinstance(value, (list, tuple)):
        for number, one in enumerate(value):
            yield from _not_finite(one, f"{place}[{number}]")


def text_sha(text: str) -> str:
    """Return the SHA-256 of a text as 64 hex digits; lone surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content; a process reads the file again only if its size or time has changed."""
    status = path.stat()
    return _sha256(str(path), status.st_size, status.st_mtime_ns)


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Return ``{name: {"bytes": size, "sha256": hash}}`` for all files below a folder, sorted by name."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in names}


def difference(folder: Path | str, expected: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return one line about the first file that differs from its description; empty if none does.

    Paths are texts here: plans of large sweeps look at hundreds of thousands of files, and objects would take longer.

    `folder`: the folder; files in it that `expected` doesn't name are ignored. `whole`: compare the hashes of files of
    any size, not only of those up to `FULL_CHECK_BYTES`.

    Raises:
        OSError: a file exists but can't be read.
    """
    differences = (_difference(folder, name, entry, whole) for name, entry in expected.items())
    return next((text for text in differences if text), "")


def _difference(folder: Path | str, name: str, expected: Any, whole: bool) -> str:
    if not isinstance(expected, dict) or "bytes" not in expected or "sha256" not in expected:
        return f"the entry of {name} is incomplete"
    path = f"{folder}/{name}"
    try:
        status = os.stat(path)  # noqa: PTH116
        if status.st_size != expected["bytes"]:
            return f"{name} has {status.st_size} bytes, not {expected['bytes']}"
        is_read = whole or status.st_size <= FULL_CHECK_BYTES
        if is_read and _sha256(path, status.st_size, status.st_mtime_ns) != expected["sha256"]:
            return f"{name} has another content than was written"
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return f"{name} is missing"
    return ""


@lru_cache(maxsize=65536)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()
