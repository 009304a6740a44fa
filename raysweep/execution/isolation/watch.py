"""Watches a forked process until it ends and measures its effective time: the time it would take on an idle machine.

Effective time is CPU time, or wall time minus the time spent waiting for a core, whichever is larger; so sleeping
counts and other processes don't. The kernel measures the waiting in the second field of /proc/PID/schedstat; the
largest value among the threads counts. On a kernel without it, CPU time alone is effective time.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raysweep.execution.board import Board
from raysweep.execution.isolation.threads import exceeded_threads
from raysweep.programs import Outcome

FIRST_CHECK_SECONDS, CHECK_SECONDS = 0.02, 0.05  # until the first check of limits, and between later ones
POLL_SECONDS = 0.001  # between two checks for the end of a process that has no pidfd
LENGTH_BYTES, NONCE_BYTES = 4, 16  # before and after a report
MAX_REPORT_BYTES = 64 * 2**10
MAX_DETAIL_CHARACTERS = 1800  # of a report: it has 300, of which a lone surrogate is written by six
OutcomeAndDetail = tuple[str, str]
"""A `raysweep.programs.Outcome`, and one line about it."""
_KERNEL_COUNTS_WAITING = Path("/proc/self/schedstat").exists()


class ProgramReport(NamedTuple):
    """A report of a forked process about the next of its programs."""

    outcome: str
    detail: str
    seconds: float  # of CPU
    parts: str = ""  # of the tests that passed, comma separated


class ProcessEnd(NamedTuple):
    """The end of a forked process."""

    status: int  # as `os.wait4` returns it
    seconds: float  # effective time since the last report, or since the start
    stopped: OutcomeAndDetail | None = None  # why it was killed, if it exceeded a limit
    refusal: str = ""  # why it could not be started, so that no program ran


class ReportPipe:
    """Reads reports from a pipe, which programs may find. From the first that is none on, everything is dropped.

    `outcomes`: those that a report may have.
    """

    def __init__(self, descriptor: int, nonce: bytes, outcomes: Set[str]) -> None:
        self.descriptor, self._nonce, self._outcomes = descriptor, nonce, outcomes
        self._data = bytearray()
        self.is_broken = False

    def read(self) -> bool:
        """Read the available bytes; return False when the pipe is closed."""
        try:
            data = os.read(self.descriptor, MAX_REPORT_BYTES)
        except BlockingIOError:
            return True
        if not self.is_broken:
            self._data += data
        return bool(data)

    def new_reports(self) -> list[ProgramReport]:
        reports = []
        while len(self._data) >= LENGTH_BYTES and not self.is_broken:
            size = int.from_bytes(self._data[:LENGTH_BYTES], "big")
            end = LENGTH_BYTES + size + NONCE_BYTES
            if size <= MAX_REPORT_BYTES and len(self._data) < end:
                break
            try:
                reports.append(self._report(bytes(self._data[LENGTH_BYTES:end]), size))
            except ValueError:
                self.is_broken = True
            del self._data[:end]
        return reports

    def _report(self, data: bytes, size: int) -> ProgramReport:
        """Read a report of a size, and the nonce behind it; raise ValueError if inside/child.py writes no such one."""
        if data[size:] != self._nonce:
            raise ValueError("another nonce")
        outcome, seconds, parts, detail = data[:size].decode().split("\n", 3)
        report = ProgramReport(outcome, detail, float(seconds), parts)
        if outcome not in self._outcomes or not 0 <= report.seconds < math.inf or len(detail) > MAX_DETAIL_CHARACTERS:
            raise ValueError("not a report")
        return report


class ExitWaiter:
    """Waits for a child process to end, and leaves it a zombie, so that its status can be read afterwards.

    `descriptor` is a pidfd, readable once the process has ended. It is None before Linux 5.3 and in containers with an
    older seccomp profile; then the process has to be polled.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.descriptor: int | None = None
        with suppress(OSError):
            self.descriptor = os.pidfd_open(pid)

    def has_ended(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; return True if the process has ended."""
        if self.descriptor is not None:
            return bool(select.select([self.descriptor], [], [], seconds)[0])
        until, pause = time.monotonic() + seconds, POLL_SECONDS
        while not (ended := self.has_ended()) and time.monotonic() < until:
            time.sleep(pause)
            pause = min(2 * pause, CHECK_SECONDS)
        return ended

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


class JointWaiting:
    """How long threads that wait for one another have waited for a core.

    It is the sum of their values, but at no moment more than the time that had passed by then: many threads that wait
    at the same time, which a program can arrange, give nothing for later sleep.
    """

    def __init__(self) -> None:
        self.of_threads: dict[str, float] = {}  # seconds, by thread, also of those that ended
        self._at_once = 0.0  # beyond the time that had passed

    def seconds(self, passed: float) -> float:
        """Return the seconds of waiting, when so many seconds have passed."""
        total = sum(self.of_threads.values())
        self._at_once = max(self._at_once, total - passed)
        return total - self._at_once


class Watch:
    """Checks one process against its limits from time to time; quick programs end before the first check.

    Args:
        pid: the forked process.
        requests: a descriptor; when the other side closes it, `wait` raises EOFError.
        check_box: returns outcome and detail if a limit of the box is exceeded (`Box.exceeded_limit`).
        several: the process runs several programs, one after another; each one's end starts the time of the next.
        reports: the pipe to which the process writes a report at each program's end, if it has one.
        board: where a judge outside the process writes which program it judges, if there is one. While it is the
            judge's turn, the program's time stands still.
        first_program: the board's count of programs when the first of them has begun.
        stoppable: a message on `requests` asks to kill the process. It is left there.
        cores: those that the process may use once it has turned out not to be quick; until then it stays where it is.
        threaded: its threads wait for one another, as a JVM's do, so that each one's waiting for a core counts.
    """

    def __init__(
        self,
        pid: int,
        requests: int,
        check_box: Callable[[], OutcomeAndDetail | None],
        several: bool,
        *,
        reports: ReportPipe | None = None,
        board: Board | None = None,
        first_program: int = 0,
        stoppable: bool = False,
        cores: set[int] | None = None,
        threaded: bool = False,
    ) -> None:
        self.pid, self._reports, self._board, self._check_box = pid, reports, board, check_box
        self._several = several
        self._exit = ExitWaiter(pid)
        self._requests = requests
        self._poll = select.poll()
        if self._exit.descriptor is not None:
            self._poll.register(self._exit.descriptor, select.POLLIN)
        if reports is not None:
            self._poll.register(reports.descriptor, select.POLLIN)
        self._poll.register(requests, select.POLLIN if stoppable else 0)  # 0: reports only that it was closed
        self._is_asked_to_stop = False
        self._cores = cores
        # A program starts at `_program_start` with the waiting and the CPU time that the process had by then.
        self._process_start = self._program_start = time.monotonic()
        self._waiting_before = self._cpu_before = self._largest_waiting = 0.0
        self._joint = JointWaiting() if threaded else None
        self._measured = 0.0  # effective seconds at the last check: the final figure is not below it
        self._first_program = first_program
        self._programs_done = 0
        self.reported: list[ProgramReport] = []

    def wait(self, limits: Callable[[int], tuple[float, float]]) -> ProcessEnd:
        """Wait until the process ends; kill it when it exceeds a limit. EOFError: the slot has closed `requests`.

        `limits`: returns the limits of effective and of wall time, in seconds, of the program after so many reports.
        """
        stopped: OutcomeAndDetail | None = None
        pause = FIRST_CHECK_SECONDS
        while not stopped and not self._read_reports(pause):
            pause = CHECK_SECONDS
            if self._cores is not None:
                with suppress(OSError):
                    os.sched_setaffinity(self.pid, self._cores)
                self._cores = None
            self._look_at_board()
            if self._joint is not None:
                self._waiting()  # of threads that may have ended by the next check
            in_time = limits(self._programs_done)
            stopped = self._exceeded_time(*in_time) or exceeded_threads([self.pid]) or self._check_box()
        if stopped or self._is_asked_to_stop:
            os.kill(self.pid, signal.SIGKILL)
            while not self._exit.wait(CHECK_SECONDS):
                pass
        self._look_at_board()
        wall = self._wall()
        waiting = self._waiting() - self._waiting_before if wall > FIRST_CHECK_SECONDS else 0.0
        while self._reports is not None and self._reports.read():
            if not select.select([self._reports.descriptor], [], [], 0)[0]:
                break
        self.reported += self._reports.new_reports() if self._reports is not None else []
        self._exit.close()
        _, status, usage = os.wait4(self.pid, 0)
        cpu = usage.ru_utime + usage.ru_stime - self._cpu_before
        seconds = max(cpu, wall - waiting) if wall > FIRST_CHECK_SECONDS and _KERNEL_COUNTS_WAITING else cpu
        return ProcessEnd(status, max(seconds, self._measured), stopped)

    @property
    def has_broken_reports(self) -> bool:
        return self._reports is not None and self._reports.is_broken

    def _read_reports(self, seconds: float) -> bool:
        """Read reports for `seconds`; return True as soon as the process has ended."""
        until = time.monotonic() + seconds
        must_poll = self._exit.descriptor is None
        while (left := until - time.monotonic()) > 0:
            for descriptor, event in self._poll.poll(1000 * (min(left, POLL_SECONDS) if must_poll else left)):
                if descriptor == self._exit.descriptor:
                    return True
                if descriptor == self._requests:
                    if not event & select.POLLIN:
                        raise EOFError
                    self._is_asked_to_stop = True
                    return True
                if self._reports is None:
                    continue
                if not self._reports.read():
                    self._poll.unregister(descriptor)
                elif new := self._reports.new_reports():
                    self.reported += new
                    if self._several:
                        self._start_next_program(len(self.reported))
            if must_poll and self._exit.has_ended():
                return True
        return False

    def _look_at_board(self) -> None:
        if self._board is not None and self._several:
            done = max(0, self._board.programs() - self._first_program)
            if done > self._programs_done:
                self._start_next_program(done)

    def _start_next_program(self, done: int) -> None:
        self._programs_done = done
        if (now := time.monotonic()) - self._process_start > FIRST_CHECK_SECONDS:
            self._waiting_before, self._cpu_before = self._waiting(), own_cpu_seconds(self.pid)
        self._program_start, self._measured = now, 0.0

    def _wall(self) -> float:
        """Return the seconds since the program's start, without those that its judge needed."""
        judges = self._board.judge_seconds() if self._board is not None else 0.0
        return max(0.0, time.monotonic() - self._program_start - judges)

    def _exceeded_time(self, seconds: float, wall_seconds: float) -> OutcomeAndDetail | None:
        wall, effective = self._wall(), own_cpu_seconds(self.pid) - self._cpu_before
        if wall > wall_seconds:
            return Outcome.TIMEOUT, f"more than {wall_seconds:g} s of wall time"
        if effective <= seconds < wall and _KERNEL_COUNTS_WAITING and not self._is_runnable():
            effective = wall - (self._waiting() - self._waiting_before)
        self._measured = effective
        return (Outcome.TIMEOUT, timeout_detail(seconds)) if effective > seconds else None

    def _is_runnable(self) -> bool:
        """Return True if a thread runs or waits for a core; the kernel adds its current wait only when it ends."""
        with suppress(OSError, IndexError):
            threads = os.listdir(f"/proc/{self.pid}/task")  # noqa: PTH208
            return any(_state_of_thread(f"/proc/{self.pid}/task/{thread}/stat") == b"R" for thread in threads)
        return False

    def _waiting(self) -> float:
        """Return the seconds that the process has waited for a core: the largest value among its threads so far.

        Where they wait for one another it is their `JointWaiting`.
        """
        waiting = self._largest_waiting
        with suppress(OSError, IndexError):
            for thread in os.listdir(f"/proc/{self.pid}/task"):  # noqa: PTH208
                with open(f"/proc/{self.pid}/task/{thread}/schedstat") as file:  # noqa: PTH123
                    seconds = int(file.read().split()[1]) / 1e9
                waiting = max(waiting, seconds)
                if self._joint is not None:
                    self._joint.of_threads[thread] = seconds
        if self._joint is not None:
            waiting = max(waiting, self._joint.seconds(self._wall()))
        self._largest_waiting = waiting
        return waiting


def _state_of_thread(path: str) -> bytes:
    """Return the letter of a thread's state.

    It stands after the thread's name, which a program can choose: no copy of that may stay in the memory of this
    process, where the next program would find it.
    """
    buffer = bytearray(512)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.preadv(descriptor, [buffer], 0)
    finally:
        os.close(descriptor)
    start = buffer.rfind(b")") + 2
    state = bytes(buffer[start : start + 1])
    buffer[:] = bytes(len(buffer))
    return state


def own_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process without those of its children; 0 for a process that is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # CLOCK_PROCESS_CPUTIME_ID of that process
    except OSError:
        return 0.0


def timeout_detail(seconds: float) -> str:
    return f"more than {seconds:g} s of effective time"
