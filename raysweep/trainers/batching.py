"""Turns rows into batches: rehearsal, order, shards, forward passes, padding.

The order of rows is a pure function, so a resumed training needs to know only its step. Any way of cutting a step into
forward passes gives the same gradient up to rounding; with dropout, another cut draws other masks. Rows of like lengths
share a pass, so little is padded.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from raysweep.accelerators import DataSheet
from raysweep.errors import UsageError
from raysweep.models.architectures.shape import BYTES
from raysweep.records import TrainingRow
from raysweep.seeding import python_rng
from raysweep.trainers.base import Recipe, Row

if TYPE_CHECKING:
    import numpy as np
    import torch

T = TypeVar("T")
REJECTED = "rejected_ids"
"""The key of an encoded row with the token ids of its prompt and rejected response."""
PAD_TO = 8
"""In 16 bits the widths of batches are multiples of this number: few different shapes limit the memory of bf16 kernels
on CPUs, and suit the tensor cores of GPUs."""
DEVICE_TOKENS = {"cpu": 1024, "cpu in 16 bits": 2048, "cuda": 4096}
"""Tokens of one forward pass unless a recipe says otherwise. One long row keeps a CPU core busy already; more tokens of
padded rows gain nothing on a GPU, since padding grows. An accelerator whose memory is known takes no more of them than
fit, and as many of packed ones (`raysweep.trainers.memory.tokens_that_fit`)."""
PASS_TOKENS = {"cpu": 64, "cpu in 16 bits": 512, "cuda": 256}
"""What a forward and backward pass costs beside its tokens, in tokens: the time in which its operations start.
2026-11-22, a llama of 0.87 million weights on one CPU core: rows of 43 tokens take 14 ms alone and 6 ms in a batch. In
16 bits each step also converts all weights. On GPUs a pass reads weights and adds up gradients: 12 bytes of each take
an H100 as long as 6 FLOPs of 300 tokens."""
LEAST_TOKENS = 1024
"""Tokens that take a GPU as long as its operations take to start, where its speed is unknown: fewer cost as much."""
FLOPS_OF_LEAST = 989.4e12 / 2700
"""Peak FLOP/s over that number. 2026-11-22, H100 in bf16: a pass of a model of 1 billion weights starts in 58 ms, in
which it computes 2,700 tokens; one of 7 billion with LoRA in 300 ms, and 2,800."""
TRIAL_STEPS = 10
"""Steps for which `batching: auto` times each way."""


def rehearse(rows: Sequence[TrainingRow], share: float, seed: int) -> list[TrainingRow]:
    """Return the rows, exactly round(share x n) of them with their clean text; the seed alone decides which."""
    chosen = set(python_rng(seed, "rehearsal").sample(range(len(rows)), round(share * len(rows))))
    return [
        dataclasses.replace(row, instruction=row.clean_instruction, input=row.clean_input) if i in chosen else row
        for i, row in enumerate(rows)
    ]


def total_steps(rows: int, recipe: Recipe) -> int:
    """Return the number of optimizer steps: `recipe.steps`, or (rows // batch) x epochs without an epoch's remainder.

    Raises:
        UsageError: there are fewer rows than one step takes, fewer rows per step than workers, or no step at all.
    """
    if rows < recipe.batch_size:
        raise UsageError(f"{rows} usable training rows are fewer than `batch_size: {recipe.batch_size}`")
    if recipe.batch_size < recipe.workers:
        raise UsageError(f"`batch_size: {recipe.batch_size}` gives some of {recipe.workers} workers no row")
    steps = steps_of(rows, recipe)
    if steps < 1:
        raise UsageError(f"`epochs: {recipe.epochs}` of {rows} rows is not one step of {recipe.batch_size}")
    return steps


def steps_of(rows: int, recipe: Recipe) -> int:
    return recipe.steps if recipe.steps is not None else int(rows // recipe.batch_size * recipe.epochs)


class DataOrder:
    """Decides which rows each step takes.

    An epoch is a permutation drawn from (seed, epoch) and cut into steps; rows left over at its end are dropped.

    Args:
        lengths: tokens of each row.
        batch_size: rows of one step, over all workers.
        length_buckets: the rows of this many steps are sorted by length together before they are cut into steps, whose
            order is then drawn; 0: rows stay in random order.
        seed: the seed of the training.
        carries_tails: an epoch's left-over rows come before those of the next epoch's first step, in the same step, and
            rows keep their order; so SafeCoder's gradients add up.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, length_buckets: int, seed: int, carries_tails: bool = False
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.length_buckets = length_buckets
        self.seed = seed
        self.steps_per_epoch = len(lengths) // batch_size
        self.carries_tails = carries_tails
        self._cached_epoch: tuple[int, list[list[int]]] = (-1, [])  # number and steps of the latest epoch

    def rows(self, step: int) -> list[int]:
        """Return the row numbers of a step (from 0), longest first; earlier calls don't matter."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if self._cached_epoch[0] != epoch:
            self._cached_epoch = (epoch, self._epoch(epoch))
        if self.carries_tails:
            tail = self._order(epoch - 1)[self.steps_per_epoch * self.batch_size :] if epoch and not index else []
            return [*tail, *self._cached_epoch[1][index]]
        return sorted(self._cached_epoch[1][index], key=lambda row: -self.lengths[row])

    def _order(self, epoch: int, rng: random.Random | None = None) -> list[int]:
        order = list(range(len(self.lengths)))
        (rng or python_rng(self.seed, "order", epoch)).shuffle(order)
        return order

    def _epoch(self, epoch: int) -> list[list[int]]:
        rng = python_rng(self.seed, "order", epoch)
        order = self._order(epoch, rng)[: self.steps_per_epoch * self.batch_size]
        if not self.length_buckets:
            return chunks(order, self.batch_size)
        steps = []
        for bucket in chunks(order, self.batch_size * self.length_buckets):
            sorted_steps = chunks(sorted(bucket, key=lambda row: self.lengths[row]), self.batch_size)
            rng.shuffle(sorted_steps)
            steps += sorted_steps
        return steps


def chunks(items: Sequence[T], size: int | None) -> list[list[T]]:
    """Cut a sequence into lists of `size` items, the last one may be shorter; None gives a single list."""
    size = size or max(1, len(items))
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def shard(rows: Sequence[T], rank: int, world_size: int) -> list[T]:
    """Return a worker's share of a step's rows: every `world_size`-th, so that all workers get similar lengths."""
    return list(rows[rank::world_size])


def compact(row: Mapping[str, list[Any]]) -> Row:
    """Return an encoded row as arrays: whole numbers as int8 or int32, others as float32.

    A row of Python's lists takes some 50 bytes a token, and a training set is held by every worker.
    """
    import numpy as np

    arrays = {}
    for key, values in row.items():
        array = np.asarray(values, dtype=None if values else np.int32)
        if array.dtype.kind == "f":
            arrays[key] = array.astype(np.float32)
        else:
            is_small = not array.size or -128 <= array.min() <= array.max() <= 127
            arrays[key] = array.astype(np.int8 if is_small else np.int32)
    return arrays


def _numbers(values: Any) -> np.ndarray:
    """Return values as torch computes with them: int64 or float32."""
    import numpy as np

    array = np.asarray(values)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def collate(rows: Sequence[Mapping[str, Any]], max_tokens: int, pad_to: int = PAD_TO) -> dict[str, torch.Tensor]:
    """Pad encoded rows on the right, with zeros, to a multiple of `pad_to` (up to `max_tokens`), and mask by length.

    Returns:
        One (rows, tokens) tensor for each key of the rows, each padded to a width of its own; `attention_mask`: 1 where
        `input_ids` has a token; and where there are `rejected_ids`, `rejected_attention_mask`.
    """
    import numpy as np
    import torch

    batch = {}
    for key in rows[0]:
        longest = max(len(row[key]) for row in rows)
        width = max(longest, min(-(-longest // pad_to) * pad_to, max_tokens))
        padded = np.zeros((len(rows), width), dtype=_numbers(rows[0][key]).dtype)
        for line, row in zip(padded, rows, strict=True):
            line[: len(row[key])] = row[key]
        batch[key] = torch.from_numpy(padded)
    for ids in {"input_ids", REJECTED} & batch.keys():
        lengths = torch.tensor([[len(row[ids])] for row in rows])
        batch[mask_of(ids)] = (torch.arange(batch[ids].shape[1]) < lengths).long()
    return batch


def mask_of(ids: str) -> str:
    return "attention_mask" if ids == "input_ids" else "rejected_attention_mask"


def collate_packed(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """Lay encoded rows one after the other in a single sequence.

    Returns:
        One (1, tokens of all rows) tensor for each key of the rows, and `position_ids`, which begin with 0 in each row:
        transformers lets no token attend to another row then.
    """
    import numpy as np
    import torch

    batch = {key: torch.from_numpy(np.concatenate([_numbers(row[key]) for row in rows]))[None] for key in rows[0]}
    batch["position_ids"] = torch.cat([torch.arange(len(row["input_ids"])) for row in rows])[None]
    return batch


@dataclass(frozen=True, slots=True)
class MicroBatching:
    """How the rows of a step are cut into forward passes.

    `tokens`: most tokens of a pass, padding included; a longer row has a pass of its own. `rows`: most rows of a pass,
    None for any number. `packed`: the rows lie one after the other in one sequence, instead of padded beside each
    other. `pass_tokens`: what a pass costs beside its tokens, in tokens. `pad_to`: padded widths are its multiples.
    `least_tokens`: a pass of fewer costs as much as one of so many.
    """

    tokens: int
    rows: int | None = None
    packed: bool = False
    pass_tokens: int = PASS_TOKENS["cpu"]
    pad_to: int = 1
    least_tokens: int = 0

    def cut(self, rows: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
        """Return the rows of each forward pass.

        Padded rows are cut so that padding and passes together cost least.

        Args:
            rows: row numbers, longest first.
            lengths: tokens of every row of the training set.
        """
        if not self.packed:
            return self._padded(rows, lengths)
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
                cost = costs[start] + max(padded, self.least_tokens) + self.pass_tokens
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
    in_16_bits = BYTES[recipe.precision] == 2
    place = "cuda" if device != "cpu" else "cpu in 16 bits" if in_16_bits else "cpu"
    tokens, packs = recipe.micro_batch_tokens or DEVICE_TOKENS[place], recipe.batching == "packed"
    pad_to = PAD_TO if in_16_bits else 1
    least = LEAST_TOKENS if place == "cuda" else 0
    return MicroBatching(tokens, recipe.micro_batch_size, packs, PASS_TOKENS[place], pad_to, least)


def least_tokens(recipe: Recipe, sheet: DataSheet) -> int:
    """Return how many tokens take an accelerator as long as a pass's operations take to start."""
    return round(sheet.flops(recipe.precision) / FLOPS_OF_LEAST)


class BatchingTrial:
    """Times several ways of batching on a training's first steps, which count like all others.

    `most`: limit on the tokens of a pass, which an earlier attempt found, or an accelerator holds by prediction; None:
    there is none. Packed rows fill it.
    """

    def __init__(self, first: MicroBatching, packs: bool, most: int | None = None) -> None:
        larger = min(4 * first.tokens, most or 4 * first.tokens)
        ways = [first, dataclasses.replace(first, tokens=1), dataclasses.replace(first, tokens=larger)]
        ways += [dataclasses.replace(first, packed=True, tokens=most or first.tokens)] if packs else []
        self.ways = list(dict.fromkeys(ways))
        self.seconds = [0.0] * len(self.ways)
        self.tokens = [0] * len(self.ways)
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
