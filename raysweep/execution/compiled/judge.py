"""The judge: answers a slot's requests about programs in Java or C++.

It has each program compiled, started by the launcher, and asked by its tests; it knows the tests, and reads nothing of
what a program answers but the length.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from raysweep.execution.board import Board
from raysweep.execution.compiled.builders import (
    OUT_OF_MEMORY,
    STACK_OVERFLOW,
    Builder,
    CompileError,
    CompilerLost,
    in_memory,
)
from raysweep.execution.compiled.launcher import YES, RoomQuestion
from raysweep.execution.compiled.outside import Inside, Split
from raysweep.execution.compiled.relay import READY, TESTS_ENDED, NoAnswer, ProgramEnded, ask, hear
from raysweep.execution.isolation.threads import MAX_THREADS
from raysweep.execution.isolation.watch import OutcomeAndDetail, timeout_detail
from raysweep.execution.messages import ProgramItem, read_frame, write_frame
from raysweep.execution.python.lanes import ANSWERS, REQUESTS, TEXT_CHARACTERS, Judged
from raysweep.execution.python.outside.launcher import End, Launch, ended, eof_without_launcher, launch, stop
from raysweep.programs import JAVA, Lane, Outcome

_ASSERTION = re.compile(r": (Assertion `.*' failed)\.?\s*$", re.MULTILINE)
_TRIES = 2  # of a program that the machine lets not run
_NO_THREAD = "std::system_error: Resource temporarily unavailable"
_NO_THREADS = _NO_THREAD, "java.lang.OutOfMemoryError: unable to create native thread"
"""How the details of programs begin that got no further thread; `Verdict.java` has the second one."""
_THROWN = re.compile(r"terminate called after throwing an instance of '(.+)'(?:\s+what\(\): *(.*))?")
_ENDS_OF_TESTS: dict[int | None, OutcomeAndDetail] = {
    OUT_OF_MEMORY: (Outcome.MEMORY, "its tests have no memory left for its answers"),
    STACK_OVERFLOW: (Outcome.EXCEPTION, "java.lang.StackOverflowError"),
}
"""Where a program's answers brought its tests to an end: their exit code, and the verdict on the program."""
Converse = Callable[[socket.socket], OutcomeAndDetail]
"""Returns the verdict on a program from what is said on the socket to its process."""
_NOTHING = Judged(Outcome.HARNESS_ERROR, "", "", 0.0)


class Ran(NamedTuple):
    """What was found when a program ran."""

    verdict: OutcomeAndDetail | None  # its tests' or its own; None: its end tells
    end: End
    has_started: bool


