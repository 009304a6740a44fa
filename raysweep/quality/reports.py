"""Records of what a linter says: one `FileReport` of each file, one `LintMessage` of each message.

Both are rows of Parquet files (`raysweep.rows.parquet`). They hold no texts of messages: a code and its line say which
message it is, and `linting.describe` what the code means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LintOutcome(StrEnum):
    """How the linting of a file ended."""

    LINTED = "linted"
    TIMEOUT = "timeout"  # beyond the limit of time
    MEMORY = "memory"  # beyond the limit of memory
    CRASHED = "crashed"  # the linter ended by an error or a signal


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a linter says of a file."""

    file_id: str
    outcome: str  # a `LintOutcome`
    score: float | None = None  # of 10, as pylint prints it; None: pylint prints none, as for a syntax error
    statements: int = 0  # that pylint counted
    lines: int = 0
    traps: str = ""  # the file's `Trap`s, comma separated
    seconds: float = 0.0  # of CPU time; 0 where a report was copied from a file of equal text


@dataclass(frozen=True, slots=True)
class LintMessage:
    """One message of a linter."""

    file_id: str
    code: str  # such as C0114
    symbol: str  # such as missing-module-docstring
    line: int  # from 1; 0: of no line
    column: int  # from 0
    in_prompt: bool = False  # on a line that is the prompt's alone


@dataclass(frozen=True, slots=True)
class LintReports:
    """What a linter says of several files: reports in the files' order, messages sorted by file, line and column."""

    files: tuple[FileReport, ...]
    messages: tuple[LintMessage, ...]
