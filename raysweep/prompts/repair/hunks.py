"""Code with a hunk to be replaced: what stands before it, the hunk, what stands after it.

The three also travel as one text, in which comments of their own lines mark the hunk, so that perturbations, training
sets and test sets handle it as any other prompt. The marks are those of the repair study's prompts:
https://github.com/User3574/codeRepair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from raysweep.errors import UsageError
from raysweep.programs import PYTHON
from raysweep.prompts.repair.code import blanked_comments

START, END = "bug start: \n", "bug end \n"
_CLOSING = "})]"
"""What the line behind the end of a block begins with."""
_MARKED = re.compile(r"^(//|#) bug start: \n(.*?)^\1 bug end \n", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Hunk:
    """A hunk in its code. `before` is empty or ends with a line end; the hunk is some whole lines, or none."""

    before: str
    buggy: str
    after: str

    @property
    def code(self) -> str:
        return f"{self.before}{self.buggy}{self.after}"

    @property
    def indent(self) -> str:
        """The indent of its first line; without one, of the line behind it, or of that before where a block ends."""
        code = self.buggy if self.buggy.strip() else self.after
        indent = indent_of(code)
        if code is self.after and (not indent or code.lstrip()[0] in _CLOSING):
            return indent_of("".join(reversed(lines_of(self.before))))
        return indent

    def patched(self, fixed: str) -> str:
        """Return the code with another text in the hunk's place; a line end is added where one is missing.

        The hunk itself gives the code as it is, byte for byte.
        """
        lacks_end = fixed and self.after and not fixed.endswith("\n")
        return f"{self.before}{fixed}{chr(10) if lacks_end else ''}{self.after}"

    def as_json(self) -> str:
        """Return {before, buggy, after} as JSON, the form of `TrainingRow.context`."""
        return json.dumps(asdict(self), ensure_ascii=False)


NO_HUNK = Hunk("", "", "")


@dataclass(frozen=True, slots=True)
class Fault:
    """A hunk and the text that mends it."""

    hunk: Hunk
    fixed: str

    def behind(self, text: str) -> Fault:
        return Fault(Hunk(self.hunk.before, self.hunk.buggy, f"{self.hunk.after}{text}"), self.fixed)


@dataclass(frozen=True, slots=True)
class HunkPlace:
    """Where a hunk stands in its file: characters from `start` up to `stop`."""

    file: str
    start: int
    stop: int
    language: str
    indent: str  # of the hunk, as `Hunk.indent`

    @property
    def lines(self) -> list[str]:
        return lines_of(self.file)

    @property
    def hunk(self) -> str:
        return self.file[self.start : self.stop]

    @property
    def first(self) -> int:
        """The number of its first line, from 0."""
        return self.file.count("\n", 0, self.start)

    @property
    def end(self) -> int:
        """The number of the line behind its last one, from 0."""
        return self.first + len(lines_of(self.hunk))

    def filled(self, code: str) -> str:
        """Return the file with another text in the hunk's place, which ends a line."""
        lacks_end = code and not code.endswith("\n") and self.stop < len(self.file)
        return f"{self.file[: self.start]}{code}{chr(10) if lacks_end else ''}{self.file[self.stop :]}"


