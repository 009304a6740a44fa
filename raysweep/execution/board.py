"""The board: a few numbers in memory that a slot's processes share.

The judge writes whose turn it is, its own or the program's, and which program it judges. The launcher's watch reads how
much of a program's wall time was the judge's, and the keeper how long the judge has been at work on one program.
Programs can't see it: their process unmaps it before they run.
"""

from __future__ import annotations

import mmap
import struct
import time

_PROGRAMS, _ITEM, _JUDGE_SECONDS, _TURN_BEGAN, _JUDGES_LIMIT = 0, 8, 16, 24, 32  # offsets
_COUNT, _SECONDS = struct.Struct("q"), struct.Struct("d")


class Board:
    """Made before the processes that share it are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._judge_seconds = 0.0
        self._began = 0.0

    # ------------------------------------------------------------------------------------- written by the judge

    def begin_program(self, item: int, judges_limit: float) -> None:
        """`item`: its number in its request. `judges_limit`: CPU seconds that the judge may work on its answers."""
        _SECONDS.pack_into(self._memory, _JUDGES_LIMIT, judges_limit)
        self._judge_seconds = self._began = 0.0
        _SECONDS.pack_into(self._memory, _JUDGE_SECONDS, 0.0)
        _SECONDS.pack_into(self._memory, _TURN_BEGAN, 0.0)
        _COUNT.pack_into(self._memory, _ITEM, item)
        _COUNT.pack_into(self._memory, _PROGRAMS, self.programs() + 1)

    def begin_judges_turn(self) -> None:
        """The program has answered; or the judge goes on while the program works on a later answer."""
        if self._began:
            return
        self._began = time.monotonic()
        _SECONDS.pack_into(self._memory, _TURN_BEGAN, self._began)

    def begin_programs_turn(self) -> None:
        if self._began:
            self._judge_seconds += time.monotonic() - self._began
            self._began = 0.0
        _SECONDS.pack_into(self._memory, _JUDGE_SECONDS, self._judge_seconds)
        _SECONDS.pack_into(self._memory, _TURN_BEGAN, 0.0)

    # ------------------------------------------------------------------------------------- read by the others

    def programs(self) -> int:
        return int(_COUNT.unpack_from(self._memory, _PROGRAMS)[0])

    def item(self) -> int:
        return int(_COUNT.unpack_from(self._memory, _ITEM)[0])

    def judges_limit(self) -> float:
        """Return the seconds of CPU time that the judge may work on the latest program's answers."""
        return float(_SECONDS.unpack_from(self._memory, _JUDGES_LIMIT)[0])

    def judge_seconds(self) -> float:
        """Return the seconds of wall time that the judge has had its turn with the latest program."""
        began = float(_SECONDS.unpack_from(self._memory, _TURN_BEGAN)[0])
        closed = float(_SECONDS.unpack_from(self._memory, _JUDGE_SECONDS)[0])
        return closed + (time.monotonic() - began if began else 0.0)

    def is_judges_turn(self) -> bool:
        return bool(_SECONDS.unpack_from(self._memory, _TURN_BEGAN)[0])

    def close(self) -> None:
        self._memory.close()
