from __future__ import annotations

import itertools
import random

import pytest

from raysweep.trainers.base import Recipe
from raysweep.trainers.micro_batches import BatchingTrial, MicroBatching, micro_batching, passes_of_workers


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


def test_a_trial_keeps_the_way_with_the_most_tokens_a_second():
    trial = BatchingTrial(MicroBatching(100), packs=True)
    assert len(trial.ways) == 4
    while not trial.is_over:
        trial.add(seconds=1 if trial.current.packed else 2, tokens=1000)
    assert trial.fastest().packed
    assert BatchingTrial(MicroBatching(100), packs=False, most=150).ways[2].tokens == 150
