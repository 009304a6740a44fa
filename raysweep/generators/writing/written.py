"""What rows have written, in arrays: a token of thousands of rows takes a few calls, and Python looks at few of them.

It looks at a row whose budget ends, and at one whose newest token may end it. Which tokens these are depends on the
row's end tokens and stop strings, and is learned as tokens are written: at first each of them may.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.generators.rows import WrittenRow

COUNTS = np.dtype([("size", int), ("budget", int), ("kind", int), ("written", int), ("ended", bool)])
"""Of a row: most tokens of prompt and completion; of the completion; which end tokens and stop strings it has, see
`Endings`; how many tokens are written; and whether it has ended."""
Stops = Callable[[WrittenRow, int], bool | None]
"""Whether a row's stop strings end it with the token that it just got; None: they end no row with it, whatever the row
has written before."""


class Endings:
    """Says which rows end with a token; `stops`: which ones do beside those of their `ends` and budgets."""

    def __init__(self, stops: Stops) -> None:
        self.stops = stops
        self._kinds: dict[tuple[frozenset[int], tuple[str, ...]], int] = {}  # by end tokens and stop strings
        self._may_end = np.ones((0, 0), dtype=bool)  # (kinds, tokens)

    def kinds(self, rows: Sequence[WrittenRow]) -> list[int]:
        """Return a number for each row; rows of equal end tokens and stop strings have the same one."""
        return [self._kinds.setdefault((frozenset(row.ends), row.stop), len(self._kinds)) for row in rows]

    def may_end(self, kinds: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Return whether a row of each kind may end with the token beside it, (rows,)."""
        known, more = self._may_end.shape, int(tokens.max()) + 1
        if len(self._kinds) > known[0] or more > known[1]:
            missing = ((0, len(self._kinds) - known[0]), (0, max(0, more - known[1])))
            self._may_end = np.pad(self._may_end, missing, constant_values=True)
        may_end: np.ndarray = self._may_end[kinds, tokens]
        return may_end

    def ends(self, row: WrittenRow, kind: int) -> bool:
        """Return whether a row has ended with its newest token."""
        token = row.written[-1]
        if token in row.ends or len(row.written) >= row.budget:
            return True
        stops = self.stops(row, token) if self._may_end[kind, token] else None
        if stops is None:
            self._may_end[kind, token] = False
        return bool(stops)


@dataclass
class Written:
    """Rows with the tokens that they have got.

    `rows`: their own lists of tokens are up to date where `row` gave them, and at their ends. `counts`: (rows,), see
    `COUNTS`. `tokens`: (rows, most tokens of a completion).
    """

    rows: list[WrittenRow]
    counts: np.ndarray
    tokens: np.ndarray

    @classmethod
    def of(cls, rows: list[WrittenRow], endings: Endings) -> Written:
        """Return rows that begin, or begin again with tokens that they have."""
        of_each = zip(rows, endings.kinds(rows), strict=True)
        counts = [(row.tokens, row.budget, kind, len(row.written), row.ended) for row, kind in of_each]
        tokens = np.zeros((len(rows), max(row.budget for row in rows)), dtype=int)
        for number, row in enumerate(rows):
            tokens[number, : len(row.written)] = row.written
        return cls(rows, np.array(counts, dtype=COUNTS), tokens)

    @property
    def live(self) -> np.ndarray:
        """Whether each row has not ended, (rows,)."""
        ended: np.ndarray = self.counts["ended"]
        return ~ended

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row's prompt and completion so far, (rows,)."""
        lengths: np.ndarray = self.counts["size"] - self.counts["budget"] + self.counts["written"]
        return lengths

    @property
    def has_last_token(self) -> bool:
        """Whether the next token is the last one that some row may get."""
        return bool((self.live & (self.counts["written"] + 1 >= self.counts["budget"])).any())

    def size(self, *, live: bool) -> int:
        """Return the tokens of which keys and values may be held for all rows, or for those that have not ended."""
        return int(self.counts["size"][self.live].sum() if live else self.counts["size"].sum())

    def row(self, number: int) -> WrittenRow:
        """Return a row with its tokens."""
        row = self.rows[number]
        row.written += self.tokens[number, len(row.written) : self.counts["written"][number]].tolist()
        return row

    def add(self, newest: np.ndarray, endings: Endings) -> int:
        """Give each row that has not ended a token, (rows,); return how many rows end."""
        live, counts = np.flatnonzero(self.live), self.counts
        newest = newest[live]
        self.tokens[live, counts["written"][live]] = newest
        counts["written"][live] += 1
        is_asked = endings.may_end(counts["kind"][live], newest)
        is_asked |= counts["written"][live] >= counts["budget"][live]
        asked = live[is_asked]
        of_each = zip(asked.tolist(), counts["kind"][asked].tolist(), strict=True)
        ended = [number for number, kind in of_each if endings.ends(self.row(number), kind)]
        counts["ended"][ended] = True
        for number in ended:
            self.rows[number].ended = True
        return len(ended)

    def only(self, numbers: Sequence[int]) -> Written:
        return Written([self.rows[number] for number in numbers], self.counts[numbers], self.tokens[numbers])

    def joined(self, other: Written) -> Written:
        width = max(self.tokens.shape[1], other.tokens.shape[1])
        tokens = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in (self.tokens, other.tokens)]
        counts = np.concatenate([self.counts, other.counts])
        return Written([*self.rows, *other.rows], counts, np.concatenate(tokens))
