"""Compares two texts so that typos can be read: word by word, and in a changed word only what differs.

Used by the terminal view and the HTML report.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

EQUAL, REMOVED, ADDED = "equal", "removed", "added"


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of a comparison. `kind`: equal (in both texts), removed (only before) or added (only after)."""

    kind: str
    text: str


def changes(before: str, after: str) -> list[Change]:
    """Return the pieces that lead from one text to the other.

    Joining the equal and removed ones gives `before`, the equal and added ones `after`; no piece is empty.
    """
    old, new = _words(before), _words(after)
    pieces: list[Change] = []
    for tag, i, j, k, m in _opcodes(old, new):
        if tag == "equal":
            pieces.append(Change(EQUAL, "".join(old[i:j])))
        elif j - i == m - k:
            for word, other in zip(old[i:j], new[k:m], strict=True):
                pieces += _inside(word, other)
        else:
            pieces += [Change(REMOVED, "".join(old[i:j])), Change(ADDED, "".join(new[k:m]))]
    return list(_joined(pieces))


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\S+", text)


def _opcodes(old: list[str], new: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Return difflib's operations; where both texts have the same blanks, words are paired by position."""
    if [word.isspace() and word for word in old] == [word.isspace() and word for word in new]:
        return [("replace", 0, len(old), 0, len(new))]
    return difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def _inside(word: str, other: str) -> Iterator[Change]:
    """Yield the common start, the two middles, the common end."""
    start = _common(word, other)
    end = _common(word[start:][::-1], other[start:][::-1])
    yield Change(EQUAL, word[:start])
    yield Change(REMOVED, word[start : len(word) - end])
    yield Change(ADDED, other[start : len(other) - end])
    yield Change(EQUAL, word[len(word) - end :])


def _common(text: str, other: str) -> int:
    """Return the length of the common start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False)))


def _joined(pieces: Iterable[Change]) -> Iterator[Change]:
    """Join neighbours of one kind; drop empty pieces."""
    full = (piece for piece in pieces if piece.text)
    for kind, group in groupby(full, key=lambda piece: piece.kind):
        yield Change(kind, "".join(piece.text for piece in group))
