"""Watches a forked process until it ends and measures its effective time: the time it would take on an idle machine.

Effective time is the CPU time of a program's threads and processes, or wall time without the time that they waited for
a core, whichever is larger; so sleeping counts and other processes don't. The kernel measures the waiting in the second
field of each thread's schedstat. On a kernel without it, CPU time alone is effective time.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raysweep.execution.board import Board
from raysweep.execution.isolation.process_tree import (
    cpu_seconds,
    cpu_seconds_of_ended,
    descendants,
    threads_of,
    words_of,
)
from raysweep.execution.isolation.threads import exceeded_threads
from raysweep.programs import Outcome

FIRST_CHECK_SECONDS, CHECK_SECONDS = 0.02, 0.05  # until the first check of limits, and between later ones
POLL_SECONDS = 0.001  # between two checks for the end of a process that has no pidfd
LENGTH_BYTES, NONCE_BYTES = 4, 16  # before and after a report
MAX_REPORT_BYTES = 64 * 2**10
MAX_DETAIL_CHARACTERS = 1800  # of a report: it has 300, of which a lone surrogate is written by six
SECOND = 10**9  # nanoseconds
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


class ThreadTimes(NamedTuple):
    """A thread, as a sample finds it."""

    ran: int  # nanoseconds on a core
    waited: int  # nanoseconds of waiting for one
    is_runnable: bool  # it runs or waits now


_NEW = ThreadTimes(0, 0, is_runnable=False)


class Waiting:
    """How long a program's threads and processes have waited for a core, as far as that is known.

    They may wait for one another, so what each has waited is added up, but never beyond the time that has passed since
    none of them waited: many that wait at the same time, which a program can arrange, give nothing for earlier or later
    sleep.

    A thread that ends takes with it what it has waited since the last sample. If it ran or waited then, one of them is
    taken to have waited until now whenever none used CPU time. And CPU time that no sample has is taken to have been
    waited for as long as the rest.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._tasks: dict[str, ThreadTimes] = {}  # of the last sample, by a thread's folder in /proc
        self._ran = self._waited = 0  # nanoseconds of all threads, also of those that ended
        self._counted = self._unseen = 0.0  # nanoseconds of waiting in `seconds`, and on a core that no sample has
        self._has_lost = False  # a thread that ran or waited at the last sample but one has ended
        self._before = 0.0, 0.0  # the time that had passed, and the CPU time, at the last update
        self._settled = 0.0, 0.0  # `seconds` and the time that had passed when none of them waited

    def sample(self, pids: Iterable[int]) -> bool:
        """Read what the threads of processes have waited so far; return True if one of them runs or waits now.

        The kernel adds a wait only when it ends.
        """
        tasks: dict[str, ThreadTimes] = {}
        for thread in [thread for pid in pids for thread in threads_of(pid)]:
            state, times = words_of(f"{thread}/stat")[:1], words_of(f"{thread}/schedstat")
            if state and times:  # else it has just ended
                tasks[thread] = ThreadTimes(int(times[0]), int(times[1]), is_runnable=state == [b"R"])
        self.add(tasks)
        return any(task.is_runnable for task in tasks.values())

    def add(self, tasks: dict[str, ThreadTimes]) -> None:
        """Add what threads have run and waited since the last sample."""
        for thread, now in tasks.items():
            before = self._tasks.get(thread, _NEW)
            if now.ran < before.ran or now.waited < before.waited:  # the number is of another thread
                before = _NEW
            self._ran += now.ran - before.ran
            self._waited += now.waited - before.waited
        self._has_lost = any(task.is_runnable for thread, task in self._tasks.items() if thread not in tasks)
        self._tasks = tasks

    def update(self, passed: float, cpu: float, *, is_settled: bool) -> float:
        """Return the seconds of waiting of a program that has used so much CPU time, when so many seconds have passed.

        `is_settled`: none of its threads waited when `sample` was called, which was not before then.
        """
        new, (passed_before, cpu_before) = self._new(cpu), self._before
        if self._has_lost:
            new = max(new, passed - passed_before - (cpu - cpu_before))
        before, since = self._settled
        self.seconds = min(self.seconds + new, before + passed - since)
        self._before = passed, cpu
        if is_settled:
            self._settled = self.seconds, passed
        return self.seconds

    def begin(self, cpu: float) -> None:
        """Count what is waited from now on alone, for the next program of a process that has used so much CPU time."""
        self._new(cpu)
        self.seconds, self._settled, self._before = 0.0, (0.0, 0.0), (0.0, cpu)

    def _new(self, cpu: float) -> float:
        """Return the seconds of waiting since the last call, with those of threads that ended between two samples."""
        unseen = max(self._unseen, cpu * SECOND - self._ran)
        new = self._waited - self._counted + (unseen - self._unseen) * self._waited / max(1, self._ran)
        self._counted, self._unseen = self._waited, unseen
        return new / SECOND


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
        # A program starts at `_program_start` with the CPU time that the process had by then.
        self._process_start = self._program_start = time.monotonic()
        self._cpu_before = 0.0
        self._waiting = Waiting()
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
            in_time = limits(self._programs_done)
            stopped = self._exceeded_time(*in_time) or exceeded_threads([self.pid]) or self._check_box()
        if stopped or self._is_asked_to_stop:
            os.kill(self.pid, signal.SIGKILL)
            while not self._exit.wait(CHECK_SECONDS):
                pass
        self._look_at_board()
        wall = self._wall()
        if wall > FIRST_CHECK_SECONDS:
            self._waiting.sample([self.pid])
        while self._reports is not None and self._reports.read():
            if not select.select([self._reports.descriptor], [], [], 0)[0]:
                break
        self.reported += self._reports.new_reports() if self._reports is not None else []
        self._exit.close()
        _, status, usage = os.wait4(self.pid, 0)
        seconds = usage.ru_utime + usage.ru_stime - self._cpu_before
        if wall > FIRST_CHECK_SECONDS and _KERNEL_COUNTS_WAITING:
            waiting = self._waiting.update(wall, seconds + self._cpu_before, is_settled=True)
            seconds = max(seconds, wall - waiting)
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
                    else:
                        del self.reported[:-2]  # how far it was, and how it ended: it may write without end
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
            self._cpu_before = own_cpu_seconds(self.pid)
            self._waiting.sample([self.pid])
            self._waiting.begin(self._cpu_before)
        self._program_start, self._measured = now, 0.0

    def _wall(self) -> float:
        """Return the seconds since the program's start, without those that its judge needed."""
        judges = self._board.judge_seconds() if self._board is not None else 0.0
        return max(0.0, time.monotonic() - self._program_start - judges)

    def _exceeded_time(self, seconds: float, wall_seconds: float) -> OutcomeAndDetail | None:
        wall, pids = self._wall(), [self.pid, *descendants(self.pid)]
        is_runnable = self._waiting.sample(pids)
        cpu = own_cpu_seconds(self.pid) + sum(map(cpu_seconds, pids[1:])) + cpu_seconds_of_ended(self.pid)
        waiting = self._waiting.update(wall, cpu, is_settled=not is_runnable)
        self._measured = cpu - self._cpu_before
        if wall > wall_seconds:
            return Outcome.TIMEOUT, f"more than {wall_seconds:g} s of wall time"
        if _KERNEL_COUNTS_WAITING and not is_runnable:
            self._measured = max(self._measured, wall - waiting)
        return (Outcome.TIMEOUT, timeout_detail(seconds)) if self._measured > seconds else None


def own_cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process without those of its children; 0 for a process that is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # CLOCK_PROCESS_CPUTIME_ID of that process
    except OSError:
        return 0.0


def timeout_detail(seconds: float) -> str:
    return f"more than {seconds:g} s of effective time"
