"""Says what the memory of a training on its accelerator is taken by, and how large a forward pass fits there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from raysweep.config.schema import SweepConfig
from raysweep.planning.plan import CellPlan
from raysweep.planning.predictions.costs import base_shape, predicted_memory
from raysweep.planning.predictions.rooms import room_of_worker
from raysweep.planning.predictions.sizes import RowFacts
from raysweep.trainers.base import objective_of
from raysweep.trainers.memory import MARGIN, Batch, tokens_that_fit, training_memory
from raysweep.units import count, size

MOST_ROWS = 4096
"""Of a batch; more are not looked for."""


def training_parts(config: SweepConfig, cells: Iterable[CellPlan], rows: Mapping[str, RowFacts]) -> Iterator[str]:
    """Yield a line for each model and recipe whose training asks for an accelerator of known memory.

    It says what a worker's memory is taken by at the end of its largest forward pass, and how many of the longest rows
    the largest pass that fits has, by prediction and margin; 0: not even one. `rows`: by the keys of training rows.
    """
    seen = set()
    for cell in cells:
        recipe, shape, names = cell.recipe, base_shape(cell.base), (cell.base.name, cell.cell.recipe)
        if recipe is None or cell.training_set is None or shape is None or names in seen:
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
        seen.add(names)
        sizes = {"weights": memory.weights, "gradients": memory.gradients, "optimizer": memory.optimizer}
        sizes |= {"activations": memory.activations, "the loss": memory.loss, "all at most": memory.peak}
        shown = ", ".join(f"{part} {size(amount)}" for part, amount in sizes.items())
        yield (
            f"{names[0]}, recipe {names[1]}, memory on {room.source}: {shown} of {size(room.bytes)}; the largest pass "
            f"that fits: {count(most, 'row')} of {width:,} tokens"
        )
