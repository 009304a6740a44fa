"""Word edits between two texts: finds and counts them, applies some of them, and reverts parts of them."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TOKEN = re.compile(r"\s+|\S+")


class Size(NamedTuple):
    """The size of a change; sizes are compared by words first."""

    words: int  # changed, inserted and deleted words
    characters: int  # changed, inserted and deleted characters


class WordEdit(NamedTuple):
    """The replacement of ``before[start:end]``, some words with their punctuation, by `new`."""

    start: int
    end: int
    new: str
    words: int  # changed, inserted and deleted words


def word_edits(before: str, after: str) -> list[WordEdit]:
    """Return the edits that turn one text into another, in the order of the text."""
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


def apply_edits(before: str, edits: Iterable[WordEdit]) -> str:
    """Return a text after some of its edits, which come in the order of the text."""
    pieces: list[str] = []
    end = 0
    for edit in edits:
        pieces += [before[end : edit.start], edit.new]
        end = edit.end
    return "".join([*pieces, before[end:]])


def size_of(before: str, after: str) -> Size:
    """Return the size of the change from one text to another."""
    edits = word_edits(before, after)
    return Size(
        sum(edit.words for edit in edits), sum(_characters(before[edit.start : edit.end], edit.new) for edit in edits)
    )


def keep_some(before: str, after: str, words: int, rng: random.Random) -> str:
    """Return `before` with randomly chosen edits to `after`, as many as change at most `words` words."""
    edits = word_edits(before, after)
    if sum(edit.words for edit in edits) <= words:
        return after
    kept: list[WordEdit] = []
    for edit in rng.sample(edits, len(edits)):
        if 0 < edit.words <= words - sum(other.words for other in kept):
            kept.append(edit)
    return apply_edits(before, sorted(kept))


def revert_words(before: str, after: str) -> Iterator[str]:
    """Yield `after` with one edit reverted, for each edit in turn."""
    edits = word_edits(before, after)
    for index in range(len(edits)):
        yield apply_edits(before, [*edits[:index], *edits[index + 1 :]])


def revert_characters(before: str, after: str) -> Iterator[str]:
    """Yield `after` with one changed character, or one inserted or deleted piece of an edit, reverted, each in turn."""
    edits = word_edits(before, after)
    for index, edit in enumerate(edits):
        for new in _reverted(before[edit.start : edit.end], edit.new):
            yield apply_edits(before, [*edits[:index], edit._replace(new=new), *edits[index + 1 :]])


def _reverted(old: str, new: str) -> Iterator[str]:
    """Yield `new` with one difference from `old` reverted, each in turn."""
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal" and j - i == m - k:
            for offset in range(j - i):
                yield new[: k + offset] + old[i + offset] + new[k + offset + 1 :]
        elif tag != "equal":
            yield new[:k] + old[i:j] + new[m:]


def _words(tokens: list[str]) -> int:
    """Return the number of words among tokens, which are words and blanks."""
    return sum(not token.isspace() for token in tokens)


def _characters(old: str, new: str) -> int:
    """Return the number of changed, inserted and deleted characters."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return sum(max(j - i, m - k) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal")
