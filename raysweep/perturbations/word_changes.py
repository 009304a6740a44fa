"""The words in which two texts differ: how many they are, and texts that keep only some of the changes."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TOKEN = re.compile(r"\s+|\S+")


class Size(NamedTuple):
    """How large a change is; the words count first. `words`: changed, put in or taken out. `characters`: likewise."""

    words: int
    characters: int


class WordEdit(NamedTuple):
    """`new` stands in place of ``before[start:end]``: of words with what surrounds them up to the next blanks.

    `words`: how many are changed, put in or taken out.
    """

    start: int
    end: int
    new: str
    words: int


def word_edits(before: str, after: str) -> list[WordEdit]:
    """Return the edits that make one text of another, in order; between them stand words that are in both."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    starts = [0]
    for token in old:
        starts.append(starts[-1] + len(token))
    opcodes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        WordEdit(starts[i], starts[j], "".join(new[k:m]), max(_words(old[i:j]), _words(new[k:m])))
        for tag, i, j, k, m in opcodes
        if tag != "equal"
    ]


def applied(before: str, edits: Iterable[WordEdit]) -> str:
    """Return a text after some of its edits, given in order."""
    made: list[str] = []
    at = 0
    for edit in edits:
        made += [before[at : edit.start], edit.new]
        at = edit.end
    return "".join([*made, before[at:]])


def size_of(before: str, after: str) -> Size:
    """Return how far a text is from the one it was made of."""
    edits = word_edits(before, after)
    return Size(
        sum(edit.words for edit in edits), sum(_characters(before[edit.start : edit.end], edit.new) for edit in edits)
    )


def keep_some(before: str, after: str, words: int, rng: random.Random) -> str:
    """Return `before` with as many of the changes to `after` as fit into so many words, drawn at random."""
    edits = word_edits(before, after)
    if sum(edit.words for edit in edits) <= words:
        return after
    kept: list[WordEdit] = []
    for edit in rng.sample(edits, len(edits)):
        if 0 < edit.words <= words - sum(other.words for other in kept):
            kept.append(edit)
    return applied(before, sorted(kept))


def taken_back(before: str, after: str) -> Iterator[str]:
    """Yield `after` with one of its changed words taken back, for each of them in turn."""
    edits = word_edits(before, after)
    for place in range(len(edits)):
        yield applied(before, [*edits[:place], *edits[place + 1 :]])


def nearer(before: str, after: str) -> Iterator[str]:
    """Yield `after` with one changed character of one word taken back, or one piece put in or taken out."""
    edits = word_edits(before, after)
    for place, edit in enumerate(edits):
        for new in _nearer(before[edit.start : edit.end], edit.new):
            yield applied(before, [*edits[:place], edit._replace(new=new), *edits[place + 1 :]])


def _nearer(old: str, new: str) -> Iterator[str]:
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal" and j - i == m - k:
            for at in range(j - i):
                yield new[: k + at] + old[i + at] + new[k + at + 1 :]
        elif tag != "equal":
            yield new[:k] + old[i:j] + new[m:]


def _words(tokens: list[str]) -> int:
    return sum(not token.isspace() for token in tokens)


def _characters(old: str, new: str) -> int:
    """Return the characters changed, put in or taken out."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return sum(max(j - i, m - k) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal")
