"""Chooses the block that an editor changes: a number, a place, a random one or DINM's.

DINM's block (Wang et al. 2024, https://arxiv.org/abs/2403.14472) is the one whose states are furthest apart on a safe
and an unsafe text: here the original prompt with its passing completion, and the perturbed one with its failing one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Any, Literal

from raysweep.models.families.blocks import compared_at
from raysweep.seeding import python_rng
from raysweep.trainers.editors.base import EditJob, require_block
from raysweep.trainers.editors.states import outputs, relative_distance
from raysweep.trainers.editors.texts import PairTokens

Place = Literal["first", "middle", "last", "random", "dinm"]
"""A block by its place: 0, N // 2, N - 1, one drawn by the edit's seed, DINM's."""


def block_at(place: Place | int, job: EditJob, blocks: Sequence[Any], examples: Sequence[PairTokens]) -> int:
    """Return the number of a block.

    `job`: the edit; its base is frozen. A random block depends on its seed and the names of its first pair only.
    `examples`: tokens of its pairs, for DINM's block.

    Raises:
        UsageError: the model has no such block.
    """
    number = len(blocks)
    require_block(place, number, f"this {job.family} model")
    if isinstance(place, int):
        return place
    if place == "dinm":
        distances = [dinm_distances(job, tokens) for tokens in examples]
        return max(range(number), key=lambda block: fsum(of_example[block] for of_example in distances))
    if place == "random":
        pair = job.pair
        rng = python_rng(job.seed, "block of an edit", pair.problem_set, pair.perturbation, pair.task_id)
        return rng.randrange(number)
    return {"first": 0, "middle": number // 2, "last": number - 1}[place]


def dinm_distances(job: EditJob, tokens: PairTokens) -> list[float]:
    """Return for each block how far its states on the safe and the unsafe text are apart, over shared positions.

    Shared are the last ones of both, as many as the shorter text has. The distances are relative to the safe text's.
    """
    network = job.base.network
    compared = compared_at(network, job.family)
    safe = outputs(network, compared, [*tokens.original, *tokens.passing])
    unsafe = outputs(network, compared, [*tokens.perturbed, *tokens.failing])
    shared = min(len(safe[0]), len(unsafe[0]))
    return [relative_distance(one[-shared:], other[-shared:]) for one, other in zip(safe, unsafe, strict=True)]
