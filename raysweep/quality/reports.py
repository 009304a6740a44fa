"""Records of what a linter says: one `FileReport` of each file, one `LintMessage` of each message.

In a sweep, `CellReports` says whose files they are, and `LintedFile` and `LintedMessage` are the rows that a reader of
the sweep gets. All but the two that contain others are rows of Parquet files (`raysweep.rows.parquet`). They hold no
texts of messages: a code and its line say which message it is, and `linting.describe` what the code means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MESSAGES = "messages.parquet"
"""File of an artefact's messages, beside its files (`raysweep.rows.parquet.ROWS`)."""


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


@dataclass(frozen=True, slots=True)
class CellReports:
    """What a linter says of the sampled completions of one cell on one problem set. A file's id is its problem's."""

    model: str
    recipe: str  # "none": not fine-tuned
    training_set: str  # "base": not fine-tuned
    seed: int
    problem_set: str
    reports: LintReports


@dataclass(frozen=True, slots=True)
class LintedStratum:
    """One stratum of the sample of one problem set, as far as it was linted."""

    problem_set: str
    name: str  # tuned | bases
    population: int  # completions: one for each cell and problem
    files: int  # of them with a report
    cells_without: int  # cells of which no report could be made, such as failed ones
    linter: str = ""  # with its versions


@dataclass(frozen=True, slots=True)
class LintedFile:
    """A file of a sweep with its score and its numbers of messages by severity."""

    model: str
    recipe: str  # "none": not fine-tuned
    training_set: str  # "base": not fine-tuned
    seed: int
    problem_set: str
    task_id: str
    outcome: str  # a `LintOutcome`
    score: float | None  # see `FileReport.score`
    statements: int
    lines: int
    fatal: int  # messages, here and below without those that only cutting out the file causes
    error: int
    warning: int
    refactor: int
    convention: int
    information: int
    caused_by_cutting: int  # messages that only cutting out the file causes
    traps: str  # the file's `Trap`s, comma separated


@dataclass(frozen=True, slots=True)
class LintedMessage:
    """One message on a file of a sweep."""

    model: str
    recipe: str
    training_set: str
    seed: int
    problem_set: str
    task_id: str
    code: str
    symbol: str
    severity: str  # fatal | error | warning | refactor | convention | information
    tier: str  # of the study's table 12; "no tier"
    line: int  # from 1; 0: of no line
    column: int  # from 0
    in_prompt: bool  # on a line that is the prompt's alone
    caused_by_cutting: bool  # only cutting out the file causes the code
