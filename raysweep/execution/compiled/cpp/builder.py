"""Compiles C++ with g++, in a sandbox that sees headers and libraries only, to static programs in memory.

Every text is compiled by a process of its own, behind a precompiled header (headers.py). A program that is refused
there is compiled once more behind the plain headers, which have more. Programs are linked with the object of the server
that calls them, which problems with equal types share, and tests are programs that are kept by problem.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

from raysweep.execution.compiled.builders import (
    COMPILE_MEMORY,
    COMPILE_SECONDS,
    IN_ITS_TEXT,
    TESTS_MEMORY,
    TOO_LONG,
    CompileError,
    CompilerLost,
    first_error,
    in_memory,
    kept,
)
from raysweep.execution.compiled.cpp.headers import (
    COMMON,
    LIBRARY,
    PLAIN,
    WIRE,
    begins_with_library,
    behind,
    has_library,
    options,
)
from raysweep.execution.compiled.cpp.sources import STRINGS, libraries
from raysweep.execution.compiled.outside import Inside, Split
from raysweep.execution.compiled.peers import WALL_FACTOR, Peer
from raysweep.execution.compiled.toolchains import Toolchain
from raysweep.execution.isolation.capacity import grants, had_disk, had_room
from raysweep.execution.isolation.layers import BOX_MIB, FILE_MIB, Layers
from raysweep.execution.isolation.process_tree import cpu_seconds, descendants, own_marker
from raysweep.execution.isolation.watch import OutcomeAndDetail, ProcessEnd, Watch
from raysweep.execution.python.forks import Forks, NotForked
from raysweep.programs import Outcome

OWN, _TESTS = "program.cpp", "tests.cpp"
_KEPT = 128  # tests, a megabyte or two each
_KEPT_OBJECTS = 1024  # a few kilobytes each
_OUTPUT = "a.out"
_NOT_READABLE = 0o111
"""Of an executable whose process no other one of the same user may look into: the kernel allows no tracing of it."""
_MESSAGE_CHARACTERS = 2**16  # in which the first error is looked for
_MOST_MESSAGES = 16 * 2**20  # bytes that g++ may write
_LOST = re.compile(
    r"[^\s:]+: fatal error: (Killed signal terminated program \S+"
    r"|\S+ terminated with signal 9 \[Killed\](, core dumped)?"
    r"|(cannot execute .*: )?(vfork|fork|posix_spawn\w*): (Resource temporarily unavailable|Cannot allocate memory))"
)
"""What g++ and collect2 say of a part of theirs that was killed, or that they could not start."""
_ERROR = re.compile(r"[Ee]rror: |unimplemented: ")
_WANTS_MEMORY = re.compile(r"[Oo]ut of memory|memory exhausted|Cannot allocate memory|std::bad_alloc")
_PROCESSES = 4  # that g++ has at the same time
_TRIES = 2  # of a g++ that the machine kills
_LINKED = ("-s",)
_QUICKLY = ["-fuse-ld=gold", "-fno-use-linker-plugin", "-Wl,--build-id=none"]
"""Halves the time of linking, where gold is installed. The usual linker has the last word on what is refused."""
_SMALLEST = b'#include <stdlib.h>\n#include "raysweep_wire.hpp"\nint main() { return 0; }\n'
_REASON_CHARACTERS = 300
_CLASH = re.compile(
    r"ambigu|conflict|redeclared|redefinition|different exception specifier|expected (unqualified-id|identifier)"
)
"""What g++ says where a name of the text is also a function, type or macro of a header."""
_NO_DISK = re.compile(r"No space left on device|Disk quota exceeded")
_FULL = {
    "File too large": f"a file that g++ writes for it has more than {FILE_MIB} MiB",
    "No space left on device": f"what g++ writes for it has more than {BOX_MIB} MiB",
}
"""What its processes say where they exceed a limit of the box, and what that means."""
_WRITING = re.compile(r"[^\s:]+:\d+:\d+: fatal error: error writing to \S+: .*")
"""What g++ says of a file that it can't write, as if it were an error in the text's last line."""
_REFUSED = "g++ refused it, for a reason that lies outside of its own text"
_HIDDEN = "g++ refused it, and why isn't shown: without Landlock the reason may have words of other files"
_LINKING = re.compile(r"(undefined reference to|multiple definition of) [`']([\w:~<>, *&\[\]()]{1,200})'")


class _Compiled(NamedTuple):
    output: bytes
    end: ProcessEnd
    messages: str


class _Refused(CompileError):
    """g++ refused a text, which may be a right one behind other headers."""


class CppBuilder:
    """Compiles programs and tests in C++.

    `forks`: forks a process for g++ behind its layers, in the folder of a box. `tests`: their layers. `prepared`: the
    folder with raysweep's own headers and the precompiled one. `requests`: a descriptor; when the slot closes it,
    compiling raises EOFError, as it does when that folder was removed: a new process makes it again.
    """

    def __init__(self, forks: Forks, tests: Layers, chain: Toolchain, prepared: str, requests: int) -> None:
        self._forks, self._layers, self._chain, self._requests = forks, tests, chain, requests
        self._options, self._prepared = options(chain, prepared), prepared
        self._plain, self._quick = ["-include", f"{prepared}/{PLAIN}"], _QUICKLY
        self._has_library, self._folder = has_library(prepared), self._state_of_folder()
        self._objects: OrderedDict[str, bytes] = OrderedDict()  # by text
        self._tests: OrderedDict[str, bytes] = OrderedDict()

    def refusal_of_all(self) -> str:
        """Compile a small text; return why g++ makes no program behind its layers, or "" if it makes one.

        Outside them it makes one: what is missing is the right to read or start something. Where the machine lets g++
        not work, nothing is known, and this returns "".
        """
        smallest = [*behind(self._prepared, COMMON), OWN, *_LINKED]
        try:
            if not (made := self._compiled({OWN: _SMALLEST}, [*smallest, *self._quick])).output:
                self._quick = []  # there is no such linker
                made = self._compiled({OWN: _SMALLEST}, smallest)
        except (CompilerLost, CompileError):
            return ""
        if made.end.stopped or (made.output and not made.end.status):
            return ""
        lines = made.messages.strip().splitlines() or ["it could not be started, as a script can't"]
        return next((line for line in lines if _ERROR.search(line)), lines[0])[:_REASON_CHARACTERS]

    def program(self, text: str, sha: str, split: Split) -> bytes:
        candidate = f"{text}\n\n{split.candidate_end}"  # the text's last line may end in a backslash
        objects = self._linked(split.server)
        return self._behind_headers(candidate, objects, [OWN, *objects, *_LINKED, *libraries(text)])

    def whole(self, inside: Inside) -> bytes:
        own = inside.sources[OWN]
        runner = self._linked({name: text for name, text in inside.sources.items() if name != OWN})
        arguments = [*runner, OWN, *_LINKED, *inside.flags, *libraries(own)]  # linked first, so that it begins first
        return self._behind_headers(own, runner, arguments)

    def tests(self, sha: str, split: Split) -> Peer:
        file = in_memory("tests", kept(self._tests, sha, lambda: self._compiled_tests(split), _KEPT))
        os.fchmod(file, _NOT_READABLE)
        try:
            return Peer(self._layers, lambda: os.execve(3, ["tests"], own_marker()), TESTS_MEMORY, file)
        finally:
            os.close(file)

    def done(self, tests: Peer) -> None:
        tests.end()

    def _compiled_tests(self, split: Split) -> bytes:
        """Compile tests with their stand-in.

        They stand behind the headers that programs have, as for HumanEval-X's own harness; where a name of theirs is
        also one of these, behind the problem's own alone.
        """
        text = split.tests[_TESTS]
        objects = self._linked({name: text for name, text in split.tests.items() if name != _TESTS})
        files = {_TESTS: text.encode(), **objects}
        arguments = [_TESTS, *objects, *_LINKED, *split.flags, *libraries("\n".join(split.tests.values()))]
        refusals = []
        for given in ([*behind(self._prepared, self._name(text), checked=True), *self._quick], [], self._plain):
            try:
                return self._compile(files, [*given, *arguments])
            except CompileError as error:
                refusals.append(error)
        raise ValueError(f"its tests can't be compiled: {refusals[1]}") from None

    def _name(self, text: str) -> str:
        """Return the name of the precompiled header for a text."""
        return LIBRARY if self._has_library and begins_with_library(text) else COMMON

    def _linked(self, sources: Mapping[str, str]) -> dict[str, bytes]:
        """Return the objects of raysweep's own sources, by file name; equal ones are compiled once."""

        def made(name: str) -> bytes:
            text = sources[name].encode()
            if name == STRINGS:
                try:
                    return self._compile({name: text}, [name, "-c"])
                except CompileError:
                    text = b""  # another library, whose precompiled headers leave nothing to others
            try:
                return self._compile({name: text}, [*behind(self._prepared, WIRE), name, "-c"])
            except CompileError as error:
                raise ValueError(f"{name} can't be compiled: {error}") from None

        return {
            f"{Path(name).stem}.o": kept(self._objects, text, partial(made, name), _KEPT_OBJECTS)
            for name, text in sources.items()
        }

    def _behind_headers(self, text: str, objects: Mapping[str, bytes], arguments: Sequence[str]) -> bytes:
        """Compile a candidate's text; raise CompileError, with g++'s words only if these are about that text alone.

        What g++ says at a place in the text may have words of a file that it includes. With Landlock, g++ can read
        nothing but headers.
        """
        name, files = self._name(text), {OWN: text.encode("utf-8", "replace"), **objects}
        try:
            for given in ([*behind(self._prepared, name), *self._quick], self._plain):
                try:
                    return self._compile(files, [*given, *arguments])
                except _Refused as error:
                    refusal = error
                if _CLASH.search(str(refusal)):
                    return self._compile(files, arguments)
                if name == LIBRARY and str(refusal).startswith(IN_ITS_TEXT):  # these headers have all that others have
                    break
            raise refusal
        except _Refused:
            if self._forks.layers.rules is None:
                raise _Refused(_HIDDEN) from None
            raise

    def _compile(self, files: Mapping[str, bytes], arguments: Sequence[str]) -> bytes:
        made = self._compiled(files, arguments)
        if made.end.stopped:
            raise CompileError(made.end.stopped[1])
        if made.end.status or not made.output:
            if self._state_of_folder() != self._folder:
                raise EOFError
            raise _refusal(made.messages)
        return made.output

    def _state_of_folder(self) -> tuple[int, int] | None:
        """Return what tells the folder with the headers from another one in its place; None where they are gone."""
        try:
            Path(self._prepared, PLAIN).stat()
            found = Path(self._prepared).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _compiled(self, files: Mapping[str, bytes], arguments: Sequence[str]) -> _Compiled:
        """Run g++ on files in the box, once more if something else than its own limits ends it; then CompilerLost."""
        for is_last in (False, True):
            before = _seconds_of_children()
            made = self._compile_once(files, arguments)
            if made is not None and not self._is_lost(made, is_last=is_last):
                return made
            if _seconds_of_children() - before >= COMPILE_SECONDS:
                raise CompileError(TOO_LONG)
            had_room(_PROCESSES, COMPILE_MEMORY)
        raise CompilerLost("g++", _TRIES)

    def _compile_once(self, files: Mapping[str, bytes], arguments: Sequence[str]) -> _Compiled | None:
        """Return None, and leave nothing, without room on the machine; raise CompileError for too long a text."""
        box, output, said = self._forks.box, bytearray(), bytearray()
        wall = COMPILE_SECONDS * WALL_FACTOR
        try:
            for name, data in files.items():
                Path(box.folder, name).write_bytes(data)
        except OSError as error:
            box.renew_folder()
            if error.errno == errno.EFBIG:
                raise CompileError(f"its text has more than {FILE_MIB} MiB") from None
            had_disk(box.folder)
            return None

        def run() -> NoReturn:
            own = [self._chain.program, *self._options, "-o", _OUTPUT]
            environment = {"PATH": self._chain.path, "LC_ALL": "C.UTF-8", "TMPDIR": box.folder} | own_marker()
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execve(self._chain.program, [*own, *arguments], environment)

        def collect() -> None:
            said.extend(os.pread(2, os.fstat(2).st_size, 0))
            if (path := Path(box.folder, _OUTPUT)).is_file() and not path.is_symlink():
                output.extend(path.read_bytes())

        def watch(pid: int) -> Watch:
            soonest = time.monotonic() + COMPILE_SECONDS / _PROCESSES

            def exceeded() -> OutcomeAndDetail | None:
                if time.monotonic() > soonest and sum(map(cpu_seconds, (pid, *descendants(pid)))) > COMPILE_SECONDS:
                    return Outcome.COMPILE_ERROR, TOO_LONG
                return box.exceeded_limit(_MOST_MESSAGES, wall)

            return Watch(pid, self._requests, exceeded, False)

        try:
            end = self._forks.run(run, [], COMPILE_MEMORY, COMPILE_SECONDS, watch, lambda _: (wall, wall), collect)
        except NotForked:
            return None
        return _Compiled(bytes(output), end, said.decode("utf-8", "replace"))

    def _is_lost(self, made: _Compiled, *, is_last: bool) -> bool:
        """Return True if the machine, and not the text, is the reason for which g++ has failed.

        A text can choose the words of messages and break lines in them, but each that fails has an error of another
        form: a file that it includes and that isn't there has more words behind its name. And what the machine lacks,
        it lacks when it is tried: memory, or in the last try room on a disk that isn't the box's own.
        """
        _, end, messages = made
        if end.refusal:
            return True
        if end.stopped:
            return end.stopped[0] == Outcome.TIMEOUT  # by the clock: g++'s CPU time has another limit
        if end.status in (0, signal.SIGKILL):
            return end.status != 0
        if _WANTS_MEMORY.search(messages) and not grants(COMPILE_MEMORY):
            return True
        if _NO_DISK.search(messages) and not self._forks.layers.own_disk:
            return not had_disk(self._forks.box.folder) or not is_last
        errors = [line for line in messages.splitlines() if _ERROR.search(line)]
        return bool(errors) and all(_LOST.fullmatch(line) for line in errors)


def _refusal(messages: str) -> CompileError:
    lines = [line for line in messages[:_MESSAGE_CHARACTERS].splitlines() if not _WRITING.fullmatch(line)]
    linking = next((match for line in lines if (match := _LINKING.search(line))), None)
    refusal = first_error(lines, OWN) or first_error(lines, _TESTS) or (f"{linking[1]} {linking[2]}" if linking else "")
    full = next((_FULL[words] for words in _FULL if words in messages), "")
    return CompileError(full) if full and not refusal else _Refused(refusal or _REFUSED)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
