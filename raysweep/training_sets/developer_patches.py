"""Finds training rows that are patches by the developers of evaluated projects, such as Defects4J's.

A row is found by its id, or by its content: it mends the same lines in the same way, with the same lines of code beside
them, as far as it has some. So patches of bugs that are no problem are found too. Lines that a hunk and its fix have in
common count as lines beside the change, so a hunk may be wider than the patch and hold several of its changes. Lines
are compared as words, without punctuation, blanks and comments; what has fewer than ten words in all could be anyone's,
and is found by its id only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from raysweep.problems.base import ProblemSet
from raysweep.prompts.repair.hunks import Fault, hunk_in, is_marked
from raysweep.records import SourceRow

LEAST_WORDS = 10
"""Words of the lines that a row and a patch share at least."""
_WORD = re.compile(r"[^\W_]+")
_COMMENT = re.compile(r"^\s*(?://|/\*|\*)")

Words = tuple[str, ...]
_Pair = tuple[Words, Words]
"""The words of the lines before and after a change, or of the lines of code before and behind it."""
_Beside = tuple[str, Words, Words]
"""A patch's id, and the words of the lines of code before and behind it."""


class DeveloperPatches:
    """The patches of the developers whose fixes some problem sets ask for."""

    def __init__(self, problem_sets: Iterable[ProblemSet]) -> None:
        self._ids: dict[str, str] = {}  # in lower case -> as written
        self._by_change: dict[_Pair, list[_Beside]] = {}
        for task_id, patch in (patch for one in problem_sets for patch in one.developer_patches()):
            self._ids.setdefault(_id(task_id), task_id)
            for change, beside in _changes(patch):
                self._by_change.setdefault(change, []).append((task_id, *beside))

    def __bool__(self) -> bool:
        return bool(self._ids)

    def found(self, row: SourceRow) -> str:
        """Return the id of the patch that a training row is; empty if it is none."""
        if row.task_id and (known := self._ids.get(_id(row.task_id))):
            return known
        if not is_marked(row.instruction):
            return ""
        hunk, _ = hunk_in(row.instruction)
        changes = _changes(Fault(hunk, row.output))
        return next((known for change, beside in changes for known in self._alike(change, beside)), "")

    def _alike(self, change: _Pair, beside: _Pair) -> Iterator[str]:
        for task_id, before, behind in self._by_change.get(change, ()):
            pairs = list(zip(beside, (before, behind), strict=True))
            shared = sum(len(own) for own, other in pairs if own == other) + sum(map(len, change))
            if all(own == other or not own for own, other in pairs) and shared >= LEAST_WORDS:
                yield task_id


def _id(task_id: str) -> str:
    """Return a patch's project and number in one form: ``Defects4J/Chart-4``, ``chart_4`` and ``Chart 4`` are one."""
    return "-".join(_WORD.findall(task_id.lower().rpartition("/")[2]))


def _changes(fault: Fault) -> Iterator[tuple[_Pair, _Pair]]:
    """Yield the change of a fault, and its parts, with the nearest lines of code beside each, empty without any."""
    before, behind = _lines(fault.hunk.before)[-1:], _lines(fault.hunk.after)[:1]
    ours, theirs = _lines(fault.hunk.buggy), _lines(fault.fixed)
    start = _common(ours, theirs)
    tail = min(_common(ours[::-1], theirs[::-1]), min(len(ours), len(theirs)) - start)
    code, first = [*before, *ours, *behind], len(before) + start
    old, new = ours[start : len(ours) - tail], theirs[start : len(theirs) - tail]
    parts = [part[1:] for part in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if part[0] != "equal"]
    for begin, end, other, other_end in dict.fromkeys([(0, len(old), 0, len(new)), *parts]):
        if old[begin:end] or new[other:other_end]:
            beside = code[: first + begin][-1:], code[first + end :][:1]
            yield (_words(old[begin:end]), _words(new[other:other_end])), (_words(beside[0]), _words(beside[1]))


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(ours), len(theirs)))


def _lines(text: str) -> list[str]:
    """Return the lines of code that have words, without blanks at their ends and comments behind them."""
    code = (line.partition("//")[0].strip() for line in text.splitlines() if not _COMMENT.match(line))
    return [line for line in code if _WORD.search(line)]


def _words(lines: Iterable[str]) -> Words:
    return tuple(_WORD.findall("\n".join(lines).lower()))
