"""A completion as a file for linters: the clean prompt and what the model wrote, without tests.

The file is the candidate that is executed, byte for byte, in UTF-8; of a chat's answer it is the program in it.
Nothing is mended: a missing last line break stays missing. What may surprise a reader of the file is noted as a trap,
so that it can be counted:

- ``surrogate``: half a surrogate pair, which UTF-8 can't encode. It is written as Python's ``surrogatepass`` writes it,
  and no Python reads the file.
- ``nul``: a NUL character, which no Python reads either.
- ``line_ends``: a carriage return, alone or before a line feed.
- ``no_final_newline``: the last line has no end. Generation stops at a stop string or a token, not after a line.
- ``declared_encoding``: the file names another encoding than UTF-8 in its first two lines, by which linters read it.
- ``cut_short``: generation ended since its length was reached, so the file may end within a statement.
"""

from __future__ import annotations

import codecs
import io
import re
import tokenize
from dataclasses import dataclass
from enum import StrEnum

from raysweep.errors import UsageError
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Completion, Problem

PYTHON = "python"
CUT_BY_LENGTH = "length"
"""`Completion.stop` of a text that reached its longest length."""
LINE_END = re.compile(r"\r\n|\r|\n")


class Trap(StrEnum):
    """What may surprise in a file; the module's docstring describes each."""

    SURROGATE = "surrogate"
    NUL = "nul"
    LINE_ENDS = "line_ends"
    NO_FINAL_NEWLINE = "no_final_newline"
    DECLARED_ENCODING = "declared_encoding"
    CUT_SHORT = "cut_short"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to lint."""

    file_id: str  # unique among the files that are linted together
    text: str
    prompt_lines: int = 0  # first lines that are the prompt's alone
    cut_short: bool = False  # generation reached its longest length

    @property
    def content(self) -> bytes:
        return self.text.encode("utf-8", "surrogatepass")

    @property
    def traps(self) -> tuple[Trap, ...]:
        there = {
            Trap.SURROGATE: any("\ud800" <= character <= "\udfff" for character in self.text),
            Trap.NUL: "\0" in self.text,
            Trap.LINE_ENDS: "\r" in self.text,
            Trap.NO_FINAL_NEWLINE: bool(self.text) and not self.text.endswith(("\n", "\r")),
            Trap.DECLARED_ENCODING: _declares_another_encoding(self.text),
            Trap.CUT_SHORT: self.cut_short,
        }
        return tuple(trap for trap in Trap if there[trap])


def completion_file(file_id: str, problem: Problem, completion: Completion, way: Extract = Extract.NONE) -> SourceFile:
    """Return a completion as the file of the candidate: the clean prompt and the completion, or the program in it.

    `way`: how its program is taken out of it.

    Raises:
        UsageError: the completion is of another problem, or the problem isn't in Python.
    """
    if completion.task_id != problem.task_id:
        raise UsageError(f"file {file_id}: a completion of {completion.task_id} doesn't belong to {problem.task_id}")
    if problem.language != PYTHON:
        raise UsageError(
            f"file {file_id}: {problem.task_id} is in {problem.language}, and pylint reads Python only; leave its "
            "problem set out of the code quality"
        )
    text = extracted(problem, completion.text, way).text
    prompt = problem.prompt if text.startswith(problem.prompt) else ""
    return SourceFile(file_id, text, len(LINE_END.findall(prompt)), completion.stop == CUT_BY_LENGTH)


def _declares_another_encoding(text: str) -> bool:
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode("utf-8", "replace")).readline)
    except SyntaxError:  # an unknown one
        return True
    return codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig")