def lines_of(text: str) -> list[str]:
    """Return the lines of a text with their ends; only a line feed ends a line."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def hunk_at(text: str, first: int, end: int, place: str) -> Hunk:
    """Return the hunk of some lines of a text.

    `first`: number of the hunk's first line, from 1. `end`: number of the line behind its last one; `first` for a hunk
    without a line.

    Raises:
        UsageError: the text has no such lines.
    """
    lines = lines_of(text)
    if not 1 <= first <= end <= len(lines) + 1:
        raise UsageError(
            f"{place}: the hunk of lines {first} to {end} (the first one behind it) lies outside of the file, which "
            f"has {len(lines):,} lines; correct the position"
        )
    return Hunk("".join(lines[: first - 1]), "".join(lines[first - 1 : end - 1]), "".join(lines[end - 1 :]))


def fault_between(
    buggy: str, fixed: str, language: str, *, at_least: tuple[int, int] | None = None, place: str = ""
) -> Fault:
    """Return the smallest run of lines outside of which two versions of a code agree.

    Lines are compared without comments, those in Java and C++ also without white space. What stands outside the hunk is
    the faulty version's.

    `at_least`: first line and the line behind the last one that the hunk must hold, see `hunk_at`; more lines are added
    where the versions differ beyond them.

    Raises:
        UsageError: the versions don't differ, or `at_least` lies outside of the code.
    """
    ours, theirs = _code_lines(buggy, language), _code_lines(fixed, language)
    if [key for _, key in ours] == [key for _, key in theirs]:
        raise UsageError(f"{place}: the correct code is the faulty code; a repair needs two versions")
    start = _common(ours, theirs)
    shorter = min(len(ours), len(theirs)) - start
    tail = min(shorter, _common(ours[::-1], theirs[::-1]))
    if at_least is not None:
        hunk_at(buggy, *at_least, place)
        start = min(start, sum(number < at_least[0] for number, _ in ours))
        tail = min(tail, sum(number >= at_least[1] for number, _ in ours))
    mended = hunk_at(fixed, *_span(theirs, start, tail, fixed), place)
    return Fault(hunk_at(buggy, *_span(ours, start, tail, buggy), place), mended.buggy)


def _code_lines(code: str, language: str) -> list[tuple[int, str]]:
    """Return number, from 1, and content of each line that isn't blank or a comment."""
    keys = enumerate(blanked_comments(code, language).split("\n"), 1)
    if language == PYTHON:
        return [(number, line.rstrip()) for number, line in keys if line.strip()]
    return [(number, "".join(line.split())) for number, line in keys if line.strip()]


def _common(ours: Sequence[tuple[int, str]], theirs: Sequence[tuple[int, str]]) -> int:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((at for at, (one, other) in pairs if one[1] != other[1]), min(len(ours), len(theirs)))


def _span(lines: Sequence[tuple[int, str]], start: int, tail: int, code: str) -> tuple[int, int]:
    """Return number of the first of some lines and of the line behind the last. `start`, `tail`: how many go before."""
    first = lines[start][0] if start < len(lines) else len(lines_of(code)) + 1
    return first, lines[len(lines) - tail - 1][0] + 1 if len(lines) - tail > start else first


def comment_mark(language: str) -> str:
    return "#" if language == PYTHON else "//"


def marked(hunk: Hunk, comment: str) -> str:
    """Return code with comments around its hunk; raise UsageError if the code holds such marks already."""
    end = "" if hunk.buggy.endswith("\n") or not hunk.buggy else "\n"
    text = f"{hunk.before}{comment} {START}{hunk.buggy}{end}{comment} {END}{hunk.after}"
    if hunk_in(text) != (Hunk(hunk.before, f"{hunk.buggy}{end}", hunk.after), comment):
        raise UsageError(f"the code holds the comment {comment} {START.strip()!r}, which marks hunks; leave it out")
    return text


def hunk_in(text: str) -> tuple[Hunk, str]:
    """Return the hunk that a text marks, and what begins its marks; raise UsageError if the text marks none."""
    found = _MARKED.search(text)
    if found is None:
        raise UsageError(
            "a template for repair needs code with a marked hunk, as problem sets for repair and the source `repair` "
            f"give it, not {text[:60]!r}"
        )
    return Hunk(text[: found.start()], found[2], text[found.end() :]), found[1]


def is_marked(text: str) -> bool:
    return _MARKED.search(text) is not None


def hunk_of_context(context: str) -> Hunk:
    fields: Mapping[str, str] = json.loads(context)
    return Hunk(fields["before"], fields["buggy"], fields["after"])


def indent_of(code: str) -> str:
    first = next((line for line in lines_of(code) if line.strip()), "")
    return first[: len(first) - len(first.lstrip(" \t"))]


def dedented(parts: Sequence[str]) -> list[str]:
    """Return parts of a code without the indent of its first line, if all lines with text have it."""
    indent = next((indent_of(part) for part in parts if part.strip()), "")
    lines = [line for part in parts for line in lines_of(part) if line.strip()]
    if not indent or not all(line.startswith(indent) for line in lines):
        return list(parts)
    return ["".join(line.removeprefix(indent) for line in lines_of(part)) for part in parts]
