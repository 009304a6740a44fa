"""Protected words: finds them in a text, and changes the other words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from raysweep.records import Segment

_WORD = re.compile(r"\S+")
_WITH_BREAKS = re.compile(r"\S[^\S ]+\S")
_BLANKS = re.compile(r"([^\S ]+)")
_RUN = re.compile(r"[^\W_]+")  # the characters for which str.isalnum() holds


def change_words(segments: Sequence[Segment], protected: frozenset[str], change: Callable[[str], str]) -> list[Segment]:
    """Return segments with `change` applied to the natural words that are not protected; verbatim segments stay.

    Words are the pieces between single spaces. A piece that has line breaks or tabs inside is divided there only if
    one of its words is protected: that word stays, and the others are changed one by one.
    """
    return [Segment(_change_text(s.text, protected, change), True) if s.natural else s for s in segments]


def _change_text(text: str, protected: frozenset[str], change: Callable[[str], str]) -> str:
    if _WITH_BREAKS.search(text):
        pieces = [_pieces(word, protected) for word in text.split(" ")]
        return " ".join(["".join([p if is_protected(p, protected) else change(p) for p in word]) for word in pieces])
    return " ".join([word if is_protected(word, protected) else change(word) for word in text.split(" ")])


def _pieces(word: str, protected: frozenset[str]) -> list[str]:
    pieces = _BLANKS.split(word)
    return pieces if any(is_protected(piece, protected) for piece in pieces[::2]) else [word]


def is_protected(word: str, protected: frozenset[str]) -> bool:
    """Return True if a word's first run of letters and digits is protected; an underscore ends the run."""
    if not protected:
        return False
    if word.isalnum():
        return word in protected
    run = _RUN.search(word)
    return run is not None and run[0] in protected


def protected_spans(text: str, protected: frozenset[str]) -> list[tuple[int, int]]:
    """Return the (start, end) of a text's protected words, which blanks separate from others."""
    return [word.span() for word in _WORD.finditer(text) if is_protected(word[0], protected)]