class CompiledJudge:
    """Judges programs one at a time.

    `control`: the socket to the launcher. `seconds`: of CPU time that tests may work on one program's answers, or the
    program's limit if longer. `outside`: tests run outside the program's process.
    """

    def __init__(
        self, language: str, builder: Builder, control: socket.socket, board: Board, seconds: float, *, outside: bool
    ) -> None:
        self._language, self._builder, self._outside = language, builder, outside
        self._control, self._board, self._seconds = control, board, seconds
        self._tests: dict[str, Split | Inside] = {}  # by sha256

    def serve(self) -> NoReturn:
        while True:
            request = read_frame(REQUESTS)
            kind = Split if self._outside else Inside
            self._tests |= {sha: kind(*fields) for sha, fields in request["tests"].items()}
            for item in [ProgramItem(*fields) for fields in request["items"]]:
                try:
                    judged = self._judge(item)
                except CompileError as error:
                    judged = _NOTHING._replace(outcome=Outcome.COMPILE_ERROR, detail=str(error)[:TEXT_CHARACTERS])
                except CompilerLost as error:
                    judged = _NOTHING._replace(detail=str(error))
                except (OSError, RuntimeError, ValueError) as error:  # of this process, not of the program
                    judged = _NOTHING._replace(detail=f"{type(error).__name__}: {error}"[:TEXT_CHARACTERS])
                verdict = judged.verdict(item.number, Lane.STRICT)
                write_frame(ANSWERS, {"verdicts": [verdict], "need_own_process": []})

    def _judge(self, item: ProgramItem) -> Judged:
        parts = self._tests[item.tests]
        if isinstance(parts, Split):
            program = self._builder.program(item.text, item.tests, parts)
            return self._run(item, program, lambda channel: self._ask(channel, item, parts))
        if parts.reason:
            raise ValueError(parts.reason)
        return self._run(item, self._builder.whole(parts.of(item.text)), hear)

    def _run(self, item: ProgramItem, program: bytes, converse: Converse) -> Judged:
        for _ in range(_TRIES):
            try:
                ran = self._run_once(item, program, converse)
            except OSError as error:  # no room for a process of its tests, a file in memory, or a socket
                self._machine_had_room(MAX_THREADS, item.memory)
                judged, fault = _NOTHING, f"it could not be run: {error.strerror or error}"
                continue
            outcome, detail = _outcome(ran, item.timeout, self._language)
            judged = Judged(outcome, detail, ran.end.stderr, round(ran.end.seconds, 4))
            fault = self._machines_fault(ran, outcome, detail, item.memory)
            if not fault:
                return judged
        return judged._replace(outcome=Outcome.HARNESS_ERROR, detail=fault)

    def _machines_fault(self, ran: Ran, outcome: str, detail: str, memory: int) -> str:
        """Return "" if the program is the reason. Without room on the machine, wait for it: another try follows."""
        if ran.verdict is None and ran.end.short_of_memory:
            return "it was killed while the machine was short of memory"
        if ran.verdict == TESTS_ENDED or (ran.verdict is None and outcome == Outcome.HARNESS_ERROR):
            self._machine_had_room(MAX_THREADS, memory)
            return detail
        if ran.end.stopped:
            return ""
        if detail.startswith(_NO_THREADS) and not self._machine_had_room(MAX_THREADS, memory):
            return f"it got no further thread, and the machine had no room for {MAX_THREADS}, which it may have"
        if outcome in (Outcome.MEMORY, Outcome.KILLED) and not self._machine_had_room(1, memory):
            return f"it has ended, and the machine did not grant the {memory // 2**20:,} MiB that it may have"
        return ""

    def _machine_had_room(self, threads: int, memory: int) -> bool:
        with eof_without_launcher():
            self._control.send(json.dumps(RoomQuestion(threads, memory)).encode())
            answer = self._control.recv(len(YES))
        if not answer:
            raise EOFError
        return answer == YES

    def _run_once(self, item: ProgramItem, program: bytes, converse: Converse) -> Ran:
        """Raise EOFError if the launcher, and so the slot, has ended; OSError if the machine lacks what it takes."""
        file = in_memory("program", program)
        try:
            self._board.begin_program(item.number, max(self._seconds, item.timeout))
            ours = launch(self._control, Launch([(item.timeout, item.wall)], item.memory, item.output), file)
        finally:
            os.close(file)
        verdict: OutcomeAndDetail | None = None
        has_started = False
        try:
            with ours:
                # before a JVM is ready no text of a program has run in it
                has_started = self._language != JAVA or _read_byte(ours) == READY
                if has_started:
                    verdict = converse(ours)
        except ProgramEnded:
            pass
        except NoAnswer as error:
            verdict = Outcome.KILLED, f"it sent something else than an answer: {error}"
        finally:
            self._board.begin_programs_turn()
            if verdict is not None:
                stop(self._control)
            end = ended(self._control)
        return Ran(verdict, end, has_started)

    def _ask(self, channel: socket.socket, item: ProgramItem, parts: Split) -> OutcomeAndDetail:
        """Have the tests ask a program. Compiling and starting them is no part of its time."""
        self._board.begin_judges_turn()
        tests = self._builder.tests(item.tests, parts)
        try:
            verdict = ask(channel, tests, self._board, max(self._seconds, item.timeout))
        finally:
            self._builder.done(tests)
        return _ENDS_OF_TESTS.get(tests.exit_code, verdict) if verdict == TESTS_ENDED else verdict


def _outcome(ran: Ran, timeout: float, language: str) -> OutcomeAndDetail:
    verdict, end, has_started = ran
    if end.stopped and end.stopped[0] != Outcome.TIMEOUT and verdict != TESTS_ENDED:
        return end.stopped[0], end.stopped[1]
    is_late = end.seconds > timeout
    if verdict is None or (verdict[0] == Outcome.PASSED and (end.stopped or is_late)):
        return _outcome_of_end(end, timeout, has_started, language)
    outcome, detail = verdict
    return (Outcome.MEMORY if detail.startswith(_NO_THREAD) and outcome == Outcome.EXCEPTION else outcome), detail


def _read_byte(channel: socket.socket) -> bytes:
    try:
        return channel.recv(1)
    except OSError:
        return b""


def _outcome_of_end(end: End, timeout: float, has_started: bool, language: str) -> OutcomeAndDetail:
    if end.stopped:
        return end.stopped[0], end.stopped[1]
    if end.seconds > timeout:
        return Outcome.TIMEOUT, timeout_detail(timeout)
    code = os.waitstatus_to_exitcode(end.status)
    if not has_started:
        return Outcome.HARNESS_ERROR, "it could not be started"
    if code == -signal.SIGABRT and (found := _last(_ASSERTION, end)):
        return Outcome.FAILED, found[1]
    if code == -signal.SIGABRT and (found := _last(_THROWN, end)):
        outcome = Outcome.MEMORY if found[1] == "std::bad_alloc" else Outcome.EXCEPTION
        return outcome, f"{found[1]}: {found[2]}" if found[2] else found[1]
    if code == OUT_OF_MEMORY and language == JAVA:
        return Outcome.MEMORY, "java.lang.OutOfMemoryError"
    if code < 0:
        return Outcome.KILLED, f"signal {signal.strsignal(-code)}"
    return Outcome.KILLED, f"it ended with exit code {code} before its tests did"


def _last(pattern: re.Pattern[str], end: End) -> re.Match[str] | None:
    """Return the last match at the end of a program's stderr; of a very long one, which begins before, the first."""
    found = list(pattern.finditer(end.last_words))
    return found[-1] if found else pattern.search(end.stderr)
