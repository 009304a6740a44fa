"""Patterns of prose and the wordings they stand for.

``(large|big) number`` stands for two wordings; groups nest, and an alternative may be empty. Words in capitals are
macros. Parentheses and bars therefore never stand in the prose itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

MACROS = {
    "RETURN": "(Return|Give|Find|Compute)",
    "LIST": "(Return|Give|List)",
    "WHETHER": "(Check|Tell|Return) (whether|if)",
}
"""Abbreviations for what many families say alike."""


def expand(pattern: str) -> tuple[str, ...]:
    """Return the wordings of a pattern, in the order of its alternatives, without repetition.

    Raises:
        ValueError: a parenthesis lacks its partner.
    """
    for macro, meaning in MACROS.items():
        pattern = re.sub(rf"\b{macro}\b", meaning, pattern)
    if pattern.count("(") != pattern.count(")"):
        raise ValueError(f"pattern {pattern!r} has a parenthesis without its partner")
    wordings = _alternatives(iter(re.findall(r"[()|]|[^()|]+", pattern)))
    return tuple(dict.fromkeys(" ".join(wording.split()) for wording in wordings))


def _alternatives(pieces: Iterator[str]) -> list[str]:
    """Multiply out what stands before the end of the open group."""
    done, current = list[str](), [""]
    for piece in pieces:
        if piece == "(":
            current = [head + tail for head, tail in product(current, _alternatives(pieces))]
        elif piece == ")":
            break
        elif piece == "|":
            done, current = done + current, [""]
        else:
            current = [head + piece for head in current]
    return done + current
