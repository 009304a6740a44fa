"""The two lanes of a process that judges programs: each program in a fork of its own, or several in one fork.

The process reads requests from its slot and answers with verdicts. There are two kinds of it: judge.py, whose tests run
outside the programs' processes, and zygote.py, whose forks contain program and tests.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from raysweep.execution.isolation.watch import ProgramReport
from raysweep.execution.messages import ProgramItem, VerdictItem, read_frame, write_frame
from raysweep.programs import AUDIT_AGREED, Lane, Outcome

REQUESTS, ANSWERS = 10, 11  # descriptors
SLOW_SECONDS = 0.2  # a program that takes longer in the shared lane is run alone
AUDITED = 100  # one in so many programs of the shared lane is also run alone
TEXT_CHARACTERS = 300  # of a detail and of stderr
PROGRESS = "progress"
"""In an outcome's place: a report of what a program's tests have shown so far."""
OF_PROGRAMS = frozenset(
    {Outcome.PASSED, Outcome.FAILED, Outcome.EXCEPTION, Outcome.SYNTAX_ERROR, Outcome.MEMORY, Outcome.KILLED}
)
"""The outcomes that a program's own process may tell: on all others, what started and watched it decides."""


class Judged(NamedTuple):
    """What is found about a program that ran alone; the fields are those of `raysweep.programs.Verdict`."""

    outcome: str
    detail: str
    stderr: str
    seconds: float
    parts: str = ""

    def verdict(self, number: int, lane: Lane, audit: str = "") -> VerdictItem:
        return VerdictItem(number, *self[:4], lane, audit, self.parts)


class Lanes(ABC):
    """Answers requests; subclasses run the programs."""

    def __init__(self) -> None:
        self._broken: dict[str, str] = {}  # why tests can't be compiled, by sha256

    @abstractmethod
    def prepare_tests(self, sha: str, text: str) -> None:
        """Compile tests and keep them by their sha256; raise SyntaxError or ValueError if they can't be compiled."""

    @abstractmethod
    def prepare_request(self, items: Sequence[ProgramItem]) -> None:
        """Do what the programs of a request need before any of them runs."""

    @abstractmethod
    def run_alone(self, item: ProgramItem) -> Judged:
        """Judge a program in its own process."""

    @abstractmethod
    def run_together(self, items: Sequence[ProgramItem]) -> Sequence[ProgramReport]:
        """Judge programs one after another in one process; return a report for each one before that process ended.

        The reports are in the programs' order.
        """

    def serve(self) -> NoReturn:
        while True:
            request = read_frame(REQUESTS)
            for sha, text in request["tests"].items():
                try:
                    self.prepare_tests(sha, text)
                except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                    self._broken[sha] = f"the tests can't be compiled: {error}"
            items = [ProgramItem(*fields) for fields in request["items"]]
            self.prepare_request(items)
            for item in [item for item in items if item.tests in self._broken]:
                broken = self._broken[item.tests]
                self._answer([VerdictItem(item.number, Outcome.HARNESS_ERROR, broken, "", 0.0, Lane.STRICT)])
            runnable = [item for item in items if item.tests not in self._broken]
            if request["shared"]:
                remaining = self._share(runnable)
                self._answer([], need_own_process=[item.number for item in remaining])  # any idle slot may run them
                continue
            for item in runnable:
                try:
                    judged = self.run_alone(item)
                except (OSError, RuntimeError, ValueError) as error:  # of this process, not of the program
                    detail = f"{type(error).__name__}: {error}"[:TEXT_CHARACTERS]
                    judged = Judged(Outcome.HARNESS_ERROR, detail, "", 0.0)
                self._answer([judged.verdict(item.number, Lane.STRICT)])

    def _answer(self, verdicts: Sequence[VerdictItem], need_own_process: Sequence[int] = ()) -> None:
        write_frame(ANSWERS, {"verdicts": verdicts, "need_own_process": need_own_process})

    def _share(self, items: Sequence[ProgramItem]) -> list[ProgramItem]:
        """Judge the programs that may share a process, and return those that must be run alone.

        When a program is slow or ends the process, the ones after it get a new process.
        """
        alone, remaining = [], list(items)
        while remaining:
            reported = list(zip(remaining, self.run_together(remaining), strict=False))
            valid = [(item, report) for item, report in reported if _is_verdict(item, report)]
            alone += [item for item, report in reported if not _is_verdict(item, report)]
            if valid:
                self._answer([self._audited(item, report) for item, report in valid])
            remaining = remaining[len(reported) :]
            alone += remaining[:1]  # the one that was slow or ended the process
            remaining = remaining[1:]
        return alone

    def _audited(self, item: ProgramItem, report: ProgramReport) -> VerdictItem:
        """Return the verdict on a program that shared a process.

        One in AUDITED programs, drawn at random, is also run alone; where the verdicts differ, the latter counts.
        """
        shared = Judged(report.outcome, report.detail, "", report.seconds, report.parts)
        if int.from_bytes(os.urandom(4), "big") % AUDITED:
            return shared.verdict(item.number, Lane.SHARED)
        alone = self.run_alone(item)
        if alone[:2] == shared[:2]:
            return shared.verdict(item.number, Lane.SHARED, AUDIT_AGREED)
        differs = f"{report.outcome} in the shared lane: {report.detail}"[:TEXT_CHARACTERS]
        return alone.verdict(item.number, Lane.STRICT, differs)


def _is_verdict(item: ProgramItem, report: ProgramReport) -> bool:
    """Return False for a program of the shared lane that must be run alone."""
    return report.outcome in OF_PROGRAMS and report.seconds <= min(SLOW_SECONDS, item.timeout / 4)
