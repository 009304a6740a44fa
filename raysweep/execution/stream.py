"""Hands programs to slots as they become idle and yields verdicts as they come, with few programs in memory."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count, islice
from multiprocessing.connection import wait
from typing import Generic, TypeVar

from raysweep.errors import UsageError
from raysweep.execution.slot import LANGUAGES, Job, Slot, SlotLost
from raysweep.programs import Lane, Limits, Outcome, Program, Verdict

K = TypeVar("K")
LEAST_MIB = 64
LONGEST_SECONDS = 7 * 24 * 3600.0
TOGETHER = {Lane.SHARED: (4, 64), Lane.STRICT: (1, 8)}
"""How many programs a slot is handed at once: the fewest (if there are so many), and the most."""
TRIES = 2  # of a program that loses its slot while it is there alone


class Stream(Generic[K], Iterator[tuple[K, Verdict]]):
    """Verdicts as they come. `close` stops what still runs."""

    def __init__(
        self, slots: Sequence[Slot], lane: Lane, work: Iterable[tuple[K, Program, Limits]], stop: Callable[[], None]
    ) -> None:
        self._slots, self._lane, self._stop = slots, lane, stop
        self._work = iter(work)
        self._numbers = count()
        self._keys: dict[int, K] = {}
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._alone: deque[Job] = deque()  # can't share a process
        self._again: deque[Job] = deque()  # of lost slots: one at a time
        self._tries: Counter[int] = Counter()
        self._busy: dict[Slot, set[int]] = {}
        self._found: deque[tuple[K, Verdict]] = deque()

    def __next__(self) -> tuple[K, Verdict]:
        try:
            while not self._found:
                self._hand_out()
                if not self._busy:
                    raise StopIteration
                for slot in _ready(self._busy):
                    self._take(slot)
        except BaseException:  # Ctrl-C too: what still runs must go
            self.close()
            raise
        return self._found.popleft()

    def close(self) -> None:
        """End what still runs; no more verdicts come."""
        if self._busy:
            self._busy.clear()
            self._stop()
        self._work = iter(())
        for queue in (self._waiting, self._alone, self._again):
            queue.clear()

    def __del__(self) -> None:
        self.close()

    def _hand_out(self) -> None:
        """Give every idle slot programs, as long as there are some."""
        for slot in self._slots:
            if slot in self._busy:
                continue
            lane, jobs = self._next_jobs()
            if not jobs:
                return
            self._busy[slot] = {job.number for job in jobs}
            slot.send(jobs, shared=lane is Lane.SHARED)

    def _next_jobs(self) -> tuple[Lane, list[Job]]:
        """Return a lane and programs for it; few of the last ones, so that all slots end together."""
        if self._again:
            return Lane.STRICT, [self._again.popleft()]
        if self._alone:
            return Lane.STRICT, self._some(self._alone, Lane.STRICT)
        ahead = 2 * TOGETHER[self._lane][1] * len(self._slots)
        for key, program, limits in islice(self._work, max(0, ahead - len(self._waiting))):
            check(program, limits)
            number = next(self._numbers)
            self._keys[number] = key
            self._jobs[number] = Job(number, program, limits)
            self._waiting.append(self._jobs[number])
        jobs = self._some(self._waiting, self._lane)
        return (self._lane if len(jobs) > 1 else Lane.STRICT), jobs

    def _some(self, queue: deque[Job], lane: Lane) -> list[Job]:
        least, most = TOGETHER[lane]
        fair = math.ceil(len(queue) / (2 * len(self._slots))) if len(self._slots) > 1 else len(queue)
        size = min(most, max(least, fair))
        jobs: list[Job] = []
        while queue and len(jobs) < size and _alike(queue[0], *jobs[:1]):
            jobs.append(queue.popleft())
        return jobs

    def _take(self, slot: Slot) -> None:
        """Take what a slot has; programs of a lost one are tried again, each alone."""
        out = self._busy[slot]
        try:
            verdicts, unsuited = slot.receive()
        except SlotLost as lost:
            slot.abandon()
            del self._busy[slot]
            self._try_again(slot, out, lost)
            return
        for number, verdict in verdicts.items():
            out.discard(number)
            self._end(number, verdict)
        for number in unsuited:
            out.discard(number)
            self._alone.append(self._jobs[number])
        if not out:
            del self._busy[slot]

    def _try_again(self, slot: Slot, numbers: set[int], lost: SlotLost) -> None:
        alone = len(numbers) == 1
        for number in sorted(numbers):
            self._tries[number] += alone
            if self._tries[number] >= TRIES:
                text = f"it ended its slot {self._tries[number]} times; the last time {lost}"
                seconds = self._jobs[number].limits.timeout
                verdict = Verdict(Outcome.KILLED, text, limit_seconds=seconds, level=slot.level, lane=Lane.STRICT)
                self._end(number, verdict)
            else:
                self._again.append(self._jobs[number])

    def _end(self, number: int, verdict: Verdict) -> None:
        del self._jobs[number]
        self._tries.pop(number, None)
        self._found.append((self._keys.pop(number), verdict))


def _ready(busy: Collection[Slot]) -> list[Slot]:
    """Wait for verdicts; return the slots that have some or whose time is up (`receive` then finds them lost)."""
    by_descriptor = {slot.fileno(): slot for slot in busy}
    left = min(slot.deadline for slot in busy) - time.monotonic()
    ready = [by_descriptor[found] for found in wait(by_descriptor, max(0.0, left)) if isinstance(found, int)]
    if ready:
        return ready
    late = [slot for slot in busy if slot.deadline <= time.monotonic()]
    for slot in late:
        slot.kill()
    return late


def _alike(job: Job, *first: Job) -> bool:
    """Say whether a program may be in one request with another."""
    return all(_kind(job) == _kind(other) for other in first)


def _kind(job: Job) -> tuple[str, int, int]:
    return job.program.language, job.limits.memory_mib, job.limits.output_kib


def check(program: Program, limits: Limits) -> None:
    """Raise UsageError for what can't be run at all."""
    if program.language not in LANGUAGES:
        raise UsageError(f"a program is in {program.language!r}; what can be executed: {', '.join(LANGUAGES)}")
    if not limits.timeout > 0 or limits.wall_factor < 1 or limits.output_kib < 0:
        raise UsageError(f"{limits}: timeout must be above 0, wall_factor at least 1, output_kib at least 0")
    if limits.timeout * limits.wall_factor > LONGEST_SECONDS:
        raise UsageError(f"{limits}: timeout x wall_factor is more than a week; give less")
    if limits.memory_mib < LEAST_MIB:
        raise UsageError(f"memory_mib is {limits.memory_mib}; an interpreter alone needs {LEAST_MIB}")
