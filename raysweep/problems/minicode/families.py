"""A family of tasks: one meaning, all its wordings, its code, its split.

Not covered here: the families themselves (`atoms`, `compositions`) and how tasks are drawn (`world`).
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

Kind = Literal["atoms", "lists", "strings", "words"]
Argument = Literal["pair", "int", "nat", "string", "list", "words"]
Split = Literal["train", "validation", "test"]

MACROS = {
    "RETURN": "(Return|Give|Find|Compute)",
    "LIST": "(Return|Give|List)",
    "WHETHER": "(Check|Tell|Return) (whether|if)",
}
"""Abbreviations in patterns for phrases that many families share."""


@dataclass(frozen=True)
class Family:
    """Tasks that differ only in their wording and their constants.

    `prose` is a pattern for `expand`. `body` holds the lines of the reference without indentation. Both may contain the
    constants ``{k}``, ``{j}`` (numbers) and ``{c}`` (a letter); `body` contains the arguments ``{x}`` and ``{y}``.
    """

    name: str  # unique; also the informative function name
    kind: Kind
    argument: Argument  # decides the names of the function's arguments and its test inputs
    prose: str
    body: str
    split: Split = "train"  # the only split with this family; "train": all splits have it, each with other wordings

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """The names of the constants that the body uses, in order of appearance."""
        fields = [name for _, name, _, _ in string.Formatter().parse(self.body) if name]
        return tuple(dict.fromkeys(name for name in fields if name in "kjc"))

    @cached_property
    def wordings(self) -> dict[Split, tuple[str, ...]]:
        """The wordings by split. A held-out family has all its wordings in its own split."""
        parts: dict[Split, list[str]] = {"train": [], "validation": [], "test": []}
        for wording in expand(self.prose):
            split = self.split if self.split != "train" else split_of(f"{self.name}|{wording}")
            parts[split].append(wording)
        return {split: tuple(wordings) for split, wordings in parts.items()}


def split_of(text: str) -> Split:
    """Return the split of a text by its hash: a tenth is test, a tenth validation, the rest training."""
    tenth = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10
    return "test" if tenth == 0 else "validation" if tenth == 1 else "train"


def split_of_cell(row: int, column: int, columns: int) -> Split:
    """Return the split of a grid's cell: one cell a row, on a slanted line, is test (even rows) or validation (odd)."""
    if column != (3 * row + 1) % columns:
        return "train"
    return "validation" if row % 2 else "test"


def expand(pattern: str) -> tuple[str, ...]:
    """Return the wordings of a pattern, in the order of its alternatives, without repetition.

    ``(large|big) number`` has two wordings. Groups nest, and an alternative may be empty. A word in capitals may be one
    of `MACROS`. So parentheses and bars can't be part of a wording.

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
