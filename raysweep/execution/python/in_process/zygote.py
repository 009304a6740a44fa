"""The zygote for tests that run in the program's process: a warm interpreter whose forks contain program and tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from raysweep.execution.isolation.watch import (
    OutcomeAndDetail,
    ProcessEnd,
    ProgramReport,
    ReportPipe,
    Watch,
    timeout_detail,
)
from raysweep.execution.messages import ProgramItem
from raysweep.execution.python.forks import CHANNEL, Forks
from raysweep.execution.python.lanes import (
    OF_PROGRAMS,
    PROGRESS,
    REQUESTS,
    TEXT_CHARACTERS,
    Judged,
    Lanes,
)
from raysweep.programs import Outcome


class Zygote(Lanes):
    """Judges programs in forks, and keeps prepared tests between requests.

    `child`: the module child.py, loaded with its own built-in functions. `has_cases`: the tests are unittest cases.
    """

    def __init__(self, forks: Forks, child: ModuleType, has_cases: bool) -> None:
        super().__init__()
        self._forks, self._child, self._has_cases = forks, child, has_cases
        self._tests: dict[str, Any] = {"": None}  # prepared, by sha256

    def prepare_tests(self, sha: str, text: str) -> None:
        self._tests[sha] = self._child.prepare(text)

    def prepare_request(self, items: Sequence[ProgramItem]) -> None:
        if not self._has_cases:  # for these it is loaded from the start
            self._forks.prepare(numpy=any("numpy" in item.text for item in items))

    def run_together(self, items: Sequence[ProgramItem]) -> Sequence[ProgramReport]:
        """Judge none: each program has a process of its own."""
        return ()

    def run_alone(self, item: ProgramItem) -> Judged:
        """Judge a program in its own process.

        One that was killed while the machine was short of memory, maybe through others, gets a second try. The parts of
        the tests that passed are known only if the tests ended, or tell it after each.
        """
        tests, box = self._tests[item.tests], self._forks.box

        def run(report: Any) -> None:
            self._child.run_alone(item.text, tests, report, self._has_cases)

        for last_try in (False, True):
            watch, end = self._fork(run, item)
            killed = not end.stopped and end.status == signal.SIGKILL
            if last_try or not killed or not self._forks.was_short_of_memory():
                break
        stopped = end.stopped or box.exceeded_limit(item.output, item.timeout)
        outcome, detail = stopped or _outcome_of_end(watch, end, item.timeout)
        reports = watch.reported
        parts = next((report.parts for report in reports if (report.outcome, report.detail) == (outcome, detail)), None)
        if parts is None and (ended := [report for report in reports if report.outcome == PROGRESS]):
            detail, parts = f"{detail}; {ended[-1].detail}"[:TEXT_CHARACTERS], ended[-1].parts
        return Judged(outcome, detail, box.stderr(TEXT_CHARACTERS), round(end.seconds, 4), parts or "")

    def _fork(self, run: Callable[[Any], None], item: ProgramItem) -> tuple[Watch, ProcessEnd]:
        """Run a function in a fork behind the layers, with the limits of `item`."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        nonce = os.urandom(16)
        pipe = ReportPipe(reading, nonce, OF_PROGRAMS | {PROGRESS})
        box, watched = self._forks.box, list[Watch]()

        def check_box() -> OutcomeAndDetail | None:
            return box.exceeded_limit(item.output, item.timeout)

        def watch(pid: int) -> Watch:
            watched.append(Watch(pid, REQUESTS, check_box, False, reports=pipe))
            return watched[0]

        try:
            end = self._forks.run(
                lambda: run(self._child.reporter(CHANNEL, nonce)),
                [writing],
                item.memory,
                item.timeout,
                watch,
                lambda done: (item.timeout, item.wall),
            )
        finally:
            os.close(reading)
        return watched[0], end


def _outcome_of_end(watch: Watch, end: ProcessEnd, timeout: float) -> OutcomeAndDetail:
    if end.refusal:
        return Outcome.HARNESS_ERROR, f"it could not be started: {end.refusal}"
    if end.seconds > timeout:
        return Outcome.TIMEOUT, timeout_detail(timeout)
    code = os.waitstatus_to_exitcode(end.status)
    if code < 0:
        return Outcome.KILLED, f"signal {signal.strsignal(-code)}"
    if watch.has_broken_reports:
        return Outcome.KILLED, "it sent something else than a report"
    for report in watch.reported:
        if code == 0 and report.outcome != PROGRESS:
            return report.outcome, report.detail
    return Outcome.KILLED, f"it ended with exit code {code} before its tests did"
