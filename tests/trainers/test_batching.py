from __future__ import annotations

import dataclasses
import itertools
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysweep.accelerators import ACCELERATORS
from raysweep.errors import UsageError
from raysweep.trainers.base import Recipe
from raysweep.trainers.batching import (
    BatchingTrial,
    DataOrder,
    MicroBatching,
    chunks,
    collate,
    least_tokens,
    micro_batching,
    passes_of_workers,
    rehearse,
    shard,
    total_steps,
)
from tests.tiny import training_rows

LENGTHS = [(7 * i) % 50 + 5 for i in range(83)]


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.25, 10), (0.31, 12), (1, 40)])
def test_exactly_the_share_of_rows_is_rehearsed_clean_and_the_seed_says_which(share, count):
    rows = rehearse(training_rows(), share, seed=1)
    assert sum(row.instruction == row.clean_instruction for row in rows) == count
    assert [row.row_id for row in rows] == [row.row_id for row in training_rows()]
    assert rehearse(training_rows(), share, seed=1) == rows
    assert (rehearse(training_rows(), share, seed=2) == rows) == (share in (0, 1))


@given(st.integers(1, 20), st.integers(0, 5), st.integers(0, 99))
def test_an_epoch_shows_each_row_at_most_once_and_drops_less_than_a_step(size, buckets, seed):
    order = DataOrder(LENGTHS, size, buckets, seed)
    seen = [row for step in range(order.steps_per_epoch) for row in order.rows(step)]
    assert len(seen) == len(set(seen)) == len(LENGTHS) // size * size


def test_a_steps_rows_depend_on_the_step_and_the_seed_alone():
    whole = DataOrder(LENGTHS, 8, 3, 5)
    steps = [whole.rows(step) for step in range(25)]
    assert [DataOrder(LENGTHS, 8, 3, 5).rows(step) for step in (24, 3, 13)] == [steps[24], steps[3], steps[13]]
    assert steps[0] not in (steps[whole.steps_per_epoch], DataOrder(LENGTHS, 8, 3, 6).rows(0))


def test_length_buckets_bring_like_lengths_together():
    def spread(buckets: int) -> int:
        order = DataOrder(LENGTHS, 8, buckets, 5)
        steps = [[LENGTHS[row] for row in order.rows(step)] for step in range(order.steps_per_epoch)]
        return sum(max(lengths) - min(lengths) for lengths in steps)

    assert spread(10) < spread(3) < spread(0)


def test_a_steps_rows_are_shared_out_to_all_workers():
    rows = list(range(11))
    shares = [shard(rows, rank, 3) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == rows
    assert [len(share) for share in shares] == [4, 4, 3]


def test_chunks_cover_everything():
    assert chunks([1, 2, 3], 2) == [[1, 2], [3]]
    assert chunks([1, 2, 3], None) == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [
        (Recipe(epochs=2, batch_size=16), 3760),  # the study: 30,087 rows
        (Recipe(epochs=0.5, batch_size=16), 940),
        (Recipe(steps=7, batch_size=16), 7),
    ],
)
def test_the_number_of_steps_drops_each_epochs_tail(recipe, steps):
    assert total_steps(30087, recipe) == steps


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(batch_size=16), "fewer than `batch_size: 16`"),
        (Recipe(batch_size=2, workers=3), "3 workers"),
        (Recipe(batch_size=8, epochs=0.5), "not one step"),
    ],
)
def test_a_training_that_can_not_take_a_step_is_refused(recipe, message):
    with pytest.raises(UsageError, match=message):
        total_steps(8, recipe)


@pytest.mark.parametrize(("max_tokens", "width"), [(100, 16), (13, 13), (11, 11)])
def test_rows_are_padded_right_to_a_multiple_of_8_within_the_limit(max_tokens, width):
    rows: list[dict[str, list[Any]]] = [{"input_ids": [5] * n, "weights": [0.5] * n} for n in (11, 4)]
    batch = collate(rows, max_tokens)
    assert batch["input_ids"].shape == batch["weights"].shape == batch["attention_mask"].shape == (2, width)
    assert batch["attention_mask"].sum(dim=1).tolist() == [11, 4]
    assert batch["weights"].sum(dim=1).tolist() == [5.5, 2]
    assert bool((batch["attention_mask"][:, :-1] >= batch["attention_mask"][:, 1:]).all())  # padding on the right
    assert (batch["input_ids"].dtype, batch["weights"].dtype) == (torch.int64, torch.float32)


