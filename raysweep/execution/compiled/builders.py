"""The contract of what a slot needs of a compiled language: what can be started, from texts."""

from __future__ import annotations

import errno
import fcntl
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

from raysweep.execution.compiled.outside import Inside, Split
from raysweep.execution.compiled.peers import Peer

COMPILE_SECONDS = 20.0
"""Of CPU time that compiling one text may take; no part of a program's own time."""
TOO_LONG = f"to compile it takes more than {COMPILE_SECONDS:g} s of CPU time"
COMPILE_MEMORY = 2 * 2**30  # bytes of address space of a compiler
IN_ITS_TEXT = "line "
"""How `first_error` begins."""
_MFD_EXEC = 0x10  # <linux/memfd.h>; without it `vm.memfd_noexec` decides
TESTS_MEMORY = 2**30  # bytes of address space that tests may take for answers
OUT_OF_MEMORY = 103
"""The exit code of a JVM, of a compiler or of tests, that has used up its own limit of memory."""
STACK_OVERFLOW = 104
"""The exit code of a JVM of tests that could not move a frame for want of stack."""


class CompileError(Exception):
    """A compiler refused a text, or needed too much for it. The text of the error is one line."""


class CompilerLost(Exception):
    """The machine has let a compiler not end its work, more than once: nothing is known of the text."""

    def __init__(self, compiler: str, tries: int) -> None:
        super().__init__(f"{compiler} was killed, hung or found no room, {tries} times, and not for its own limits")


class Builder(Protocol):
    """Compiles programs and tests of one language, one at a time, each behind layers."""

    def program(self, text: str, sha: str, split: Split) -> bytes:
        """Return what the launcher starts for a program whose tests run outside: an executable, or classes.

        `text`: the candidate. `sha`: of its tests, under which what is compiled for all candidates is kept. `split`:
        the sources of its problem.

        Raises:
            CompileError: the candidate can't be compiled.
            CompilerLost: the machine lets no compiler work; so do the other methods.
            ValueError: what comes with the tests can't be compiled.
        """
        ...

    def whole(self, inside: Inside) -> bytes:
        """Return what the launcher starts for a program with its tests in it; raise CompileError."""
        ...

    def tests(self, sha: str, split: Split) -> Peer:
        """Return a process that begins to run a problem's tests; raise ValueError if they can't be compiled."""
        ...

    def done(self, tests: Peer) -> None:
        """End a process of tests, or keep it for further programs if it is idle."""
        ...


def in_memory(name: str, data: bytes) -> int:
    """Return the descriptor of a file in memory that nobody can change any more, and that can be executed."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        file = os.memfd_create(name, flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        file = os.memfd_create(name, flags)  # before Linux 6.3, where all can
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


def kept(cache: OrderedDict[str, bytes], key: str, make: Callable[[], bytes], most: int) -> bytes:
    """Return what a cache of so many entries at most has under a key, or make it; the latest used ones stay."""
    data = cache.pop(key, None) or make()
    cache[key] = data
    if len(cache) > most:
        cache.popitem(last=False)
    return data


def first_error(lines: Sequence[str], own: str) -> str:
    """Return the first error that a compiler found in the program's own text, in one line.

    `lines`: of the compiler's messages, each as FILE:LINE:COLUMN: error: TEXT. `own`: the name of the program's file.
    What is said of other files isn't shown: it may show what they contain.
    """
    for line in lines:
        place, found, text = line.partition(": error: ")
        if not found:
            place, found, text = line.partition(": fatal error: ")
        if found and place.startswith(f"{own}:"):
            return f"{IN_ITS_TEXT}{place.split(':')[1]}: {' '.join(text.split())}"
    return ""
