"""The judge: runs tests, in a process that no program enters, against programs in processes of their own.

For the tests the candidate is a proxy (session.py): its arguments and results travel as plain data. So the expected
values, the comparisons and the random state of the tests exist in this process only, and the verdict is its own.
"""

from __future__ import annotations

import builtins
import gc
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from raysweep.execution.board import Board
from raysweep.execution.isolation.kernel import current_core, return_memory
from raysweep.execution.isolation.watch import OutcomeAndDetail, ProgramReport, timeout_detail
from raysweep.execution.messages import ProgramItem
from raysweep.execution.python.lanes import SLOW_SECONDS, Judged, Lanes
from raysweep.execution.python.outcomes import PARTS, TESTS, outcome_of, parts_passed
from raysweep.execution.python.outside.ahead import Ahead
from raysweep.execution.python.outside.asked_tests import AskedTests, compile_tests
from raysweep.execution.python.outside.launcher import End, Launch, ended, launch, stop
from raysweep.execution.python.outside.session import Diverged, Session, SessionEnded
from raysweep.execution.python.processes import NEEDS_OWN_PROCESS, frame_of, reseed
from raysweep.programs import Outcome

MAX_GARBAGE = 2**20  # bytes of answers after which garbage is collected; decoded they take up to 50 times as much
MAX_NOTED = 128 * 2**20  # bytes of calls, of all problems, after which no further ones are noted
_PASSED: OutcomeAndDetail = (Outcome.PASSED, "")