def cost(passes: list[list[int]], lengths: list[int], pass_tokens: int) -> int:
    widths = [-(-max(lengths[row] for row in each) // 8) * 8 for each in passes]
    return sum(len(each) * width + pass_tokens for each, width in zip(passes, widths, strict=True))


def every_cut(rows: list[int]) -> list[list[list[int]]]:
    cuts = []
    for ends in itertools.product((False, True), repeat=len(rows) - 1):
        passes = [[rows[0]]]
        for row, begins in zip(rows[1:], ends, strict=True):
            if begins:
                passes.append([])
            passes[-1].append(row)
        cuts.append(passes)
    return cuts


@pytest.mark.parametrize("seed", range(20))
def test_padded_rows_are_cut_at_the_least_cost_within_the_limits(seed):
    rng = random.Random(seed)
    lengths = sorted((rng.randint(5, 200) for _ in range(8)), reverse=True)
    rows = list(range(8))
    batching = MicroBatching(tokens=rng.choice([64, 300, 800]), rows=rng.choice([None, 3]), pad_to=8)
    passes = batching.cut(rows, lengths)
    assert [row for each in passes for row in each] == rows

    def fits(each: list[int]) -> bool:
        width = -(-lengths[each[0]] // 8) * 8
        return len(each) == 1 or (width * len(each) <= batching.tokens and len(each) <= (batching.rows or 8))

    assert all(map(fits, passes))
    allowed = [cut for cut in every_cut(rows) if all(map(fits, cut))]
    assert cost(passes, lengths, 64) == min(cost(cut, lengths, 64) for cut in allowed)


def test_packed_rows_fill_a_pass_up_to_its_tokens():
    lengths = [90, 60, 50, 40, 30, 5]
    assert MicroBatching(tokens=100, packed=True).cut(range(6), lengths) == [[0], [1], [2, 3], [4, 5]]


def test_a_row_that_is_longer_than_a_pass_has_one_of_its_own():
    assert MicroBatching(tokens=1).cut(range(3), [90, 60, 8]) == [[0], [1], [2]]


def test_the_worker_with_most_passes_decides_for_all():
    passes = passes_of_workers(range(16), [10] * 16, MicroBatching(tokens=1), workers=3)
    assert max(map(len, passes)) == 6


def test_a_recipe_says_how_and_the_device_how_much():
    assert micro_batching(Recipe(), "cpu").tokens == 1024
    assert micro_batching(Recipe(precision="bf16"), "cpu").tokens == 2048
    assert micro_batching(Recipe(), "cuda").tokens == 4096
    assert micro_batching(Recipe(batching="packed", micro_batch_tokens=99), "cpu") == MicroBatching(99, packed=True)
    assert micro_batching(Recipe(compat="safecoder"), "cuda").tokens == 1


def test_padding_is_free_up_to_the_tokens_that_a_pass_costs_anyway():
    lengths = [100, 100, 10, 10, 10]
    by_tokens = MicroBatching(tokens=1000, pass_tokens=1)
    assert by_tokens.cut(range(5), lengths) == [[0, 1], [2, 3, 4]]
    assert dataclasses.replace(by_tokens, least_tokens=400).cut(range(5), lengths) == [[0, 1, 2, 3, 4]]
    float32, bf16 = (least_tokens(Recipe(precision=name), ACCELERATORS["H100"]) for name in ("float32", "bf16"))
    assert (float32, bf16) == (183, 2700)


def test_a_trial_keeps_the_way_with_the_most_tokens_a_second():
    trial = BatchingTrial(MicroBatching(100), packs=True)
    assert len(trial.ways) == 4
    while not trial.is_over:
        trial.add(seconds=1 if trial.current.packed else 2, tokens=1000)
    assert trial.fastest().packed
    assert BatchingTrial(MicroBatching(100), packs=False, most=150).ways[2].tokens == 150
