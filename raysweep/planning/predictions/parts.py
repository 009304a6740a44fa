"""Says what the memory of a training on its accelerator is taken by, and how large a forward pass fits there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raysweep.config.schema import SweepConfig
from raysweep.planning.plan import CellPlan
from raysweep.planning.predictions.costs import base_shape, predicted_memory
from raysweep.planning.predictions.rooms import room_of_worker
from raysweep.planning.predictions.sizes import RowFacts
from raysweep.trainers.base import objective_of
from raysweep.trainers.memory import MARGIN, Batch, TrainingMemory, tokens_that_fit, training_memory

MOST_ROWS = 4096
"""Of a batch; more are not looked for."""


@dataclass(frozen=True)
class TrainingParts:
    """What a training worker's memory is taken by, at the end of its largest forward pass. Sizes are in bytes.

    `on`: its accelerator, in words. `room`: what that has for tensors. `width`: tokens of the longest row. `rows`: how
    many such rows the largest forward pass that fits has, by prediction and margin; 0: not even one.
    """

    model: str
    recipe: str
    on: str
    room: int
    memory: TrainingMemory
    rows: int
    width: int


def training_parts(
    config: SweepConfig, cells: Iterable[CellPlan], rows: Mapping[str, RowFacts]
) -> tuple[TrainingParts, ...]:
    """Return the parts of each model and recipe whose training asks for an accelerator of known memory.

    `rows`: what is known of training rows, by their keys.
    """
    parts: dict[tuple[str, str], TrainingParts] = {}
    for cell in cells:
        recipe, shape, names = cell.recipe, base_shape(cell.base), (cell.base.name, cell.cell.recipe)
        if recipe is None or cell.training_set is None or shape is None or names in parts:
            continue
        asked = config.asked("training", *names)
        room = room_of_worker(asked, is_here=False)
        facts = rows[cell.training_set.rows.node.key]
        available = room.bytes if room else None
        memory = predicted_memory(shape, recipe, bool(asked.gpus), facts.weighted, available, facts.tokens)
        if not asked.gpus or room is None or memory is None:
            continue
        longest = shape.positions or recipe.max_tokens
        width = min(recipe.max_tokens, longest)
        largest = dataclasses.replace(recipe, batch_size=MOST_ROWS * recipe.workers, micro_batch_size=None)
        of_row = objective_of(recipe).tokens(width, width) // width  # a pair is two sequences
        least = training_memory(shape, largest, Batch(of_row, width), on_gpu=True).peak
        fits = least * MARGIN <= room.bytes
        most = tokens_that_fit(shape, largest, longest, room.bytes) // width // of_row if fits else 0
        parts[names] = TrainingParts(*names, room.source, room.bytes, memory, most, width)
    return tuple(parts.values())
