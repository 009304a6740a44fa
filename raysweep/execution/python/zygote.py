"""The zygote: a warm interpreter that judges programs by forking, once for each program or once for several.

It reads requests from its slot and answers with verdicts.
"""

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

from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.box import Box
from raysweep.execution.isolation.layers import Layers, lower_limit
from raysweep.execution.isolation.watch import (
    OutcomeAndDetail,
    ProcessEnd,
    ProgramReport,
    ReportPipe,
    Watch,
    timeout_detail,
)
from raysweep.execution.messages import ProgramItem, VerdictItem, read_frame, write_frame
from raysweep.programs import AUDIT_AGREED, Lane, Outcome

REQUESTS, ANSWERS, REPORTS = 10, 11, 3  # descriptors; a program has REPORTS, 0, 1 and 2
SLOW_SECONDS = 0.2  # a program that takes longer in the shared lane is run alone
AUDITED = 100  # one in so many programs of the shared lane is also run alone
STDERR_CHARACTERS = 300
VERDICTS = frozenset(Outcome) - {Outcome.HARNESS_ERROR}  # another outcome in the shared lane means: run it alone
NOT_STARTED = 125  # exit code of a fork that could not apply the layers


class Harness(NamedTuple):
    """The parts of the harness that forks use.

    They are passed as values: if this module imported them, a program that finds the class Zygote could reach them
    through the globals of its methods.
    """

    prepare: Callable[[str], Any]  # prepared_tests.prepare
    child: ModuleType  # child.py
    frame_of: Callable[..., Any]  # returned by guards.set_up


