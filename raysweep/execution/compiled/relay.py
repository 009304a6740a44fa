"""Moves frames between a problem's tests and a program, and tells whose turn it is.

Tests outside the program's process ask it; this process knows neither calls nor answers, only their lengths. Tests
inside it end with a secret that the process is given once, after they have told that the last of them has returned.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress

from raysweep.execution.board import Board
from raysweep.execution.compiled.outside import MOST_BYTES
from raysweep.execution.compiled.peers import (
    NoFrame,
    Peer,
    PeerEnded,
    PeerHangs,
    PeerSlow,
    has_data,
    read_frame,
    send_frame,
)
from raysweep.execution.isolation.watch import OutcomeAndDetail
from raysweep.programs import Outcome

CALL, ANSWER, ENDED, VERDICT = b"C", b"A", b"E", b"V"
DONE, SECRET = b"D", b"S"
READY = b"!"
"""What a JVM writes before the candidate's first instruction."""
SECRET_BYTES = 16
DETAIL_CHARACTERS = 300
OF_TESTS = frozenset(
    {Outcome.PASSED, Outcome.FAILED, Outcome.EXCEPTION, Outcome.MEMORY, Outcome.KILLED, Outcome.HARNESS_ERROR}
)
"""The outcomes that tests may tell."""
OF_PROGRAMS = OF_TESTS - {Outcome.PASSED, Outcome.HARNESS_ERROR}
"""The outcomes that a program may tell of itself."""


TESTS_ENDED = Outcome.HARNESS_ERROR, "the tests' process has ended without a verdict"
"""The verdict where tests were killed or hang, which no answer can do; asking again may help. Exit codes tell the
others."""


class ProgramEnded(Exception):
    """The program's process has ended before its tests did; how it ended is the verdict."""


class NoAnswer(Exception):
    """The program sent something else than an answer. The text of the error says what."""


def ask(channel: socket.socket, tests: Peer, board: Board, seconds: float) -> OutcomeAndDetail:
    """Let tests ask a program until they have a verdict.

    Raises ProgramEnded, or NoAnswer if the program has sent something before it was asked, or no frame. `tests`: has
    begun to run them; it is idle if it can be used again afterwards. `seconds`: of CPU time that the tests may work.
    """
    try:
        while True:
            board.begin_judges_turn()
            frame = tests.receive(seconds)
            kind, content = frame[:1], frame[1:]
            if kind == VERDICT:
                tests.is_idle = True
                return _verdict(content)
            if kind != CALL:
                return Outcome.HARNESS_ERROR, f"the tests' process sent a frame {kind!r}"
            try:
                answer = _answer(channel, content, board)
            except (ProgramEnded, NoAnswer):
                _end(tests, seconds)
                raise
            tests.send(ANSWER + answer)
    except PeerSlow:
        return Outcome.TIMEOUT, f"its tests needed more than {seconds:g} s for its answers"
    except (PeerEnded, PeerHangs, NoFrame):
        return TESTS_ENDED


def _end(tests: Peer, seconds: float) -> None:
    with suppress(PeerEnded, PeerHangs, PeerSlow, NoFrame):
        tests.send(ENDED)
        while tests.receive(seconds)[:1] != VERDICT:
            pass
        tests.is_idle = True


def hear(channel: socket.socket) -> OutcomeAndDetail:
    """Return the verdict of a process that runs a program and its tests; raise ProgramEnded or NoAnswer.

    A pass needs two answers: that the tests have ended, by a number that the process got before the program began, and
    then a secret that it gets now.
    """
    number, secret = os.urandom(SECRET_BYTES), os.urandom(SECRET_BYTES)
    try:
        send_frame(channel, number)
        frame = read_frame(channel)
        if frame[:1] == VERDICT and (verdict := _verdict(frame[1:]))[0] in OF_PROGRAMS:
            return verdict
        if frame != DONE + number:
            raise NoAnswer("its tests have not ended")
        send_frame(channel, secret)
        if read_frame(channel) != SECRET + secret:
            raise NoAnswer("not the secret that it was given")
    except PeerEnded as error:
        raise ProgramEnded from error
    except NoFrame as error:
        raise NoAnswer(str(error)) from error
    return Outcome.PASSED, ""


def _answer(channel: socket.socket, call: bytes, board: Board) -> bytes:
    early = has_data(channel)
    board.begin_programs_turn()
    try:
        if early:
            read_frame(channel)
            raise NoAnswer("an answer before it was asked")
        send_frame(channel, call)
        return read_frame(channel, MOST_BYTES)
    except PeerEnded as error:
        raise ProgramEnded from error
    except NoFrame as error:
        raise NoAnswer(str(error)) from error


def _verdict(content: bytes) -> OutcomeAndDetail:
    """Read what tests say; what is no verdict is an error of the tests' side."""
    try:
        told = json.loads(content)
        outcome, detail = Outcome(told["outcome"]), " ".join(str(told["detail"]).split())
    except (ValueError, KeyError, TypeError, RecursionError):  # inside, a program can write it, however deep
        return Outcome.HARNESS_ERROR, "the tests' process sent no verdict"
    if outcome not in OF_TESTS:
        return Outcome.HARNESS_ERROR, f"the tests' process said {outcome}"
    return outcome, detail[:DETAIL_CHARACTERS]