class Judge(Lanes):
    """Judges programs, and keeps compiled tests between requests.

    `control`: the socket to the launcher, which starts the processes of programs. `seconds`: of CPU time that tests may
    work on one program's answers, or the program's limit if longer.
    """

    def __init__(self, control: socket.socket, board: Board, ahead: Ahead, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._control, self._board, self._ahead = control, board, ahead
        self._tests: dict[str, AskedTests] = {}  # by sha256
        self._numpy: set[str] = set()  # sha256 of tests that use numpy
        self._uses_numpy = False
        self._received = 0  # bytes of answers since garbage was collected
        self._noted = 0  # bytes of calls that are kept to be sent ahead

    def prepare_tests(self, sha: str, text: str) -> None:
        self._tests[sha] = compile_tests(text)
        if "numpy" in text:
            self._numpy.add(sha)

    def prepare_request(self, items: Sequence[ProgramItem]) -> None:
        if any("numpy" in item.text or item.tests in self._numpy for item in items):
            self._uses_numpy = True

    def run_alone(self, item: ProgramItem) -> Judged:
        """Judge a program in its own process.

        One that was killed while the machine was short of memory, maybe through others, gets a second try; so does one
        whose answers lead the tests to other calls than those that were sent ahead.
        """
        session, verdict, end = self._run_in_own_process(item)
        if end.short_of_memory:
            session, verdict, end = self._run_in_own_process(item)
        if verdict is None:
            session, verdict, end = self._run_in_own_process(item, ahead=False)
        assert verdict is not None
        outcome, detail = verdict
        is_late = end.seconds > item.timeout
        if end.stopped and end.stopped[0] != Outcome.TIMEOUT:
            outcome, detail = end.stopped
        elif session.was_interrupted or session.malformed or (outcome == Outcome.PASSED and (end.stopped or is_late)):
            outcome, detail = _outcome_of_end(session, end, item.timeout)
        if outcome == NEEDS_OWN_PROCESS:  # which only a program says that forges its answer
            outcome, detail = Outcome.KILLED, "it sent something else than an answer: it has its own process"
        return Judged(outcome, detail, end.stderr, round(end.seconds, 4), session.parts)

    def _run_in_own_process(
        self, item: ProgramItem, *, ahead: bool = True
    ) -> tuple[Session, OutcomeAndDetail | None, End]:
        """Run a program; return what was found, None if it has to be run again, and how its process ended."""
        channel = self._launch([item], [(item.timeout, item.wall)], together=False)
        session = Session(channel, self._control, self._board, self._ahead)
        try:
            with channel:
                self._board.begin_program(item.number, self._limit(item))
                verdict = self._judge(session, item, ahead=ahead)
        finally:
            if session.malformed or not session.is_idle():
                stop(self._control)
            end = self._ended()
        self._free_answers(session)
        return session, verdict, end

    def run_together(self, items: Sequence[ProgramItem]) -> Sequence[ProgramReport]:
        limits = [(min(SLOW_SECONDS, item.timeout / 4), item.wall) for item in items]
        reports: list[ProgramReport] = []
        channel = self._launch(items, limits, together=True)
        session = Session(channel, self._control, self._board, self._ahead)
        try:
            with channel, suppress(SessionEnded):
                for item in items:
                    reports.append(self._report(session, item))
                    if reports[-1].outcome == NEEDS_OWN_PROCESS and reports[-1].detail:
                        break  # it ran, and may have left something
        finally:
            self._ended()
        self._free_answers(session)
        return reports

    def _report(self, session: Session, item: ProgramItem) -> ProgramReport:
        before = session.cpu_seconds
        self._board.begin_program(item.number, self._limit(item))
        outcome, detail = self._judge(session, item) or (NEEDS_OWN_PROCESS, "")
        fits = session.finish()
        unusual = outcome in (Outcome.MEMORY, Outcome.KILLED) or detail.startswith("RecursionError")
        if unusual or not fits:
            outcome, detail = NEEDS_OWN_PROCESS, detail or "it left something"
        return ProgramReport(outcome, detail, session.cpu_seconds - before, session.parts)

    def _limit(self, item: ProgramItem) -> float:
        """Return the seconds that tests may work: as long as a program, since some compute the expected values."""
        return max(self._seconds, item.timeout)

    def _free_answers(self, session: Session) -> None:
        """Free answers that refer to themselves: otherwise the next program's judge would be short of memory."""
        self._received += session.received
        if self._received > MAX_GARBAGE:
            gc.collect()
            return_memory()
            self._received = 0

    def _ended(self) -> End:
        """Wait for the process's end, on the program's time: it may have closed its channel, or hang at its end."""
        self._board.begin_programs_turn()
        return ended(self._control)

    def _launch(self, items: Sequence[ProgramItem], limits: list[tuple[float, float]], together: bool) -> socket.socket:
        self._ahead.clear()  # else a program could read there what an earlier one answered
        first_program = self._board.programs() + 1
        request = Launch(
            limits, items[0].memory, items[0].output, self._uses_numpy, together, current_core(), first_program
        )
        return launch(self._control, request)

    def _judge(self, session: Session, item: ProgramItem, *, ahead: bool = True) -> OutcomeAndDetail | None:
        """Run a program and its tests; return the outcome as far as it doesn't depend on the process's end.

        Returns:
            None if the tests made other calls than those that were sent ahead, so that it has to be run again without.
        """
        tests = self._tests[item.tests]
        try:
            session.run(item.text, tests, ahead=ahead)
            answers = session.answers()
            known = tests.known(answers) if answers is not None else None
            if known is not None:
                outcome, detail, session.parts = known
                return outcome, detail
            names, ending = session.names(tests)
            if ending is not None:
                return ending
            verdict = _run_tests(tests, names, session)
            answers = session.answers()
            if answers is not None and verdict[0] != Outcome.MEMORY:
                tests.know(answers, (*verdict, session.parts))
        except SessionEnded:
            session.was_interrupted = True
            return Outcome.KILLED, ""
        except MemoryError:
            return Outcome.MEMORY, "MemoryError while its names were read"
        except Diverged:
            return None
        are_same_calls = tests.has_new_arguments or not session.has_changed_arguments
        fit = not session.has_long_answers()
        if verdict == _PASSED and tests.calls is None and not tests.is_live and are_same_calls and fit:
            self._noted += tests.note(session.made if self._noted < MAX_NOTED else None)
        return verdict


def _run_tests(tests: AskedTests, names: dict[str, Any], session: Session) -> OutcomeAndDetail:
    reseed()
    names |= {"__builtins__": dict(vars(builtins)), PARTS: None}
    try:
        exec(tests.code, names)
    except (SessionEnded, Diverged):
        raise
    except BaseException as error:
        _raise_what_tests_caught(session)
        description = session.description_of(error) or outcome_of(error, {TESTS: tests.text}, frame_of)
        error.__traceback__ = None  # its frames would keep what the program answered
        return description
    finally:
        session.parts = parts_passed(names)
    _raise_what_tests_caught(session)
    return _PASSED


def _raise_what_tests_caught(session: Session) -> None:
    """Raise what ended the tests' calls although the tests caught it, as a bare ``except`` does."""
    if session.was_interrupted:
        raise SessionEnded from None
    if session.has_diverged:
        raise Diverged from None


def _outcome_of_end(session: Session, end: End, timeout: float) -> OutcomeAndDetail:
    if end.refusal:
        return Outcome.HARNESS_ERROR, f"it could not be started: {end.refusal}"
    if end.stopped:
        return end.stopped[0], end.stopped[1]
    if end.seconds > timeout:
        return Outcome.TIMEOUT, timeout_detail(timeout)
    code = os.waitstatus_to_exitcode(end.status)
    if session.malformed:
        return Outcome.KILLED, f"it sent something else than an answer: {session.malformed}"
    if code < 0:
        return Outcome.KILLED, f"signal {signal.strsignal(-code)}"
    return Outcome.KILLED, f"it ended with exit code {code} before its tests did"
