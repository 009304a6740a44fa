"""Compares two texts word by word, and marks inside a changed word only the characters that differ, or the whole word.

So typos are easy to see. The terminal views and the HTML report use it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, takewhile

EQUAL, REMOVED, ADDED = "equal", "removed", "added"
_LETTER = re.compile(r"[\w'’]")


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of a comparison. `kind`: equal (in both texts), removed (from the first) or added (in the second)."""

    kind: str
    text: str


def changes(before: str, after: str, *, whole_words: bool = False) -> list[Change]:
    """Return the pieces that turn one text into the other; no piece is empty.

    `whole_words`: mark a changed word as a whole, without the punctuation around it.

    The equal and removed pieces joined give `before`, the equal and added ones `after`.
    """
    old, new = _words(before), _words(after)
    pieces: list[Change] = []
    if [word.isspace() and word for word in old] == [word.isspace() and word for word in new]:
        return list(_joined(piece for pair in zip(old, new, strict=True) for piece in _inside(*pair, whole_words)))
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Change(EQUAL, "".join(old[i:j])))
        elif j - i == m - k:
            for word, other in zip(old[i:j], new[k:m], strict=True):
                pieces += _inside(word, other, whole_words)
        else:
            pieces += [Change(REMOVED, "".join(old[i:j])), Change(ADDED, "".join(new[k:m]))]
    return list(_joined(pieces))


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\S+", text)


def _inside(word: str, other: str, whole_words: bool) -> Iterator[Change]:
    """With `whole_words`, the common start and end hold no part of a changed word."""
    start = _common(word, other)
    while whole_words and word != other and _cuts(word, other, start):
        start -= 1
    backward, other_backward = word[start:][::-1], other[start:][::-1]
    end = _common(backward, other_backward)
    while whole_words and word != other and _cuts(backward, other_backward, end):
        end -= 1
    yield Change(EQUAL, word[:start])
    yield Change(REMOVED, word[start : len(word) - end])
    yield Change(ADDED, other[start : len(other) - end])
    yield Change(EQUAL, word[len(word) - end :])


def _cuts(text: str, other: str, at: int) -> bool:
    following = text[at : at + 1], other[at : at + 1]
    return at > 0 and bool(_LETTER.match(text[at - 1])) and any(_LETTER.match(letter) for letter in following)


def _common(text: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, other, strict=False)))


def _joined(pieces: Iterable[Change]) -> Iterator[Change]:
    nonempty = (piece for piece in pieces if piece.text)
    for kind, group in groupby(nonempty, key=lambda piece: piece.kind):
        yield Change(kind, "".join(piece.text for piece in group))
