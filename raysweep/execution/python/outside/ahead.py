"""Memory through which a program's process hands a judge the answers to calls that were sent ahead.

The judge sends all calls of a problem's tests in one message, and the process answers them one after another here,
without a message for each. A judge finds the answers that were given before a later call hangs. What lies here was
written by an untrusted process: the judge copies it before it looks at it, and checks every length.

Layout: the number of records and the end of the last one, four bytes each; then records of four bytes that hold the
length, and JSON (codec.py).
"""

from __future__ import annotations

import mmap
import struct

SIZE = 2**18
_HEAD, _LENGTH = struct.Struct("=II"), struct.Struct("=I")
_NOTHING = bytes(SIZE)


class Ahead:
    """Made before the processes that share it are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE)

    # ------------------------------------------------------------------------------------ in the program's process

    def put(self, data: bytes) -> bool:
        count, end = _HEAD.unpack_from(self._memory)
        start = max(end, _HEAD.size)
        end = start + _LENGTH.size + len(data)
        if end > SIZE:
            return False
        _LENGTH.pack_into(self._memory, start, len(data))
        self._memory[start + _LENGTH.size : end] = data
        _HEAD.pack_into(self._memory, 0, count + 1, end)
        return True

    # ------------------------------------------------------------------------------------ in the judge

    def clear(self) -> None:
        """Remove everything before a process starts, so that it doesn't find what an earlier process wrote."""
        self._memory[:] = _NOTHING

    def begin(self) -> None:
        """Take records from the beginning again, for the next program in the same process.

        The bytes of earlier records stay; programs that share a process can't reach this memory.
        """
        _HEAD.pack_into(self._memory, 0, 0, 0)

    def count(self) -> int:
        """Return the number of records, as the process says."""
        return int(_HEAD.unpack_from(self._memory)[0])

    def copied(self) -> bytes:
        end = int(_HEAD.unpack_from(self._memory)[1])
        return self._memory[_HEAD.size : min(end, SIZE)]


def records(data: bytes) -> list[bytes]:
    """Return the complete records of a copy; the rest of a copy that doesn't consist of records is dropped."""
    found, start = [], 0
    while start + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if start + length > len(data):
            break
        found.append(data[start : start + length])
        start += length
    return found
