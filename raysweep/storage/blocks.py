"""Rows that a stage has made before it ends, a block at a time: what a kill leaves is used by the next attempt.

A block is a file whose name holds the hash of its content, so one that is torn or altered is passed over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from raysweep.storage.files import Files

R = TypeVar("R")


class Blocks(Generic[R]):
    """Rows by key in a work folder.

    Args:
        files: the folder's.
        make: builds a row from its fields, which are texts and numbers.
    """

    def __init__(self, files: Files, make: Callable[..., R]) -> None:
        self._files = files
        self._make = make

    def read(self) -> dict[str, R]:
        """Return the rows of all whole blocks that this version can make use of."""
        found: dict[str, R] = {}
        for name in sorted(self._files.infos()):
            data = self._files.read(name)
            if data is not None and name == _name(data):
                with contextlib.suppress(
                    TypeError, ValueError, KeyError, AttributeError
                ):  # rows of a version with other fields
                    found.update({key: self._make(**row) for key, row in json.loads(data).items()})
        return found

    def add(self, rows: Mapping[str, R]) -> None:
        """Write one block."""
        plain = {key: dataclasses.asdict(row) for key, row in rows.items()}  # type: ignore[call-overload]
        data = json.dumps(plain).encode()
        self._files.write(_name(data), data)


def _name(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}.json"
