"""Compiles Java in a warm compiler, and runs tests in one warm JVM with a class loader for each run.

All are started from classes in a folder that is made before the sandbox. A compiler's JVM sees the JDK and that folder
only, and is replaced where a text kept it busy or took its memory. It compiles tests and programs, and runs no code of
theirs.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from raysweep.execution.compiled.builders import (
    COMPILE_MEMORY,
    COMPILE_SECONDS,
    OUT_OF_MEMORY,
    TOO_LONG,
    CompileError,
    CompilerLost,
    first_error,
    kept,
)
from raysweep.execution.compiled.java.junit import FOLDER, JARS, missing_jars
from raysweep.execution.compiled.java.sources import CALLER, CANDIDATE, SEEN, SHARED, SOURCES, TESTS_MAIN, TESTS_SHARED
from raysweep.execution.compiled.launcher import JVM_FLAGS
from raysweep.execution.compiled.outside import Inside, Split
from raysweep.execution.compiled.peers import NoFrame, Peer, PeerEnded, PeerHangs, PeerSlow
from raysweep.execution.compiled.toolchains import Toolchain
from raysweep.execution.isolation.capacity import grants, had_room
from raysweep.execution.isolation.layers import Layers
from raysweep.execution.isolation.process_tree import own_marker

_COMPILER = "raysweep.CompilerServer"
_KEPT = 1000  # classes of tests, some ten kilobytes each
_PREPARE, _RUN = b"P", b"T"
_JVM_MEMORY = 2 * 2**30  # bytes of address space of the tests' JVM
_HEAP = "-Xmx640m"
_QUICK = "-XX:TieredStopAtLevel=1"
"""For the JVMs of compiler and tests: the JVM's second compiler takes more than half of their time, and gives less
back, even after hundreds of programs. Programs keep it: loops may run long in them."""
_CLASSES, _ERRORS = b"K", b"E"
_TRIES = 2  # of a compiler or of tests that die
_MESSAGE_BYTES = 400
_NOT_UP = (1, 127)  # exit codes of a JVM that can't start or gets no thread, and of a fork that can't become one
_THREADS = 30  # of a JVM
_REFUSED = "javac refused it, for a reason that lies outside of its own text"


def prepare(folder: Path, chain: Toolchain) -> None:
    """Compile the classes that don't depend on any problem into a folder; raise OSError if that fails."""
    names = dict.fromkeys(("CompilerServer.java", *SHARED, *TESTS_SHARED))
    sources = [str(SOURCES / name) for name in names]
    compiler = str(Path(chain.program).with_name("javac"))
    command = [compiler, "-J-XX:-UsePerfData", "-J-XX:TieredStopAtLevel=1", "-nowarn", "-d", str(folder), *sources]
    environment = {"PATH": "/usr/bin:/bin"} | own_marker()
    made = subprocess.run(command, env=environment, capture_output=True, check=False)
    said = made.stderr + made.stdout  # where a JVM writes its own errors
    if made.returncode:
        raise OSError(0, f"javac can't compile raysweep's classes: {said[:_MESSAGE_BYTES].decode(errors='replace')}")
    for name in JARS.keys() - missing_jars().keys():
        shutil.copyfile(FOLDER / name, folder / name)


def class_path(prepared: str, *more: str) -> str:
    jars = [str(path) for name in JARS if (path := Path(prepared, name)).exists()]
    return ":".join([prepared, *more, *jars])


