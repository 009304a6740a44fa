"""What judges compiled programs from outside: which sources that takes, and what the two processes say to each other.

*Tests* are trusted code of a problem, the *candidate* is what a model wrote. The tests are compiled against a
*stand-in*: generated source that declares what the problem declares, sends each call's arguments to the candidate's
process and hands back its answer. The candidate is compiled with a *server*, which reads calls, calls the candidate and
writes answers. Expected values, comparisons and the verdict exist in the tests' process only.

The wire format
---------------
All numbers are big-endian. A frame is 4 bytes that hold the length of the rest, at most `MOST_BYTES`, and the rest. A
judge moves frames between the two processes. Those of the tests' process begin with a byte more: it writes ``C`` and a
call, or ``V`` and its verdict, to its standard output, and reads ``A`` and an answer, or ``E`` if the candidate's
process has ended. The candidate's process has one socket, descriptor 3, in Java 0; a JVM first writes ``!`` there,
outside of any frame, before the candidate's first instruction.

    call     16 random bytes; 2 bytes: number of the function; the arguments, each a value
             Java: before the arguments, 4 bytes that number the stand-in whose method is called (0: a static one), and
             2 bytes that count the arguments
    answer   the call's 16 bytes again, so that nothing that was written ahead counts; a kind; changes; the rest
             R returned: the value (`n` for void)    T threw: two strings, class and message
             X (C++) threw something other than a std::exception: likewise
             M ran out of memory, or the answer is too large to be sent: nothing else follows
             H (Java) could have no further thread: likewise
             Java: between the changes and the class of what it threw, 1 byte that is 1 for an AssertionError or a
             class below it, else 0

    changes  C++: the value of each argument that the function takes by a reference to something not const, in order
             Java: 2 bytes that count them; for each changed list, set, map or array: 4 bytes that name its
             object, as R does, and the value that it now has

A value begins with a byte that says what it is:

    n nothing: null, void, an empty any      t, f booleans            c character: 2 bytes
    i integer: 4 bytes    l integer: 8 bytes    q the same, a long long in an any (C++)
    g float: 4 bytes      d double: 8 bytes
    s text: 4 bytes that hold the length, and bytes (C++; in Java UTF-8, for classes and messages only)
    z the same, a const char* in an any
    u text: 4 bytes that count UTF-16 units, two bytes each (Java)   U the same, an interned string
    b, h a byte, a short: 4 bytes as i (Java)
    L, S, M list, set, map: a byte that names the kind (`Wire.java`), 4 bytes that count, the items or pairs
    O optional: the value in it    o an empty optional
    Y array (Java): a byte that counts its dimensions, a byte that names what it holds (`Wire.java`), 4 bytes that
      count the items; one of a primitive type has these by 1, 2, 4 or 8 bytes each, any other one as values
    R an object of this call's arguments: 4 bytes, counted in the order in which they were written (Java)
    x another object, which can't be sent: its class, as text without a tag

C++ writes bool, char, short and int, long, float, double and string by these tags, a list, set, map or pair as L with
the kind v, and an any as the value in it. Both readers know which type they expect.

The reader of the tests' side reads what an untrusted process wrote. It never loads a class, runs no code of the
candidate's and makes room for no more than has arrived: a count is at most the number of bytes that are left,
containers are nested at most `MOST_LEVELS` deep, and a message has no bytes behind its end. Anything else is `killed`.

The verdict
-----------
An object of JSON with `outcome`, a value of `raysweep.programs.Outcome`, and `detail`, at most 300 characters:

    passed          the tests ran to their end
    failed          an assertion of the tests failed
    exception       a call of the candidate raised an error, or the tests did because of an answer
    memory          a call ran out of memory, or is too large to be sent
    killed          an answer isn't in the format, or the tests crashed at it, for instance at an index that isn't there
    harness_error   tests gave an argument that the format doesn't know: these tests have to run inside

Tests inside
------------
Candidate and tests are one program, and nothing is a boundary between them. Descriptor 3 (Java: 0) gives a frame of 16
random bytes before the candidate's constructors and classes. When the tests have returned, the program writes ``D`` and
these bytes, gets a frame of 16 others, and writes ``S`` and those: only that is a pass. A failed assertion or an error
is ``V`` and a verdict.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MOST_BYTES = 2**23
"""Length of a frame at most; `raysweep_wire.hpp` and `Wire.java` have it too."""
PROGRAM, MARK = "\0program\0", "\0mark\0"
"""What stands in sources of tests inside for the text of a program, and for a name that no program can know."""
MOST_LEVELS = 100
"""How deep a value may be nested; `Wire.java` has it too, and C++'s types have an end."""


@dataclass(frozen=True, slots=True)
class Split:
    """Sources of a problem whose tests run outside, by file name; or why they can't.

    C++: `tests` are one executable a problem, made with `flags` too; `server` are object files, which are linked with
    each candidate. What is generated or shipped is compiled once for all problems that have the same.
    Java: `tests` are compiled once a problem; `server` is compiled with each candidate.
    """

    reason: str = ""  # why tests have to run inside; "" if they can run outside
    tests: Mapping[str, str] = field(default_factory=dict)
    server: Mapping[str, str] = field(default_factory=dict)
    candidate_end: str = ""  # what stands behind the candidate's text and an empty line, in its file
    flags: tuple[str, ...] = ()  # with which the tests are linked


@dataclass(frozen=True, slots=True)
class Inside:
    """Sources of programs whose tests run in their own process, by file name; or why there are none."""

    reason: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()  # with which they are linked
    is_junit: bool = False  # Java: they need JUnit 4

    def of(self, program: str) -> Inside:
        mark = f"raysweep_{secrets.token_hex(16)}"
        sources = {name: text.replace(MARK, mark).replace(PROGRAM, program) for name, text in self.sources.items()}
        return replace(self, sources=sources, flags=tuple(flag.replace(MARK, mark) for flag in self.flags))
