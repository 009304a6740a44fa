"""The keeper: ends a slot's processes when its owner is gone, when one of them has ended, or when a judge hangs.

A judge works on answers of untrusted programs, which may be built to keep it busy: a number of a billion digits, keys
whose hashes collide. So its limits are kept from outside, and a program whose judge passes them counts as `timeout`.
Otherwise a program could withdraw itself from being judged.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from raysweep.execution.board import Board
from raysweep.execution.endings import tell_end
from raysweep.execution.isolation.watch import ExitWaiter, own_cpu_seconds
from raysweep.execution.messages import VerdictItem, write_frame
from raysweep.programs import Lane, Outcome

CHECK_SECONDS = 0.5  # between two checks of the owner and of the judge
_ANSWERS = 1  # descriptor


class Keeper:
    """Watches the other processes of a slot.

    `programs`, `judge`, `owner`: pids of the process that forks programs, of the judge, if there is one, and of the
    slot's owner.
    """

    def __init__(self, programs: int, judge: int | None, owner: int, board: Board) -> None:
        self._pids = [pid for pid in (judge, programs) if pid is not None]
        self._judge, self._owner, self._board = judge, owner, board
        self._program = -1  # the count of programs at the last check
        self._cpu_before = 0.0  # of the judge, when its current program was first seen

    def run(self) -> int:
        """Wait until one of the processes ends or has to be ended, and end the others; return an exit code.

        It is 1, and the slot is told more, if one of them ended with another exit code than 0, or by a signal.
        """
        waiters = [ExitWaiter(pid) for pid in self._pids]
        os.close(0)
        if self._judge is None:
            os.close(_ANSWERS)
        with suppress(OSError):
            while not waiters[0].wait(CHECK_SECONDS) and not any(waiter.has_ended() for waiter in waiters):
                if os.getppid() != self._owner:  # a fork of the owner may hold the pipes open
                    break
                if self._judge is not None and self._judge_hangs(self._judge):
                    self._end([self._judge])
                    self._tell_timeout()
                    break
        failed = self._tell_failures()
        self._end(self._pids)
        return int(failed)

    def _tell_failures(self) -> bool:
        failed = False
        for pid in list(self._pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._pids.remove(pid)
                tell_end(f"the process {'of the tests' if pid == self._judge else 'that starts programs'}", status)
                failed |= status != 0
        return failed

    def _judge_hangs(self, judge: int) -> bool:
        program, cpu = self._board.programs(), own_cpu_seconds(judge)
        if program != self._program:
            self._program, self._cpu_before = program, cpu
        return self._board.is_judges_turn() and cpu - self._cpu_before > self._board.judges_limit()

    def _tell_timeout(self) -> None:
        seconds = self._board.judges_limit()
        detail = f"its tests needed more than {seconds:g} s for its answers"
        verdict = VerdictItem(self._board.item(), Outcome.TIMEOUT, detail, "", seconds, Lane.STRICT)
        with suppress(OSError):
            write_frame(_ANSWERS, {"verdicts": [verdict], "need_own_process": []})

    def _end(self, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._pids = [pid for pid in self._pids if pid not in pids]
