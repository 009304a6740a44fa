"""Watches a forked process to its end and measures its effective time: what it would have taken on an idle machine.

Effective time is its CPU time, or its wall time without what it waited for a core, where that is more (sleeps count,
neighbours don't). The kernel counts the waiting: field 2 of /proc/PID/schedstat, the largest among its threads; where
it doesn't, CPU time alone is judged, and wall time by its cap.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from raysweep.programs import Outcome

FIRST_LOOK, LOOK = 0.02, 0.05  # seconds
ASK = 0.001  # seconds between two questions where nothing tells
Stop = tuple[str, str]
HEAD = 16 + 4  # bytes before a report: nonce, length
MOST = 64 * 2**10  # bytes of one report
_COUNTS_WAITING = Path("/proc/self/schedstat").exists()


class Report(NamedTuple):
    """What a process reported about a program."""

    number: int
    outcome: str
    detail: str
    seconds: float  # of CPU


class Ended(NamedTuple):
    """How a process ended. `stopped`: outcome, reason if it was killed; `seconds`: effective, after its last report."""

    status: int
    seconds: float
    stopped: Stop | None = None


class Reports:
    """Reads reports from a pipe; what doesn't carry the nonce is dropped, and with it everything after."""

    def __init__(self, descriptor: int, nonce: bytes) -> None:
        self.descriptor, self._nonce = descriptor, nonce
        self._data = bytearray()
        self._broken = False

    def read(self) -> bool:
        """Take what is there; False when the pipe has ended."""
        try:
            data = os.read(self.descriptor, MOST)
        except BlockingIOError:
            return True
        if not self._broken:
            self._data += data
        return bool(data)

    def take(self) -> list[Report]:
        """Return the complete reports that have come since the last call."""
        found = []
        while len(self._data) >= HEAD and not self._broken:
            size = int.from_bytes(self._data[16:HEAD], "big")
            if self._data[:16] != self._nonce or size > MOST:
                self._broken = True
                break
            if len(self._data) < HEAD + size:
                break
            number, outcome, seconds, detail = self._data[HEAD : HEAD + size].decode("utf-8", "replace").split("\n", 3)
            found.append(Report(int(number), outcome, detail, float(seconds)))
            del self._data[: HEAD + size]
        return found


class End:
    """The end of a child process, waited for; it stays a zombie. `descriptor`: readable then; None: one has to ask.

    There is none before Linux 5.3, and in containers whose seccomp profile is older than that.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.descriptor: int | None = None
        with suppress(OSError):
            self.descriptor = os.pidfd_open(pid)

    def has_come(self) -> bool:
        """Ask."""
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; say whether it has come."""
        if self.descriptor is not None:
            return bool(select.select([self.descriptor], [], [], seconds)[0])
        until, pause = time.monotonic() + seconds, ASK
        while not (come := self.has_come()) and time.monotonic() < until:
            time.sleep(pause)
            pause = min(2 * pause, LOOK)
        return come

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class Watch:
    """Looks at one process now and then; quick programs end before the first look."""

    def __init__(
        self, pid: int, reports: Reports, quit_on: int, also: Callable[[], Stop | None], several: bool
    ) -> None:
        self.pid, self.reports, self._also = pid, reports, also
        self._several = several  # programs: each report begins the time of the next
        self._end = End(pid)
        self._quit_on = quit_on
        self._poll = select.poll()
        if self._end.descriptor is not None:
            self._poll.register(self._end.descriptor, select.POLLIN)
        self._poll.register(reports.descriptor, select.POLLIN)
        self._poll.register(quit_on, 0)  # only that it was hung up
        self._began = self._since = time.monotonic()
        self._waited = self._used = self._seen_wait = 0.0
        self._least = 0.0  # seconds of effective time that were seen already
        self.found: list[Report] = []

    def to_the_end(self, limits: Callable[[int], tuple[float, float]]) -> Ended:
        """Wait until the process has ended or is beyond its limits, and kill it then.

        Args:
            limits: for the number of reports that have come, the seconds of effective time and of wall time.
        """
        stopped: Stop | None = None
        pause = FIRST_LOOK
        while not stopped and not self._wait(pause):
            pause = LOOK
            stopped = self._beyond(*limits(len(self.found))) or self._also()
        if stopped:
            os.kill(self.pid, signal.SIGKILL)
            while not self._end.wait(LOOK):
                pass
        wall = time.monotonic() - self._since
        waited = self._run_queue() - self._waited if wall > FIRST_LOOK else 0.0
        self._drain()
        self._end.close()
        _, status, usage = os.wait4(self.pid, 0)
        cpu = usage.ru_utime + usage.ru_stime - self._used
        seconds = max(cpu, wall - waited) if wall > FIRST_LOOK and _COUNTS_WAITING else cpu
        return Ended(status, max(seconds, self._least), stopped)

    def _wait(self, seconds: float) -> bool:
        """Read reports for so long; True as soon as the process has ended."""
        until = time.monotonic() + seconds
        asks = self._end.descriptor is None
        while (left := until - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(1000 * (min(left, ASK) if asks else left)):
                if descriptor == self._end.descriptor:
                    return True
                if descriptor == self._quit_on:
                    raise EOFError
                if not self.reports.read():
                    self._poll.unregister(descriptor)
                elif new := self.reports.take():
                    self.found += new
                    if self._several:
                        self._start_anew()
            if asks and self._end.has_come():
                return True
        return False

    def _start_anew(self) -> None:
        """A program has been reported: what comes now is the next one's."""
        if (now := time.monotonic()) - self._began > FIRST_LOOK:
            self._waited, self._used = self._run_queue(), self._cpu()
        self._since, self._least = now, 0.0

    def _drain(self) -> None:
        while self.reports.read():
            if not select.select([self.reports.descriptor], [], [], 0)[0]:
                break
        self.found += self.reports.take()

    def _beyond(self, seconds: float, wall_seconds: float) -> Stop | None:
        wall, cpu = time.monotonic() - self._since, self._cpu() - self._used
        if wall > wall_seconds:
            return Outcome.TIMEOUT, f"more than {wall_seconds:g} s of wall time"
        if cpu <= seconds < wall and _COUNTS_WAITING and not self._is_runnable():
            cpu = wall - (self._run_queue() - self._waited)
        self._least = cpu
        return (Outcome.TIMEOUT, beyond_text(seconds)) if cpu > seconds else None

    def _cpu(self) -> float:
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # CLOCK_PROCESS_CPUTIME_ID of that process
        except OSError:
            return 0.0

    def _is_runnable(self) -> bool:
        """Say whether a thread runs or waits for a core: how long it has waited this time isn't counted yet."""
        try:
            for thread in os.listdir(f"/proc/{self.pid}/task"):  # noqa: PTH208
                with open(f"/proc/{self.pid}/task/{thread}/stat") as file:  # noqa: PTH123
                    if file.read().rpartition(")")[2].split()[0] == "R":
                        return True
        except (OSError, IndexError):
            pass
        return False

    def _run_queue(self) -> float:
        """Return the seconds that the process has waited for a core: of its slowest thread."""
        waited = self._seen_wait
        try:
            for thread in os.listdir(f"/proc/{self.pid}/task"):  # noqa: PTH208
                with open(f"/proc/{self.pid}/task/{thread}/schedstat") as file:  # noqa: PTH123
                    waited = max(waited, int(file.read().split()[1]) / 1e9)
        except (OSError, IndexError):
            pass
        self._seen_wait = waited
        return waited


def beyond_text(seconds: float) -> str:
    """Return what a verdict says about a program that took longer."""
    return f"more than {seconds:g} s of effective time"
