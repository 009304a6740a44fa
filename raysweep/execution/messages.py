"""Messages between a slot and its process: four bytes that hold the length, then JSON.

A request has a list of `ProgramItem` and the tests that are new, an answer a list of `VerdictItem` (see
`SlotProcess._message` and `Lanes.serve`).
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, NamedTuple

_LENGTH = struct.Struct(">I")


class ProgramItem(NamedTuple):
    """A program to judge, in a request."""

    number: int  # names the program in the answer
    text: str
    tests: str  # their sha256; "" without tests
    timeout: float  # seconds of effective time
    wall: float  # seconds of wall time
    memory: int  # bytes
    output: int  # bytes


class VerdictItem(NamedTuple):
    """The verdict on a program, in an answer; the fields are those of `raysweep.programs.Verdict`."""

    number: int
    outcome: str
    detail: str
    stderr: str
    seconds: float
    lane: str
    audit: str = ""
    parts: str = ""


def write_frame(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()  # ASCII, so that lone surrogates of a program survive
    rest = memoryview(_LENGTH.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_frame(descriptor: int, longest: int = 2**32) -> dict[str, Any]:
    """Read a message of at most so many bytes; raise EOFError if the pipe is closed, ValueError if it is no message."""
    (length,) = _LENGTH.unpack(_read(descriptor, _LENGTH.size))
    if length > longest:
        raise ValueError(f"a message of {length:,} bytes")
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
