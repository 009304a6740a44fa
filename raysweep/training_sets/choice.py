"""Which rows of a source a training set takes, each clean or after which method (study.md section 2)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.errors import UsageError
from raysweep.seeding import python_rng

CLEAN = "clean"
UNION = "union"
COMPOSE = ("draw", UNION, "stack")


@dataclass(frozen=True)
class Choice:
    """What share of the rows is perturbed, and how many rows there are.

    Attributes:
        ratio: share of perturbed rows, 0 to 1: exactly round(ratio x n), drawn without replacement, the order kept.
        draw: which draw of them.
        size: rows as a multiple of the source's; at another one than 1 the perturbed rows are drawn from all pairs of
            row and method, and the clean ones without replacement until none is left, then again.
        compose: how an aggregate's methods come to the rows: ``draw`` one for a row, ``union`` a row for each,
            ``stack`` one after the other on each row.
    """

    ratio: float = 1.0
    draw: int = 0
    size: float = 1.0
    compose: str = "draw"


def check_choice(choice: Choice) -> None:
    """Raise UsageError where a choice makes no sense."""
    if not 0 <= choice.ratio <= 1:
        raise UsageError(f"ratio {choice.ratio} is not between 0 and 1; it is the share of rows to perturb")
    if not choice.size > 0:
        raise UsageError(f"size {choice.size} is not above 0; it is the number of rows as a multiple of the source's")
    if choice.compose not in COMPOSE:
        raise UsageError(f"compose {choice.compose!r} is none of {', '.join(COMPOSE)}")
    if choice.size != 1 and choice.compose == UNION:
        raise UsageError("`size` takes rows from all methods already; leave out `compose: union`")


class Chooser:
    """Says what becomes of each row of a source.

    Args:
        choice: as planned.
        rows: of the source.
        methods: the names of the set's methods.
        seed: of the study.

    Raises:
        UsageError: more perturbed rows are asked for than there are pairs of row and method.
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

    def of(self, at: int, drawn: str) -> list[str]:
        """Return the methods after which the row number `at` is taken, once each; `CLEAN` for the clean row.

        Args:
            at: the row's number in the source.
            drawn: the method that an aggregate draws for it.
        """
        if self._chosen is None:
            return [*self._pairs.get(at, ()), *[CLEAN] * self._clean[at]]
        if at not in self._chosen:
            return [CLEAN]
        return list(self._methods) if self._union else [drawn]

    def _draw_pairs(self, total: int, ratio: float, rows: int, rng: random.Random) -> None:
        count, width = round(ratio * total), len(self._methods)
        if count > rows * width:
            raise UsageError(f"{count} perturbed rows are asked for, and {rows} rows x {width} methods give fewer")
        for pair in sorted(rng.sample(range(rows * width), count)):
            self._pairs.setdefault(pair // width, []).append(self._methods[pair % width])
        passes, rest = divmod(total - count, rows)
        self._clean = Counter(dict.fromkeys(range(rows), passes))
        self._clean.update(rng.sample(range(rows), rest))
