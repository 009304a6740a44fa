"""Hands programs to slots as they become idle and yields verdicts as they arrive, with few programs in memory."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from multiprocessing.connection import wait
from typing import Generic, TypeVar

from raysweep.errors import UsageError
from raysweep.execution.isolation.capacity import granted_mib
from raysweep.execution.oracle import inside_refused, oracle_of, reason_for_inside
from raysweep.execution.slot import (
    LANGUAGES,
    START_SECONDS,
    TEXT_CHARACTERS,
    NotStarted,
    ProcessKind,
    Request,
    Slot,
    SlotLost,
    kind_of,
)
from raysweep.programs import COMPILED, Lane, Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict

K = TypeVar("K")
BATCH_SIZES = {Lane.SHARED: (4, 64), Lane.STRICT: (1, 8)}
"""How many programs one request to a slot has: the minimum (if so many are left), and the maximum."""
REST_SECONDS = 10.0  # before a slot that could not be started is tried again, while others work
MAX_TRIES = 2  # of a program whose slot was lost while it was the only one there


class Stream(Generic[K], Iterator[tuple[K, Verdict]]):
    """An iterator over (key, verdict), in the order in which programs end.

    Nobody else uses the slots meanwhile. `work`: (key, program, limits), read as slots become idle. `stop`: ends the
    processes of all slots.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        sandbox: Sandbox,
        work: Iterable[tuple[K, Program, Limits]],
        stop: Callable[[], None],
    ) -> None:
        self._slots, self._lane, self._stop = slots, sandbox.lane, stop
        self._require_oracle = sandbox.require_oracle
        self._work = iter(work)
        self._numbers = count()
        self._keys: dict[int, K] = {}  # by the program's number, as in all dicts here
        self._requests: dict[int, Request] = {}
        self._waiting: dict[Oracle, deque[Request]] = {oracle: deque() for oracle in Oracle}
        self._strict: dict[Oracle, deque[Request]] = {oracle: deque() for oracle in Oracle}
        # The shared lane sent the latter back: they need a process of their own.
        self._retries: deque[Request] = deque()  # their slot was lost or can't be started: tried again, one at a time
        self._tries: Counter[int] = Counter()
        self._busy: dict[Slot, set[int]] = {}  # the numbers of the programs that each slot has
        self._rests: dict[Slot, float] = {}  # slots that could not be started, until when in time.monotonic()
        self._finished: deque[tuple[K, Verdict]] = deque()

    def __next__(self) -> tuple[K, Verdict]:
        try:
            while not self._finished:
                self._feed_idle_slots()
                if not self._busy:
                    raise StopIteration
                for slot in self._slots_with_news():
                    self._receive_from(slot)
        except BaseException:  # Ctrl-C too: running programs must end
            self.close()
            raise
        return self._finished.popleft()

    def close(self) -> None:
        """End the programs that still run, and yield no more verdicts."""
        if self._busy:
            self._busy.clear()
            self._stop()
        self._work = iter(())
        for queue in (*self._waiting.values(), *self._strict.values(), self._retries):
            queue.clear()

    def __del__(self) -> None:
        self.close()

    def _slots_with_news(self) -> list[Slot]:
        """Wait until slots have verdicts, and return those; or kill those past their deadline, and return them."""
        slots = {slot.current.fileno(): slot for slot in self._busy}
        left = min(slot.current.deadline for slot in self._busy) - time.monotonic()
        readable = wait(slots, max(0.0, left))
        if ready := [slots[descriptor] for descriptor in readable if isinstance(descriptor, int)]:
            return ready
        late = [slot for slot in self._busy if slot.current.deadline <= time.monotonic()]
        for slot in late:
            slot.current.kill()
        return late

    def _feed_idle_slots(self) -> None:
        """Send programs to every idle slot, as long as there are some.

        A slot that can't be started leaves its programs to the others. Where no slot works, this raises the error.
        """
        error: NotStarted | None = None
        for slot in sorted(self._slots, key=lambda slot: self._rests.get(slot, 0.0)):
            if slot in self._busy or (self._busy and time.monotonic() < self._rests.get(slot, 0.0)):
                continue
            lane, requests = self._next_requests()
            if not requests:
                return
            try:
                slot.send(requests, lane is Lane.SHARED, 0.0 if self._busy or error else START_SECONDS)
            except NotStarted as reason:
                error = reason
                self._rests[slot] = time.monotonic() + REST_SECONDS
                self._retries.extend(requests)
                continue
            self._busy[slot] = {request.number for request in requests}
            self._rests.pop(slot, None)
        if error and not self._busy:
            raise error

    def _next_requests(self) -> tuple[Lane, list[Request]]:
        if self._retries:
            return Lane.STRICT, [self._retries.popleft()]
        if any(self._strict.values()):
            return Lane.STRICT, self._take_batch(max(self._strict.values(), key=len), Lane.STRICT)
        ahead = 2 * BATCH_SIZES[self._lane][1] * len(self._slots)
        for key, program, limits in islice(self._work, max(0, ahead - sum(map(len, self._waiting.values())))):
            check_program(program, limits)
            number = next(self._numbers)
            self._keys[number] = key
            oracle = program.oracle or oracle_of(program)
            if oracle is Oracle.INSIDE and self._require_oracle is Oracle.OUTSIDE:
                reason = reason_for_inside(program) or "its `oracle` is inside"
                raise UsageError(inside_refused({f"the program {program.text[:40]!r}...": reason}))
            self._requests[number] = Request(number, program, limits, oracle)
            self._waiting[oracle].append(self._requests[number])
        queue = max(self._waiting.values(), key=len)
        is_alone = queue and (queue[0].program.language in COMPILED or queue[0].oracle is Oracle.INSIDE)
        lane = Lane.STRICT if is_alone else self._lane
        requests = self._take_batch(queue, lane)
        return (lane if len(requests) > 1 else Lane.STRICT), requests

    def _take_batch(self, queue: deque[Request], lane: Lane) -> list[Request]:
        """Take programs for one request from a queue: fewer when few are left, so that all slots end together."""
        smallest, largest = BATCH_SIZES[lane]
        fair_share = math.ceil(len(queue) / (2 * len(self._slots))) if len(self._slots) > 1 else len(queue)
        size = min(largest, max(smallest, fair_share))
        requests: list[Request] = []
        settings = _request_settings(queue[0]) if queue else None
        while queue and len(requests) < size and _request_settings(queue[0]) == settings:
            requests.append(queue.popleft())
        return requests

    def _receive_from(self, slot: Slot) -> None:
        unfinished = self._busy[slot]
        try:
            verdicts, need_own_process = slot.current.receive()
        except SlotLost as lost:
            slot.current.abandon()
            del self._busy[slot]
            self._retry(slot, unfinished, lost)
            return
        for number, verdict in verdicts.items():
            unfinished.discard(number)
            self._finish(number, verdict)
        for number in need_own_process:
            unfinished.discard(number)
            request = self._requests[number]
            self._strict[request.oracle].append(request)
        if not unfinished:
            del self._busy[slot]

    def _retry(self, slot: Slot, numbers: set[int], lost: SlotLost) -> None:
        """Schedule another try; a program that lost its slot MAX_TRIES times while alone in it gets no further one.

        It counts as killed, unless no program in its language can reach a slot's processes: then the machine did it.
        """
        alone = len(numbers) == 1
        for number in sorted(numbers):
            self._tries[number] += alone
            if self._tries[number] >= MAX_TRIES:
                text = f"it ended its slot {self._tries[number]} times; the last time {lost}"[:TEXT_CHARACTERS]
                request = self._requests[number]
                seconds, oracle = request.limits.timeout, request.oracle
                level = slot.current.level
                by_machine = request.program.language in COMPILED and level >= Level.FILTERED
                outcome = Outcome.HARNESS_ERROR if by_machine else Outcome.KILLED
                verdict = Verdict(outcome, text, "", 0.0, seconds, level, Lane.STRICT, oracle)
                self._finish(number, verdict)
            else:
                self._retries.append(self._requests[number])

    def _finish(self, number: int, verdict: Verdict) -> None:
        del self._requests[number]
        self._tries.pop(number, None)
        self._finished.append((self._keys.pop(number), verdict))


def _request_settings(request: Request) -> tuple[ProcessKind, int, int]:
    return kind_of(request), request.limits.memory_mib, request.limits.output_kib


def check_program(program: Program, limits: Limits) -> None:
    if program.language not in LANGUAGES:
        raise UsageError(f"a program is in {program.language!r}; supported: {', '.join(LANGUAGES)}")
    language, memory = program.language, limits.memory_mib
    if language in COMPILED:
        if not program.tests.strip():
            raise UsageError(f"a program in {language} has no tests, and its exit code says nothing; give it tests")
        if (granted := granted_mib(memory)) < memory:
            raise UsageError(
                f"memory_mib is {memory:,}, and this machine grants a process at most {granted:,} MiB of address space "
                "(its memory and swap, or `ulimit -v`); give no more, or the verdict on a program in "
                f"{language} that needs much can't be told from the machine's doing"
            )
    if program.oracle is Oracle.OUTSIDE and not program.tests:
        raise UsageError("a program without tests can't have out-of-process ones; give it tests, or leave `oracle` out")
    if why := limits.unusable(language):
        raise UsageError(why)
