"""Plain processes of tests and candidates, for trusted code: a judge without a sandbox, which only moves frames."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import MissingInput
from raysweep.execution.compiled.java.junit import check_junit
from raysweep.execution.compiled.relay import READY
from raysweep.execution.compiled.toolchains import missing_headers, toolchain
from raysweep.programs import DEFAULT_SANDBOX, JAVA

Answer = Callable[[bytes], bytes | None]
"""Answers a call; None: the candidate's process has ended."""
CPU = 5  # seconds, after which a candidate is killed
WAIT = 60  # seconds, after which a process that should have ended counts as hanging


class CompileError(Exception):
    """A text that doesn't compile."""


def needs(*languages: str) -> None:
    """Skip the test where programs in java or cpp can't be judged, with what raysweep says of it."""
    for language in languages:
        try:
            toolchain(language, DEFAULT_SANDBOX.cpp_flags)
        except MissingInput as missing:
            pytest.skip(str(missing))


def needs_junit() -> None:
    """Skip the test where JUnit's tests can't be run."""
    needs(JAVA)
    try:
        check_junit()
    except MissingInput as missing:
        pytest.skip(str(missing))


def needs_headers() -> None:
    """Skip the test where headers are absent that some problems in C++ include."""
    if missing := missing_headers():
        pytest.skip(f"needs {' and '.join(missing.values())}, which this machine lacks")


def write(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write files into a folder, which is made; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return [str(folder / name) for name in files]


def frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def read_frame(read: Callable[[int], bytes]) -> bytes:
    (size,) = struct.unpack(">I", _read(read, 4))
    return _read(read, size)


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = read(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def judged(tests: subprocess.Popen[bytes], answer: Answer) -> dict[str, str]:
    """Return the verdict of one run of tests, whose calls `answer` answers."""
    assert tests.stdin is not None and tests.stdout is not None
    output = tests.stdout.fileno()
    while True:
        message = read_frame(lambda size: os.read(output, size))
        if message[:1] == b"V":
            verdict: dict[str, str] = json.loads(message[1:])
            return verdict
        assert message[:1] == b"C"
        given = answer(message[1:])
        tests.stdin.write(frame(b"E") if given is None else frame(b"A" + given))
        tests.stdin.flush()


class Candidate:
    """A candidate's process with its socket."""

    def __init__(self, command: Sequence[str], descriptor: int) -> None:
        self.socket, other = socket.socketpair()

        def connect() -> None:
            high = fcntl.fcntl(other.fileno(), fcntl.F_DUPFD, 100)
            os.dup2(high, descriptor)
            resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.closerange(max(descriptor + 1, 3), 101)

        self.process = subprocess.Popen(
            command, preexec_fn=connect, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        other.close()
        if descriptor == 0:
            self.socket.recv(len(READY))

    def answer(self, call: bytes) -> bytes | None:
        try:
            self.socket.sendall(frame(call))
            return read_frame(self.socket.recv)
        except (EOFError, OSError):
            return None

    def end(self) -> int:
        """End the process, and return its exit code."""
        self.socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=WAIT)
        self.process.kill()
        return self.process.wait()


def judged_inside(command: Sequence[str], descriptor: int) -> str:
    """Return the outcome of a program with its tests: `ended` if it said nothing before it ended."""
    candidate = Candidate(command, descriptor)
    token, secret = os.urandom(16), os.urandom(16)
    outcome = "ended"
    with contextlib.suppress(EOFError, OSError):
        candidate.socket.sendall(frame(token))
        given = False
        while outcome == "ended":
            said = read_frame(candidate.socket.recv)
            if said == b"D" + token and not given:
                given = True
                candidate.socket.sendall(frame(secret))
            elif said == b"S" + secret and given:
                outcome = "passed"
            elif said[:1] == b"V":
                outcome = json.loads(said[1:])["outcome"]
            else:
                break
    candidate.end()
    return outcome


@contextlib.contextmanager
def process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process with pipes, which is ended with the context."""
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()
