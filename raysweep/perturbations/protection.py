"""Words that no method may change: which of a text's words they are, and what changes the others."""

from __future__ import annotations

import re
from collections.abc import Callable

_WORD = re.compile(r"\S+")
_DIVIDED = re.compile(r"\S[^\S ]+\S")
_BLANKS = re.compile(r"([^\S ]+)")
_RUN = re.compile(r"[^\W_]+")  # the characters for which str.isalnum() holds


def change_words(text: str, protected: frozenset[str], change: Callable[[str], str]) -> str:
    """Apply `change` to the words between single spaces whose first alphanumeric run is not protected.

    A protected word that a line break or a tab divides from others is kept all the same, and the others are changed.
    """
    if _DIVIDED.search(text):
        pieces = [_pieces(word, protected) for word in text.split(" ")]
        return " ".join(["".join([p if is_protected(p, protected) else change(p) for p in word]) for word in pieces])
    return " ".join([word if is_protected(word, protected) else change(word) for word in text.split(" ")])


def _pieces(word: str, protected: frozenset[str]) -> list[str]:
    """Return what is between single spaces whole, or divided at other blanks where one of its words is protected."""
    pieces = _BLANKS.split(word)
    return pieces if any(is_protected(piece, protected) for piece in pieces[::2]) else [word]


def is_protected(word: str, protected: frozenset[str]) -> bool:
    """Tell whether a word's first run of alphanumeric characters is protected; an underscore ends one."""
    if not protected:
        return False
    if word.isalnum():
        return word in protected
    run = _RUN.search(word)
    return run is not None and run[0] in protected


def protected_spans(text: str, protected: frozenset[str]) -> list[tuple[int, int]]:
    """Return (start, end) of the words between blanks that are protected."""
    return [found.span() for found in _WORD.finditer(text) if is_protected(found[0], protected)]