class JavaBuilder:
    """Compiles programs and tests in Java.

    `compiler`, `tests`: the layers of their JVMs. `prepared`: the folder with the classes that both are started from.
    """

    def __init__(self, compiler: Layers, tests: Layers, chain: Toolchain, prepared: str) -> None:
        self._compiler_layers, self._tests_layers = compiler, tests
        self._chain, self._prepared = chain, prepared
        self._compiler: Peer | None = None
        self._tests: Peer | None = None
        self._has: set[str] = set()  # sha256 of the tests that the tests' JVM has
        self._classes: OrderedDict[str, bytes] = OrderedDict()

    def program(self, text: str, sha: str, split: Split) -> bytes:
        return self._compile({CANDIDATE: text, **split.server}, [CANDIDATE])

    def whole(self, inside: Inside) -> bytes:
        lacking = [package for name, package in JARS.items() if not Path(self._prepared, name).exists()]
        if inside.is_junit and lacking:
            raise ValueError(f"this machine lacks the packages {', '.join(lacking)}, which tests of JUnit 4 need")
        return self._compile(inside.sources, [name for name in inside.sources if name != SEEN])

    def tests(self, sha: str, split: Split) -> Peer:
        try:
            classes = kept(self._classes, sha, lambda: self._compile(split.tests, list(split.tests)), _KEPT)
        except CompileError as error:
            raise ValueError(f"its tests can't be compiled: {error}") from None
        for _ in range(_TRIES):
            if self._tests is None:
                self._tests, self._has = self._jvm(self._tests_layers, [TESTS_MAIN], _JVM_MEMORY), set()
            tests = self._tests
            tests.begin()
            try:
                if sha not in self._has:
                    tests.send(_PREPARE + sha.encode() + classes)
                    self._has.add(sha)
                tests.send(_RUN + sha.encode())
            except PeerEnded:
                self.done(tests)
                continue
            return tests
        raise OSError(0, "the tests' JVM ends at once")

    def done(self, tests: Peer) -> None:
        if not tests.is_idle:
            tests.end()
            self._tests = None

    def _compile(self, sources: Mapping[str, str], own: Sequence[str]) -> bytes:
        """Return the classes of some sources, or raise CompileError. `own`: the files whose first error is told.

        Where a compiler ends, new ones are tried: it may have been short of memory through texts before, or was killed.
        If the machine ended the last one, or let it not work, this raises CompilerLost.
        """
        request = b"".join(map(_packed, sources, sources.values()))
        codes: list[int] = []  # with which new compilers ended
        while len(codes) < _TRIES:
            is_new = self._compiler is None
            answer, code = self._answer(request)
            if answer[:1] == _CLASSES:
                return answer[1:]
            if answer:
                lines = answer[1:].decode("utf-8", "replace").splitlines()
                found = next((error for name in own if (error := first_error(lines, name))), "")
                general = next((line for line in lines if line.startswith(":")), "").partition(": error: ")[2]
                call = first_error(lines, f"{CALLER}.java").partition(": ")[2]
                raise CompileError(found or (f"where it is called: {call}" if call else general or _REFUSED))
            if is_new:
                codes.append(code)
                had_room(_THREADS, COMPILE_MEMORY)
        if codes[-1] in (-signal.SIGKILL, *_NOT_UP) or (codes[-1] == OUT_OF_MEMORY and not grants(COMPILE_MEMORY)):
            raise CompilerLost("javac", _TRIES)
        raise CompileError("its compiler ended, for want of memory")

    def _answer(self, request: bytes) -> tuple[bytes, int]:
        """Return the compiler's answer; if it has none, b"" and its exit code, and it is gone.

        One compiler works for tests and candidates: it runs no code of a text, and one that a text has broken ends.
        """
        if self._compiler is None:
            arguments = [_COMPILER, class_path(self._prepared)]
            try:
                self._compiler = self._jvm(self._compiler_layers, arguments, COMPILE_MEMORY)
            except OSError:  # there is no room for another process
                return b"", -signal.SIGKILL
        compiler = self._compiler
        compiler.begin()
        try:
            compiler.send(request)
            return compiler.receive(COMPILE_SECONDS), 0
        except (PeerEnded, PeerHangs, PeerSlow, NoFrame) as error:
            self._compiler = None
            compiler.end()
            if isinstance(error, PeerSlow):
                raise CompileError(TOO_LONG) from None
            return b"", -signal.SIGKILL if compiler.exit_code is None else compiler.exit_code

    def _jvm(self, layers: Layers, arguments: Sequence[str], memory: int) -> Peer:
        command = ["java", *JVM_FLAGS, _QUICK, _HEAP, "-cp", class_path(self._prepared), *arguments]
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"} | own_marker()

        def start() -> NoReturn:
            os.execve(self._chain.program, command, environment)

        return Peer(layers, start, memory)


def _packed(name: str, text: str) -> bytes:
    content = text.encode("utf-8", "replace")
    file = name.encode()
    return struct.pack(">H", len(file)) + file + struct.pack(">I", len(content)) + content
