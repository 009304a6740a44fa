"""Blocks: rows that a stage writes before it ends, so that the next attempt resumes from them after a kill.

A block is a file whose name holds the hash of its content, so that readers recognise and skip torn and altered blocks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from raysweep.storage.files import Files

R = TypeVar("R")


class Blocks(Generic[R]):
    """Rows by key in the folder of an artefact in progress. `make`: builds a row from its fields: texts and numbers."""

    def __init__(self, files: Files, make: Callable[..., R]) -> None:
        self._files = files
        self._make = make

    def read(self) -> dict[str, R]:
        """Return the rows of all undamaged blocks, except those of a version with other fields."""
        rows: dict[str, R] = {}
        for block in self.each():
            rows.update(block)
        return rows

    def each(self) -> Iterator[dict[str, R]]:
        """Yield the rows of each undamaged block; one block at a time is in memory."""
        for name in sorted(self._files.infos()):
            data = self._files.read(name)
            if data is not None and name == _name(data):
                yield self._rows(data)

    def add(self, rows: Mapping[str, R]) -> None:
        plain = {key: dataclasses.asdict(row) for key, row in rows.items()}  # type: ignore[call-overload]
        data = json.dumps(plain).encode()
        self._files.write(_name(data), data)

    def _rows(self, data: bytes) -> dict[str, R]:
        try:
            return {key: self._make(**row) for key, row in json.loads(data).items()}
        except (TypeError, ValueError, KeyError, AttributeError):  # rows of a version with other fields
            return {}


def _name(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}.json"
