"""Turns rows into batches: rehearsal, order, shards, padding.

All functions are pure, so a resumed training needs to know only its step.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from raysweep.errors import UsageError
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
