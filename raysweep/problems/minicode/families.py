"""What a family of tasks is: one meaning, its wordings, its code, its split.

Not covered here: the families themselves (`atoms`, `lists`, `strings`, `words`) and how tasks are drawn (`world`).
"""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from raysweep.problems.minicode.wordings import expand

Kind = Literal["atoms", "lists", "strings", "words"]
Argument = Literal["pair", "int", "nat", "string", "list", "words"]
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Family:
    """Tasks that mean the same but for their constants.

    `prose` is a pattern of `wordings.expand`. `body` holds the lines of the reference without indentation. Both may
    name the constants ``{k}``, ``{j}`` (numbers) and ``{c}`` (a letter); `body` the arguments ``{x}`` and ``{y}``.
    """

    name: str  # unique and, for a composition, also its informative function name
    kind: Kind
    argument: Argument  # what the function takes: decides its argument names and its test inputs
    prose: str
    body: str
    split: Split = "train"  # where the family may occur at all; "train": everywhere, with wordings of its own

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """The constants that the body uses, in order of appearance."""
        fields = [name for _, name, _, _ in string.Formatter().parse(self.body) if name]
        return tuple(dict.fromkeys(name for name in fields if name in "kjc"))

    @cached_property
    def wordings(self) -> dict[Split, tuple[str, ...]]:
        """The wordings by split. A held-out family has all of them in its split."""
        parts: dict[Split, list[str]] = {"train": [], "validation": [], "test": []}
        for wording in expand(self.prose):
            split = self.split if self.split != "train" else split_of(f"{self.name}|{wording}")
            parts[split].append(wording)
        return {split: tuple(found) for split, found in parts.items()}


def split_of(text: str) -> Split:
    """Assign a text to a split by its hash: a tenth to test, a tenth to validation, the rest to training."""
    tenth = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10
    return "test" if tenth == 0 else "validation" if tenth == 1 else "train"


def split_of_cell(row: int, column: int, columns: int) -> Split:
    """Hold out one cell of each row of a grid, on a slanted line: even rows for test, odd rows for validation."""
    if column != (3 * row + 1) % columns:
        return "train"
    return "validation" if row % 2 else "test"
