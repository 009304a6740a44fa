"""Judges programs in one slot: forks for each program, or for several at once, and tells how the forks end."""

from __future__ import annotations

import gc
import importlib
import math
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from raysweep.execution import kernel
from raysweep.execution.box import Box
from raysweep.execution.frames import Answer, Item, read_frame, write_frame
from raysweep.execution.isolation import Layers, lower_limit
from raysweep.execution.watch import Ended, Report, Reports, Stop, Watch, beyond_text
from raysweep.programs import SAME, Lane, Outcome

REQUESTS, ANSWERS, REPORTS = 10, 11, 3  # descriptors; the last is a program's only one beside 0, 1 and 2
SLOW_SECONDS = 0.2  # in the shared lane; what takes longer is run alone
AUDITED = 100  # one shared verdict in so many is checked alone
STDERR = 300  # characters
SUITED = frozenset(Outcome) - {Outcome.HARNESS_ERROR}
NOT_STARTED = 125  # exit code


class Hands(NamedTuple):
    """The parts of the harness that a fork needs. They are handed over, so that no class leads a program to them."""

    prepare: Callable[[str], Any]  # tested.prepare
    child: ModuleType
    frame_of: Callable[..., Any]


class Zygote:
    """What a slot holds between programs."""

    def __init__(self, layers: Layers, box: Box, hands: Hands) -> None:
        self._layers, self._box, self._hands = layers, box, hands
        self._tests: dict[str, Any] = {"": None}
        self._broken: dict[str, str] = {}
        self._own_size = 0  # bytes of address space, which no program is charged for

    def serve(self) -> NoReturn:
        """Answer requests; EOFError when there are no more."""
        while True:
            request = read_frame(REQUESTS)
            for sha, text in request["tests"].items():
                self._learn(sha, text)
            items = [Item(*fields) for fields in request["items"]]
            if "numpy" not in sys.modules and any("numpy" in item.text for item in items):
                _import_numpy()
            self._own_size = _address_space()
            alone = [item for item in items if item.tests not in self._broken]
            for item in [item for item in items if item.tests in self._broken]:
                self._tell([Answer(item.number, Outcome.HARNESS_ERROR, self._broken[item.tests], "", 0.0, Lane.STRICT)])
            if request["shared"]:
                alone = self._run_together(alone)
                self._tell([], unsuited=[item.number for item in alone])  # for whichever slot is idle
                continue
            for item in alone:
                self._tell([Answer(item.number, *self._run_or_fail(item), Lane.STRICT)])

    def _run_or_fail(self, item: Item) -> tuple[str, str, str, float]:
        """Judge a program; what goes wrong here, and not in it, is told as that."""
        try:
            return self._run_alone(item)
        except (OSError, RuntimeError, ValueError) as error:
            return Outcome.HARNESS_ERROR, f"{type(error).__name__}: {error}"[:STDERR], "", 0.0

    def _learn(self, sha: str, text: str) -> None:
        try:
            self._tests[sha] = self._hands.prepare(text)
            kernel.keep_for_ever(self._tests[sha])
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self._broken[sha] = f"the tests can't be compiled: {error}"

    def _tell(self, verdicts: Sequence[Answer], unsuited: Sequence[int] = ()) -> None:
        write_frame(ANSWERS, {"verdicts": verdicts, "unsuited": unsuited})

    # ------------------------------------------------------------------------------------------- shared lane

    def _run_together(self, items: Sequence[Item]) -> list[Item]:
        """Judge those that may share a process, and return the others."""
        alone, left = [], list(items)
        while left:
            reports, _ = self._fork_together(left)
            reported = {report.number: report for report in reports}
            suited = [one for one in reports if one.outcome in SUITED and one.seconds <= SLOW_SECONDS]
            by_number = {item.number: item for item in left}
            suited = [one for one in suited if 4 * one.seconds <= by_number[one.number].timeout]
            alone += [item for item in left if item.number in reported and reported[item.number] not in suited]
            if suited:
                self._tell([self._audited(by_number[report.number], report) for report in suited])
            left = [item for item in left if item.number not in reported]
            alone += left[:1]  # it was slow, or ended the process
            left = left[1:]
        return alone

    def _audited(self, item: Item, report: Report) -> Answer:
        """Return the verdict on a program that shared a process; now and then it is checked alone, and that counts."""
        shared = (report.outcome, report.detail, "", report.seconds)
        if int.from_bytes(os.urandom(4), "big") % AUDITED:
            return Answer(item.number, *shared, Lane.SHARED)
        alone = self._run_alone(item)
        if alone[:2] == shared[:2]:
            return Answer(item.number, *shared, Lane.SHARED, SAME)
        differs = f"{report.outcome} in the shared lane: {report.detail}"[:STDERR]
        return Answer(item.number, *alone, Lane.STRICT, differs)

    def _fork_together(self, items: Sequence[Item]) -> tuple[list[Report], Ended]:
        triples = [(item.number, item.text, self._tests[item.tests]) for item in items]
        slow = [min(SLOW_SECONDS, item.timeout / 4) for item in items]

        def run(report: Any) -> None:
            self._hands.child.run_together(triples, report, self._hands.frame_of, items[0].output)

        def limits(done: int) -> tuple[float, float]:
            at = min(done, len(items) - 1)
            return slow[at], items[at].wall

        return self._fork(run, items[0], sum(slow), limits, several=True)

    # ------------------------------------------------------------------------------------------- strict lane

    def _run_alone(self, item: Item) -> tuple[str, str, str, float]:
        """Judge a program in a process of its own: outcome, detail, stderr, seconds of effective time."""
        tests = self._tests[item.tests]

        def run(report: Any) -> None:
            self._hands.child.run_alone(item.text, tests, report, self._hands.frame_of)

        for last_try in (False, True):
            reports, ended = self._fork(run, item, item.timeout, lambda done: (item.timeout, item.wall), several=False)
            by_kernel = not ended.stopped and ended.status == signal.SIGKILL  # out of memory, perhaps others'
            if last_try or not by_kernel:
                break
        stopped = ended.stopped or self._box.beyond(item.output, item.timeout)
        outcome, detail = stopped or _judged(reports, ended, item.timeout)
        return outcome, detail, self._box.stderr(STDERR), round(ended.seconds, 4)

    # -------------------------------------------------------------------------------------------------- both

    def _fork(
        self,
        run: Callable[[Any], None],
        item: Item,
        cpu_seconds: float,
        limits: Callable[[int], tuple[float, float]],
        several: bool,
    ) -> tuple[list[Report], Ended]:
        """Run something in a fork behind the layers; return its reports and its end when nothing of it is left."""
        self._box.reset_output()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        nonce = os.urandom(16)
        gc.freeze()  # what is here now is never looked through in a fork, which would copy it
        pid = kernel.fork()
        if pid == 0:
            self._become(run, writing, nonce, item.memory + self._own_size, math.ceil(cpu_seconds) + 1)
        os.close(writing)
        reports = Reports(reading, nonce)
        watch = Watch(pid, reports, REQUESTS, lambda: self._box.beyond(item.output, item.timeout), several)
        try:
            ended = watch.to_the_end(limits)
        finally:
            self._box.end_processes()
            os.close(reading)
        self._box.empty()
        return watch.found, ended

    def _become(
        self, run: Callable[[Any], None], writing: int, nonce: bytes, memory: int, cpu_seconds: int
    ) -> NoReturn:
        """Turn this fork into the process of programs; never return."""
        try:
            report = self._hands.child.reporter(REPORTS, nonce)
            os.dup2(writing, REPORTS)
            lower_limit(resource.RLIMIT_CPU, cpu_seconds)
            lower_limit(resource.RLIMIT_AS, memory)
            try:
                self._layers.put_on(os.getpid())
                os.closerange(REPORTS + 1, 256)
            except BaseException as error:  # not the program's fault: it never ran
                report(0, str(Outcome.HARNESS_ERROR), f"it could not be started: {error}", 0.0)
                os._exit(NOT_STARTED)
            run(report)
        finally:
            os._exit(127)


def _judged(reports: Iterable[Report], ended: Ended, timeout: float) -> Stop:
    """Return outcome and reason of a process that ended by itself."""
    if ended.seconds > timeout:
        return Outcome.TIMEOUT, beyond_text(timeout)
    code = os.waitstatus_to_exitcode(ended.status)
    if code < 0:
        return Outcome.KILLED, f"signal {signal.strsignal(-code)}"
    for report in reports:
        broken = report.outcome == Outcome.HARNESS_ERROR
        if code == (NOT_STARTED if broken else 0) and report.outcome in list(Outcome):
            return report.outcome, report.detail
    return Outcome.KILLED, f"it ended with exit code {code} before its tests did"


def _address_space() -> int:
    """Return the bytes of address space that this process uses."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def _import_numpy() -> None:
    """Import what programs are about to import, once for all of them."""
    try:
        importlib.import_module("numpy").random.seed(0)
    except Exception:  # programs will find out
        return
