"""The zygote for tests that need the program's process: a warm interpreter whose forks contain program and tests.

Such tests look at the program's source or frames, patch it, or hand it functions (oracle.py).
docs/execution-design.md says what protects their verdicts: guards, not a boundary.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence, Set
from types import ModuleType
from typing import Any, NamedTuple

from raysweep.execution.isolation import kernel
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
    SLOW_SECONDS,
    TEXT_CHARACTERS,
    Judged,
    Lanes,
)
from raysweep.programs import Outcome


class Harness(NamedTuple):
    """The parts of the harness that forks use.

    They are passed as values: if this module imported them, a program that finds the class Zygote could reach them
    through the globals of its methods.
    """

    prepare: Callable[[str], Any]  # prepared_tests.prepare
    child: ModuleType  # child.py
    frame_of: Callable[..., Any]  # returned by guards.set_up
    prepares: bool = True  # for each request: loads numpy, once a program uses it, for all later ones


class Zygote(Lanes):
    """Judges programs in forks, and keeps prepared tests between requests."""

    def __init__(self, forks: Forks, harness: Harness) -> None:
        super().__init__()
        self._forks, self._harness = forks, harness
        self._tests: dict[str, Any] = {"": None}  # prepared, by sha256

    def prepare_tests(self, sha: str, text: str) -> None:
        self._tests[sha] = self._harness.prepare(text)
        kernel.make_immortal(self._tests[sha])

    def prepare_request(self, items: Sequence[ProgramItem]) -> None:
        if self._harness.prepares:
            self._forks.prepare(numpy=any("numpy" in item.text for item in items))

    def run_together(self, items: Sequence[ProgramItem]) -> Sequence[ProgramReport]:
        programs = [(item.text, self._tests[item.tests]) for item in items]
        time_limits = [min(SLOW_SECONDS, item.timeout / 4) for item in items]

        def run(report: Any) -> None:
            self._harness.child.run_together(programs, report, self._harness.frame_of, items[0].output)

        def limits(done: int) -> tuple[float, float]:
            index = min(done, len(items) - 1)
            return time_limits[index], items[index].wall

        outcomes = OF_PROGRAMS | {self._harness.child.NEEDS_OWN_PROCESS}
        return self._fork(run, items[0], sum(time_limits), limits, outcomes, several=True)[0].reported

    def run_alone(self, item: ProgramItem) -> Judged:
        """Judge a program in its own process.

        One that was killed while the machine was short of memory, maybe through others, gets a second try. The parts of
        the tests that passed are known only if the tests ended, or tell it after each.
        """
        tests, box = self._tests[item.tests], self._forks.box
        limits, outcomes = (item.timeout, item.wall), OF_PROGRAMS | {PROGRESS}

        def run(report: Any) -> None:
            self._harness.child.run_alone(item.text, tests, report, self._harness.frame_of)

        for last_try in (False, True):
            watch, end = self._fork(run, item, item.timeout, lambda done: limits, outcomes, several=False)
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

    def _fork(
        self,
        run: Callable[[Any], None],
        item: ProgramItem,
        cpu_seconds: float,
        limits: Callable[[int], tuple[float, float]],
        outcomes: Set[str],
        several: bool,
    ) -> tuple[Watch, ProcessEnd]:
        """Run a function in a fork behind the layers.

        The limits of memory and output, and of CPU time where seccomp is missing, are those of `item`. `Forks.run` and
        `Watch` explain the others.
        """
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        nonce = os.urandom(16)
        pipe = ReportPipe(reading, nonce, outcomes)
        box, watched = self._forks.box, list[Watch]()

        def check_box() -> OutcomeAndDetail | None:
            return box.exceeded_limit(item.output, item.timeout)

        def watch(pid: int) -> Watch:
            watched.append(Watch(pid, REQUESTS, check_box, several, reports=pipe))
            return watched[0]

        try:
            end = self._forks.run(
                lambda: run(self._harness.child.reporter(CHANNEL, nonce)),
                [writing],
                item.memory,
                cpu_seconds,
                watch,
                limits,
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
