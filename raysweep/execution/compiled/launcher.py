"""Starts programs in Java and C++ behind the layers of isolation whenever a judge asks for one, and watches them.

It is the first process of the programs' namespaces. A program is a static executable in a file in memory, which no path
has to be executable for, or the classes of a Java program, which are files in the box.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from raysweep.execution.board import Board
from raysweep.execution.isolation.capacity import had_disk, had_room
from raysweep.execution.isolation.watch import OutcomeAndDetail, Watch
from raysweep.execution.python.forks import CHANNEL, Forks, NotForked
from raysweep.execution.python.lanes import TEXT_CHARACTERS
from raysweep.execution.python.outside.launcher import MESSAGE_BYTES, STOP, End, Launch, told
from raysweep.programs import Outcome

MIB = 2**20
_CLASS_NAME = re.compile(r"[^./\0]+(\.[^./\0]+)*")  # Java allows letters of all scripts, and signs of money
_REFUSAL = CHANNEL + 2  # descriptor on which a fork says why it can't be replaced by the program
_LAST_BYTES = 4096  # of stderr, where a failed assertion or an error that nothing caught stands
_PT_LOAD, _PT_INTERP, _PT_TLS = 1, 3, 7  # <elf.h>
_SHORT, _LONG = struct.Struct(">H"), struct.Struct(">I")
JVM_FLAGS = (
    "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:CompressedClassSpaceSize=32m", "-XX:ReservedCodeCacheSize=32m",
    "-XX:-UseContainerSupport", "-XX:+DisableAttachMechanism", "-XX:-CreateCoredumpOnCrash", "-XX:ErrorFile=/dev/null",
    "-Xlog:disable", "-XX:ActiveProcessorCount=4", "-Xss8m", "-XX:ThreadStackSize=1024",
    "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.timezone=UTC",
)  # fmt: skip
"""Of every JVM. It takes no more address space than a program may, and writes no files of its own.

It counts four cores on every machine: parallel streams start a thread for each, and 128 of them would be too many.
The thread that runs `main` has a stack of 8 MiB, as in C++; those that it starts have 1 MiB (1,024 KiB).
"""


YES, NO = b"yes", b"no"


class RoomQuestion(NamedTuple):
    """A judge's question whether a program could have had so much now; see `had_room`."""

    threads: int  # at the same time, the first one included
    memory: int  # bytes


class Command(NamedTuple):
    """How a language's programs are started."""

    path: str  # a JVM's, which has the socket to the judge as descriptor 0; "": the program is an executable in memory
    arguments: Callable[[int], list[str]]  # from the limit of memory in bytes


