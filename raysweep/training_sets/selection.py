"""Selects the rows of a training set, and for each row whether it is clean or which method perturbs it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.errors import UsageError
from raysweep.records import CLEAN
from raysweep.seeding import python_rng

UNION = "union"
COMPOSE = ("draw", UNION, "stack")


@dataclass(frozen=True)
class Choice:
    """How many rows a training set has, and which share of them is perturbed.

    Attributes:
        ratio: share of perturbed rows, 0 to 1; exactly round(ratio x n) rows are drawn without replacement, in order.
        draw: number of the draw of these rows; each number gives an independent one.
        size: number of rows as a multiple of the source's. For a size other than 1, perturbed rows are drawn from all
            pairs of row and method, and clean rows are drawn without replacement until none is left, then again.
        compose: how an aggregate's methods are applied: ``draw`` one for each row, ``union``: make a row for each, or
            ``stack``: apply all of them to each row, one after the other.
    """

    ratio: float = 1.0
    draw: int = 0
    size: float = 1.0
    compose: str = "draw"


def check_choice(choice: Choice) -> None:
    """Raise UsageError if the values of a choice are out of range or contradict each other."""
    if not 0 <= choice.ratio <= 1:
        raise UsageError(f"ratio {choice.ratio} is not between 0 and 1; it is the share of rows to perturb")
    if not choice.size > 0:
        raise UsageError(f"size {choice.size} is not above 0; it is the number of rows as a multiple of the source's")
    if choice.compose not in COMPOSE:
        raise UsageError(f"compose {choice.compose!r} is none of {', '.join(COMPOSE)}")
    if choice.size != 1 and choice.compose == UNION:
        raise UsageError("`size` takes rows from all methods already; leave out `compose: union`")


class Chooser:
    """Chooses for each row of a source whether the set takes it, and perturbed by which methods.

    Raises:
        UsageError: the choice needs more perturbed rows than there are pairs of row and method.
    """

    def __init__(self, choice: Choice, rows: int, methods: Sequence[str], seed: int) -> None:
        check_choice(choice)
        self._union = choice.compose == UNION
        self._methods = methods
        self._chosen: frozenset[int] | None = None
        self._pairs: dict[int, list[str]] = {}
        self._clean: Counter[int] = Counter()
        if choice.size == 1:
            rng = python_rng(seed, "ratio", repr(float(choice.ratio)), choice.draw)
            self._chosen = frozenset(rng.sample(range(rows), round(choice.ratio * rows)))
        else:
            names = (repr(float(choice.size)), repr(float(choice.ratio)), choice.draw)
            self._draw_pairs(round(choice.size * rows), choice.ratio, rows, python_rng(seed, "size", *names))

    def methods_of(self, index: int, drawn: str) -> list[str]:
        """Return a method for each time a row is taken, `CLEAN` for clean. `drawn`: an aggregate's method for it."""
        if self._chosen is None:
            return [*self._pairs.get(index, ()), *[CLEAN] * self._clean[index]]
        if index not in self._chosen:
            return [CLEAN]
        return list(self._methods) if self._union else [drawn]

    def _draw_pairs(self, total: int, ratio: float, rows: int, rng: random.Random) -> None:
        """Draw the perturbed rows from all pairs of row and method, then the clean rows."""
        count, width = round(ratio * total), len(self._methods)
        if count > rows * width:
            raise UsageError(f"{count} perturbed rows are asked for, and {rows} rows x {width} methods give fewer")
        for pair in sorted(rng.sample(range(rows * width), count)):
            self._pairs.setdefault(pair // width, []).append(self._methods[pair % width])
        passes, rest = divmod(total - count, rows)
        self._clean = Counter(dict.fromkeys(range(rows), passes))
        self._clean.update(rng.sample(range(rows), rest))
