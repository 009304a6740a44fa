"""Messages between a slot and its process: four bytes of length, then JSON. Their rows: `Item`, `Answer`."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, NamedTuple

_LENGTH = struct.Struct(">I")


class Item(NamedTuple):
    """A program to judge. `tests`: their hash, "" for none."""

    number: int
    text: str
    tests: str
    timeout: float
    wall: float
    memory: int  # bytes
    output: int  # bytes


class Answer(NamedTuple):
    """A program's verdict; its fields are those of `raysweep.programs.Verdict`."""

    number: int
    outcome: str
    detail: str
    stderr: str
    seconds: float
    lane: str
    audit: str = ""


def write_frame(descriptor: int, message: dict[str, Any]) -> None:
    """Write one message; raise OSError when the other side has gone."""
    data = json.dumps(message).encode()  # ASCII, so that lone surrogates of a program survive
    rest = memoryview(_LENGTH.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int) -> dict[str, Any]:
    """Read one message, waiting for it; raise EOFError when the other side has gone."""
    (length,) = _LENGTH.unpack(_read(descriptor, _LENGTH.size))
    message: dict[str, Any] = json.loads(_read(descriptor, length))
    return message


def _read(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            raise EOFError
        data += more
    return bytes(data)