def jvm_command(java: str, box: str, class_path: str, main: str) -> Command:
    """Return how Java's programs are started.

    `java`: the JVM's file. `box`: the folder in which programs may write, also the files that Java makes for a while.
    `class_path`: folders with classes, the box among them. `main`: the class whose `main` is run.
    """

    def arguments(memory: int) -> list[str]:
        mib = memory // MIB
        heap = max(16, min(mib - 328, mib // 2))  # all of the address space but the JVM's own needs
        return ["java", *JVM_FLAGS, f"-Xmx{heap}m", f"-Djava.io.tmpdir={box}", "-cp", class_path, main]

    return Command(java, arguments)


class CompiledLauncher:
    """Starts and watches processes for a judge, to which `control` is the socket. `environment`: of a program."""

    def __init__(
        self, forks: Forks, control: socket.socket, board: Board, command: Command, environment: dict[str, str]
    ) -> None:
        self._forks, self._control, self._board = forks, control, board
        self._command, self._environment = command, environment

    def serve(self) -> NoReturn:
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 2)
            if not data:
                raise EOFError
            if data == STOP:  # the process had ended before the judge asked to stop it
                continue
            fields = json.loads(data)
            if not descriptors:
                self._control.send(YES if had_room(*RoomQuestion(*fields)) else NO)
                continue
            end = self._launch(Launch(*fields), *descriptors)
            end = end._replace(last_words=self._forks.box.end_of_stderr(_LAST_BYTES))
            stderr = self._forks.box.stderr(TEXT_CHARACTERS).encode()
            self._control.sendmsg([json.dumps(end).encode(), b"\n", stderr])

    def _become(self, launch: Launch) -> NoReturn:
        command = self._command
        self._board.close()
        os.set_inheritable(_REFUSAL, False)
        if command.path:
            os.dup2(CHANNEL, 0)
            os.closerange(CHANNEL, CHANNEL + 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            os.execve(command.path or CHANNEL + 1, command.arguments(launch.memory), self._environment)
        except OSError as error:
            if command.path or not asks_for_interpreter(CHANNEL + 1):
                os.write(_REFUSAL, str(error.strerror).encode())
            raise

    def _refusal(self, launch: Launch, program: int) -> End | None:
        """Write a Java program's classes to files; return what keeps a program from being started."""
        if not self._command.path:
            if (needed := static_bytes(program)) <= launch.memory:
                return None
            why = f"its static variables take {needed // MIB:,} MiB, and it may have {launch.memory // MIB:,}"
            return _not_begun(Outcome.MEMORY, why)
        layers = self._forks.layers
        try:
            write_classes(os.pread(program, os.fstat(program).st_size, 0), Path(layers.box))
        except ValueError as error:
            return _not_begun(Outcome.COMPILE_ERROR, f"its classes can't be written to files: {error}")
        except OSError as error:
            why = f"its classes can't be written to files: {error.strerror}"
            if layers.own_disk or error.errno == errno.ENAMETOOLONG:
                return _not_begun(Outcome.COMPILE_ERROR, why)
            had_disk(layers.box)
            return _not_begun(Outcome.HARNESS_ERROR, why)
        return None

    def _launch(self, launch: Launch, channel: int, program: int) -> End:
        box, ((timeout, wall),) = self._forks.box, launch.limits
        if refused := self._refusal(launch, program):
            os.close(channel)
            os.close(program)
            box.renew_streams()  # else what is read next is of the program before
            box.renew_folder()
            return refused
        refusals, refusal = os.pipe()

        def check_box() -> OutcomeAndDetail | None:
            return box.exceeded_limit(launch.output, timeout)

        def watch(pid: int) -> Watch:
            return Watch(pid, self._control.fileno(), check_box, False, board=self._board, stoppable=True)

        try:
            end = self._forks.run(
                lambda: self._become(launch),
                [channel, program, refusal],
                launch.memory,
                timeout,
                watch,
                lambda _: (timeout, wall),
            )
        except NotForked as error:
            os.close(refusals)
            return _not_begun(Outcome.HARNESS_ERROR, f"it could not be started: {error.strerror}")
        with open(refusals, "rb") as file:  # noqa: PTH123
            if reason := end.refusal or file.read().decode():
                return _not_begun(Outcome.HARNESS_ERROR, f"it could not be started: {reason}")
        return told(self._forks, end, end.stopped or check_box())


def _not_begun(outcome: Outcome, why: str) -> End:
    return End([outcome, why], 0, 0.0, False)


def asks_for_interpreter(file: int) -> bool:
    """Return True if an executable names another file that has to start it, which only its own text can lead to."""
    return any(kind == _PT_INTERP for kind, _ in _segments(file))


def static_bytes(file: int) -> int:
    """Return the bytes of memory that an executable takes before its first instruction, those of one thread included.

    The kernel ends a program that may not have so many by a signal, as if it had used a wild pointer.
    """
    return sum(size for kind, size in _segments(file) if kind in (_PT_LOAD, _PT_TLS))


def _segments(file: int) -> Iterator[tuple[int, int]]:
    header = os.pread(file, 64, 0)
    if len(header) < 64 or header[:4] != b"\x7fELF":
        return
    start, (size, count) = int.from_bytes(header[32:40], sys.byteorder), struct.unpack("=HH", header[54:58])
    for number in range(count):
        segment = os.pread(file, 56, start + number * size)
        yield int.from_bytes(segment[:4], sys.byteorder), int.from_bytes(segment[40:48], sys.byteorder)


def write_classes(archive: bytes, folder: Path) -> None:
    """Write the classes of an archive to files; raise ValueError for one that the launcher can't have made.

    An archive repeats: length (2 bytes), name, length (4 bytes), content.
    """
    at = 0
    while at < len(archive):
        (size,) = _SHORT.unpack_from(archive, at)
        name = archive[at + 2 : at + 2 + size].decode()
        at += 2 + size
        (size,) = _LONG.unpack_from(archive, at)
        if not _CLASS_NAME.fullmatch(name):
            raise ValueError(f"a class is called {name[:80]!r}")
        path = folder / f"{name.replace('.', '/')}.class"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive[at + 4 : at + 4 + size])
        at += 4 + size
