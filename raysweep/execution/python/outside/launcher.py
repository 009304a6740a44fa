"""The launcher: a warm interpreter that forks a process for programs whenever a judge asks for one.

It knows neither tests nor programs: a program's text comes to its fork from the judge, through a socket of its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, NoReturn

from raysweep.execution.board import Board
from raysweep.execution.isolation.watch import OutcomeAndDetail, ProcessEnd, Watch
from raysweep.execution.python.forks import CHANNEL, Forks
from raysweep.execution.python.lanes import TEXT_CHARACTERS
from raysweep.execution.python.outside.ahead import Ahead

STOP = b"stop"
"""A judge's request to kill the process that it launched."""
MESSAGE_BYTES = 2**16


class Launch(NamedTuple):
    """What a judge asks for."""

    limits: list[tuple[float, float]]  # for each program in turn: seconds of effective time, and of wall time
    memory: int  # bytes
    output: int  # bytes
    numpy: bool = False  # a program uses it
    together: bool = False  # several programs will share the process
    core: int = 0  # that the judge runs on
    first_program: int = 0  # the board's count of programs when the first of these has begun


class End(NamedTuple):
    """How a process ended."""

    stopped: list[str] | None  # outcome and detail, if it exceeded a limit
    status: int  # as `os.wait4` returns it
    seconds: float  # effective time of the last program
    short_of_memory: bool  # the kernel has killed a process since the last end
    stderr: str = ""
    last_words: str = ""  # the end of stderr, of a program in Java or C++
    refusal: str = ""  # why no program ran


class Launcher:
    """Starts and watches processes for a judge, to which `control` is the socket.

    `serve`: called in a fork (candidate.serve). It is passed as a value, since it has built-in functions of its own.
    """

    def __init__(
        self,
        forks: Forks,
        control: socket.socket,
        board: Board,
        ahead: Ahead,
        serve: Callable[[int, Ahead, bool, int], None],
    ) -> None:
        self._forks, self._control, self._board, self._ahead = forks, control, board, ahead
        self._serve_candidate = serve
        self._prepared_numpy: bool | None = None
        self._stderr = bytearray(4 * TEXT_CHARACTERS)

    def serve(self) -> NoReturn:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
            if not data:
                raise EOFError
            if data == STOP:  # the process had ended before the judge asked to stop it
                continue
            end = self._launch(Launch(*json.loads(data)), descriptors[0])
            # No copy of stderr stays here: the next program finds in its memory what is in this process's.
            size = self._forks.box.read_stderr(self._stderr)
            self._control.sendmsg([json.dumps(end).encode(), b"\n", memoryview(self._stderr)[:size]])
            self._stderr[:] = bytes(len(self._stderr))

    def _launch(self, launch: Launch, channel: int) -> End:
        box, board = self._forks.box, self._board
        longest = sum(timeout for timeout, _ in launch.limits)
        last = len(launch.limits) - 1
        if launch.numpy is not self._prepared_numpy:
            self._forks.prepare(launch.numpy)
            self._prepared_numpy = launch.numpy
        # Judge and program take turns: on one core a turn takes ten microseconds to pass, between two a hundred.
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {launch.core} & cores or cores)

        def run() -> None:
            board.close()
            self._serve_candidate(CHANNEL, self._ahead, launch.together, launch.output)

        def check_box() -> OutcomeAndDetail | None:
            return box.exceeded_limit(launch.output, launch.limits[0][0])

        def watch(pid: int) -> Watch:
            os.sched_setaffinity(0, cores)
            return Watch(
                pid,
                self._control.fileno(),
                check_box,
                launch.together,
                board=board,
                first_program=launch.first_program,
                stoppable=True,
                cores=cores,
            )

        end = self._forks.run(
            run,
            [channel],
            launch.memory,
            longest,
            watch,
            lambda done: launch.limits[min(done, last)],
        )
        return told(self._forks, end, end.stopped or (None if launch.together else check_box()))


def told(forks: Forks, end: ProcessEnd, stopped: OutcomeAndDetail | None) -> End:
    killed = end.status == signal.SIGKILL and not stopped
    short = killed and forks.was_short_of_memory()
    return End(list(stopped) if stopped else None, end.status, end.seconds, short, refusal=end.refusal)


def launch(control: socket.socket, request: Launch, *files: int) -> socket.socket:
    """Ask a launcher for a process; return the socket to it. `ended` has to be called once before the next launch.

    Raises EOFError if the launcher has ended: a program can kill it where no layer of isolation is between the two.
    `files`: further descriptors that it gets.
    """
    ours, theirs = socket.socketpair()
    try:
        with eof_without_launcher():
            socket.send_fds(control, [json.dumps(request).encode()], [theirs.fileno(), *files])
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def stop(control: socket.socket) -> None:
    """Ask a launcher to kill the process that was launched; `ended` tells when it, or the launcher, has ended."""
    with suppress(ConnectionError):
        control.send(STOP)


def ended(control: socket.socket) -> End:
    """Wait until the process that was launched has ended; raise EOFError if the launcher has ended."""
    with eof_without_launcher():
        data = control.recv(MESSAGE_BYTES)
    if not data:
        raise EOFError
    fields, _, stderr = data.partition(b"\n")
    return End(*json.loads(fields))._replace(stderr=stderr.decode("utf-8", "replace")[:TEXT_CHARACTERS])


@contextmanager
def eof_without_launcher() -> Iterator[None]:
    """Raise EOFError when the launcher has closed its end, in whichever of three ways the kernel says so."""
    try:
        yield
    except ConnectionError as error:
        raise EOFError from error