class Zygote:
    """Judges programs in forks, and keeps prepared tests between requests."""

    def __init__(self, layers: Layers, box: Box, harness: Harness) -> None:
        self._layers, self._box, self._harness = layers, box, harness
        self._tests: dict[str, Any] = {"": None}  # prepared, by sha256
        self._broken: dict[str, str] = {}  # why tests can't be compiled, by sha256
        self._own_size = 0  # bytes of address space of this process, added to each program's limit

    def serve(self) -> NoReturn:
        """Answer requests until the slot closes the pipe, which raises EOFError."""
        while True:
            request = read_frame(REQUESTS)
            for sha, text in request["tests"].items():
                self._prepare_tests(sha, text)
            items = [ProgramItem(*fields) for fields in request["items"]]
            if "numpy" not in sys.modules and any("numpy" in item.text for item in items):
                _import_numpy()
            self._own_size = _address_space()
            for item in [item for item in items if item.tests in self._broken]:
                error = Outcome.HARNESS_ERROR, self._broken[item.tests], "", 0.0
                self._answer([VerdictItem(item.number, *error, Lane.STRICT)])
            runnable = [item for item in items if item.tests not in self._broken]
            if request["shared"]:
                remaining = self._run_together(runnable)
                self._answer([], need_own_process=[item.number for item in remaining])  # any idle slot may run them
                continue
            for item in runnable:
                self._answer([VerdictItem(item.number, *self._run_or_fail(item), Lane.STRICT)])

    def _run_or_fail(self, item: ProgramItem) -> tuple[str, str, str, float]:
        """Judge a program; an error of this process, not of the program, becomes the outcome HARNESS_ERROR."""
        try:
            return self._run_alone(item)
        except (OSError, RuntimeError, ValueError) as error:
            return Outcome.HARNESS_ERROR, f"{type(error).__name__}: {error}"[:STDERR_CHARACTERS], "", 0.0

    def _prepare_tests(self, sha: str, text: str) -> None:
        """Prepare tests and keep them, or keep the reason why they can't be compiled."""
        try:
            self._tests[sha] = self._harness.prepare(text)
            kernel.make_immortal(self._tests[sha])
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self._broken[sha] = f"the tests can't be compiled: {error}"

    def _answer(self, verdicts: Sequence[VerdictItem], need_own_process: Sequence[int] = ()) -> None:
        write_frame(ANSWERS, {"verdicts": verdicts, "need_own_process": need_own_process})

    # ------------------------------------------------------------------------------------------- shared lane

    def _run_together(self, items: Sequence[ProgramItem]) -> list[ProgramItem]:
        """Judge the programs that may share a process, and return those that must be run alone.

        When a program is slow or ends the process, the ones after it get a new process.
        """
        alone, remaining = [], list(items)
        while remaining:
            reports, _ = self._fork_together(remaining)
            reported = {report.number: report for report in reports}
            by_number = {item.number: item for item in remaining}
            valid = [report for report in reports if report.outcome in VERDICTS and report.seconds <= SLOW_SECONDS]
            valid = [report for report in valid if 4 * report.seconds <= by_number[report.number].timeout]
            alone += [item for item in remaining if item.number in reported and reported[item.number] not in valid]
            if valid:
                self._answer([self._audited(by_number[report.number], report) for report in valid])
            remaining = [item for item in remaining if item.number not in reported]
            alone += remaining[:1]  # the one that was slow or ended the process
            remaining = remaining[1:]
        return alone

    def _audited(self, item: ProgramItem, report: ProgramReport) -> VerdictItem:
        """Return the verdict on a program that shared a process.

        One in AUDITED programs, drawn at random, is also run alone; where the verdicts differ, the latter counts.
        """
        shared = (report.outcome, report.detail, "", report.seconds)
        if int.from_bytes(os.urandom(4), "big") % AUDITED:
            return VerdictItem(item.number, *shared, Lane.SHARED)
        alone = self._run_alone(item)
        if alone[:2] == shared[:2]:
            return VerdictItem(item.number, *shared, Lane.SHARED, AUDIT_AGREED)
        differs = f"{report.outcome} in the shared lane: {report.detail}"[:STDERR_CHARACTERS]
        return VerdictItem(item.number, *alone, Lane.STRICT, differs)

    def _fork_together(self, items: Sequence[ProgramItem]) -> tuple[list[ProgramReport], ProcessEnd]:
        """Run programs one after another in one fork."""
        programs = [(item.number, item.text, self._tests[item.tests]) for item in items]
        time_limits = [min(SLOW_SECONDS, item.timeout / 4) for item in items]

        def run(report: Any) -> None:
            self._harness.child.run_together(programs, report, self._harness.frame_of, items[0].output)

        def limits(done: int) -> tuple[float, float]:
            index = min(done, len(items) - 1)
            return time_limits[index], items[index].wall

        return self._fork(run, items[0], sum(time_limits), limits, several=True)

    # ------------------------------------------------------------------------------------------- strict lane

    def _run_alone(self, item: ProgramItem) -> tuple[str, str, str, float]:
        """Judge a program in its own process; return outcome, detail, stderr and seconds of effective time.

        A program that something other than its limits killed with SIGKILL gets a second try.
        """
        tests = self._tests[item.tests]

        def run(report: Any) -> None:
            self._harness.child.run_alone(item.text, tests, report, self._harness.frame_of)

        for last_try in (False, True):
            reports, end = self._fork(run, item, item.timeout, lambda done: (item.timeout, item.wall), several=False)
            killed_by_kernel = not end.stopped and end.status == signal.SIGKILL  # short of memory, maybe through others
            if last_try or not killed_by_kernel:
                break
        stopped = end.stopped or self._box.exceeded_limit(item.output, item.timeout)
        outcome, detail = stopped or _outcome_of_end(reports, end, item.timeout)
        return outcome, detail, self._box.stderr(STDERR_CHARACTERS), round(end.seconds, 4)

    # ------------------------------------------------------------------------------------------- both lanes

    def _fork(
        self,
        run: Callable[[Any], None],
        item: ProgramItem,
        cpu_seconds: float,
        limits: Callable[[int], tuple[float, float]],
        several: bool,
    ) -> tuple[list[ProgramReport], ProcessEnd]:
        """Run a function in a fork behind the layers, then kill and remove everything that it left.

        Args:
            run: called in the fork with the function that reports.
            item: the limits of memory and output, and of CPU time where seccomp is missing, are those of this program.
            cpu_seconds: limit of CPU time that the kernel enforces.
            limits: see `Watch.wait`.
            several: see `Watch`.
        """
        self._box.reset_output()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        nonce = os.urandom(16)
        gc.freeze()  # so that garbage collection in the fork doesn't copy the memory pages of existing objects
        pid = kernel.fork()
        if pid == 0:
            self._run_in_fork(run, writing, nonce, item.memory + self._own_size, math.ceil(cpu_seconds) + 1)
        os.close(writing)
        reports = ReportPipe(reading, nonce)
        watch = Watch(pid, reports, REQUESTS, lambda: self._box.exceeded_limit(item.output, item.timeout), several)
        try:
            end = watch.wait(limits)
        finally:
            self._box.kill_processes()
            os.close(reading)
        self._box.remove_files()
        return watch.reported, end

    def _run_in_fork(
        self, run: Callable[[Any], None], writing: int, nonce: bytes, memory: int, cpu_seconds: int
    ) -> NoReturn:
        """Apply limits and layers to this fork, and run programs in it; never return."""
        try:
            report = self._harness.child.reporter(REPORTS, nonce)
            os.dup2(writing, REPORTS)
            lower_limit(resource.RLIMIT_CPU, cpu_seconds)
            lower_limit(resource.RLIMIT_AS, memory)
            try:
                self._layers.apply(os.getpid())
                os.closerange(REPORTS + 1, 256)
            except BaseException as error:  # not the program's fault, since it never ran
                report(0, str(Outcome.HARNESS_ERROR), f"it could not be started: {error}", 0.0)
                os._exit(NOT_STARTED)
            run(report)
        finally:
            os._exit(127)


def _outcome_of_end(reports: Iterable[ProgramReport], end: ProcessEnd, timeout: float) -> OutcomeAndDetail:
    """Return outcome and detail of a program whose process ended by itself."""
    if end.seconds > timeout:
        return Outcome.TIMEOUT, timeout_detail(timeout)
    code = os.waitstatus_to_exitcode(end.status)
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
    """Import numpy once for all programs, since some of this request use it."""
    try:
        importlib.import_module("numpy").random.seed(0)
    except Exception:  # programs that import it will raise the same
        return
