"""Finds training rows that are patches by the developers of evaluated projects, such as Defects4J's.

A row is found by its id, or by its content: it mends the same lines in the same way, with the same lines of code beside
them, as far as it has some. So patches of bugs that are no problem are found too. Lines are compared as words, without
punctuation, blanks and comments; what has fewer than ten words in all could be anyone's, and is found by its id only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from raysweep.problems.base import ProblemSet
from raysweep.prompts.repair.hunks import Fault, Hunk, hunk_in, is_marked, lines_of
from raysweep.records import SourceRow

LEAST_WORDS = 10
"""Words of the lines that a row and a patch share at least."""
_WORD = re.compile(r"[^\W_]+")
_COMMENT = re.compile(r"^\s*(?://|/\*|\*)")

Words = tuple[str, ...]
_Beside = tuple[str, Words, Words]
"""A patch's id, and the words of the lines of code before and behind it."""


class DeveloperPatches:
    """The patches of the developers whose fixes some problem sets ask for.

    Args:
        problem_sets: the evaluated ones; most have no such patches.
    """

    def __init__(self, problem_sets: Iterable[ProblemSet]) -> None:
        self._ids: dict[str, str] = {}  # in lower case -> as written
        self._by_change: dict[tuple[Words, Words], list[_Beside]] = {}
        for task_id, patch in (patch for one in problem_sets for patch in one.developer_patches()):
            self._ids.setdefault(_id(task_id), task_id)
            for fault in _forms(patch):
                change = _words(fault.hunk.buggy), _words(fault.fixed)
                before, behind = _beside(fault)
                self._by_change.setdefault(change, []).append((task_id, before, behind))

    def __bool__(self) -> bool:
        """Return whether there is any patch."""
        return bool(self._ids)

    def found(self, row: SourceRow) -> str:
        """Return the id of the patch that a training row is; empty if it is none."""
        if row.task_id and (known := self._ids.get(_id(row.task_id))):
            return known
        if not is_marked(row.instruction):
            return ""
        hunk, _ = hunk_in(row.instruction)
        change = _words(hunk.buggy), _words(row.output)
        return next(self._alike(change, _beside(Fault(hunk, row.output))), "")

    def _alike(self, change: tuple[Words, Words], beside: tuple[Words, Words]) -> Iterator[str]:
        for task_id, before, behind in self._by_change.get(change, ()):
            pairs = list(zip(beside, (before, behind), strict=True))
            shared = sum(len(own) for own, other in pairs if own == other) + sum(map(len, change))
            if all(own == other or not own for own, other in pairs) and shared >= LEAST_WORDS:
                yield task_id


def _id(task_id: str) -> str:
    """Return a patch's project and number in one form: ``Defects4J/Chart-4``, ``chart_4`` and ``Chart 4`` are one."""
    return "-".join(_WORD.findall(task_id.lower().rpartition("/")[2]))


def _forms(fault: Fault) -> Iterator[Fault]:
    """Yield a fault, and one that adds lines also with the line behind these in the hunk, as clm's rows have it."""
    yield fault
    first, *rest = lines_of(fault.hunk.after) or [""]
    if first and not fault.hunk.buggy:
        yield Fault(Hunk(fault.hunk.before, first, "".join(rest)), f"{fault.fixed}{first}")


def _beside(fault: Fault) -> tuple[Words, Words]:
    """Return the words of the nearest lines of code before and behind a hunk; empty where there are none."""
    before, after = fault.hunk.before.splitlines(), fault.hunk.after.splitlines()
    return _first_words(before[::-1]), _first_words(after)


def _first_words(lines: Sequence[str]) -> Words:
    return next((words for line in lines if not _COMMENT.match(line) and (words := _words(line))), ())


def _words(text: str) -> Words:
    code = (line.partition("//")[0] for line in text.splitlines() if not _COMMENT.match(line))
    return tuple(_WORD.findall("\n".join(code).lower()))
