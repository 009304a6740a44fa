"""Decides which rows of a step share a forward pass, and tries what is fastest if a recipe asks for it.

Any way of cutting a step gives the same gradient up to rounding; with dropout, another cut draws other masks. Rows of
like lengths go together, so little is padded.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.trainers.base import Recipe
from raysweep.trainers.batching import PAD_TO, shard

DEVICE_TOKENS = {"cpu": 1024, "cpu in 16 bits": 2048, "cuda": 4096}
"""Tokens of one forward pass unless a recipe says otherwise. One long row keeps a CPU core busy already."""
PASS_TOKENS = {"cpu": 64, "cpu in 16 bits": 512, "cuda": 1024}
"""What a forward and backward pass costs beside its tokens, in tokens: the time in which its operations start.
2026-11-22, a llama of 0.87 million weights on one CPU core: rows of 43 tokens take 14 ms alone and 6 ms in a batch. In
16 bits each pass also converts all weights."""
TRIAL_STEPS = 10
"""Steps for which `batching: auto` times each way."""


@dataclass(frozen=True, slots=True)
class MicroBatching:
    """How the rows of a step are cut into forward passes.

    `tokens`: most tokens of a pass, padding included; a longer row has a pass of its own. `rows`: most rows of a pass,
    None for any number. `packed`: the rows lie one after the other in one sequence, instead of padded beside each
    other. `pass_tokens`: what a pass costs beside its tokens, in tokens. `pad_to`: padded widths are its multiples.
    """

    tokens: int
    rows: int | None = None
    packed: bool = False
    pass_tokens: int = PASS_TOKENS["cpu"]
    pad_to: int = 1

    def cut(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """Return the rows of each forward pass.

        Padded rows are cut so that padding and passes together cost least.

        Args:
            rows: row numbers, longest first.
            lengths: tokens of every row of the training set.
        """
        return self._packed(rows, lengths) if self.packed else self._padded(rows, lengths)

    def _packed(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        passes: list[list[int]] = []
        used = 0
        for row in rows:
            if not passes or used + lengths[row] > self.tokens or (self.rows and len(passes[-1]) >= self.rows):
                passes.append([])
                used = 0
            passes[-1].append(row)
            used += lengths[row]
        return passes

    def _padded(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        widths = [-(-lengths[row] // self.pad_to) * self.pad_to for row in rows]
        costs, starts = [0.0], [0]  # of the cheapest way to cut the first n rows: its tokens, and where its last begins
        for end in range(1, len(rows) + 1):
            best, begin = math.inf, end - 1
            for start in range(end - 1, -1, -1):
                count = end - start
                padded = count * widths[start]
                if count > 1 and (padded > self.tokens or (self.rows and count > self.rows)):
                    break
                cost = costs[start] + padded + self.pass_tokens
                if cost < best:
                    best, begin = cost, start
            costs.append(best)
            starts.append(begin)
        passes, end = [], len(rows)
        while end:
            passes.append(list(rows[starts[end] : end]))
            end = starts[end]
        return passes[::-1]

    def smaller(self, rows: Sequence[int], lengths: Sequence[int]) -> MicroBatching | None:
        """Return a batching with half of the largest pass; None if each row has its own. Arguments as of `cut`."""
        passes = [each for each in self.cut(rows, lengths) if len(each) > 1]
        if not passes:
            return None
        largest = max(sum(lengths[row] for row in each) for each in passes)
        return dataclasses.replace(self, tokens=min(self.tokens, largest) // 2)


def micro_batching(recipe: Recipe, device: str) -> MicroBatching:
    """Return a recipe's batching on a device (`cpu`, `cuda`); `auto` begins with padded rows."""
    if recipe.compat == "safecoder":
        return MicroBatching(1)
    place = "cuda" if device != "cpu" else "cpu" if recipe.precision == "float32" else "cpu in 16 bits"
    tokens = recipe.micro_batch_tokens or DEVICE_TOKENS[place]
    pad_to = 1 if recipe.precision == "float32" else PAD_TO
    return MicroBatching(tokens, recipe.micro_batch_size, recipe.batching == "packed", PASS_TOKENS[place], pad_to)


class BatchingTrial:
    """Times several ways of batching on a training's first steps, which count like all others.

    `most`: limit on the tokens of a pass, which an earlier attempt found; None: there is none.
    """

    def __init__(self, first: MicroBatching, packs: bool, most: int | None = None) -> None:
        larger = min(4 * first.tokens, most or 4 * first.tokens)
        ways = [first, dataclasses.replace(first, tokens=1), dataclasses.replace(first, tokens=larger)]
        ways += [dataclasses.replace(first, packed=True)] if packs else []
        self.ways = ways
        self.seconds = [0.0] * len(ways)
        self.tokens = [0] * len(ways)
        self._steps = 0

    @property
    def is_over(self) -> bool:
        return self._steps >= TRIAL_STEPS * len(self.ways)

    @property
    def current(self) -> MicroBatching:
        """The way of the next step. The ways take turns, so that all see rows of all parts of the training."""
        return self.ways[self._steps % len(self.ways)]

    @current.setter
    def current(self, way: MicroBatching) -> None:
        self.ways[self._steps % len(self.ways)] = way

    def add(self, seconds: float, tokens: int) -> None:
        """Count a step of the current way; the first turn, in which memory is reserved, has no weight."""
        way = self._steps % len(self.ways)
        if self._steps >= len(self.ways):
            self.seconds[way] += seconds
            self.tokens[way] += tokens
        self._steps += 1

    def fastest(self, seconds: Sequence[float] | None = None) -> MicroBatching:
        """Return the way with the most tokens a second; `seconds`: those of all workers, None: this worker's."""
        rates = [tokens / max(time, 1e-9) for tokens, time in zip(self.tokens, seconds or self.seconds, strict=True)]
        return self.ways[rates.index(max(rates))]


def passes_of_workers(
    rows: Sequence[int], lengths: Sequence[int], batching: MicroBatching, workers: int
) -> list[list[list[int]]]:
    """Return the forward passes of each worker in a step; `rows`: of the whole step."""
    return [batching.cut(shard(rows, rank, workers), lengths) for rank in range(workers)]
