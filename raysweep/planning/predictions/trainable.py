"""Refuses a training that its worker can't hold or compute, before it starts, and finds the nearest setting that fits.

What a worker has is compared with the predicted peak in forward passes of one row, since a training whose passes don't
fit makes them smaller itself.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.machine import emulates
from raysweep.models.architectures.shape import BYTES, Shape
from raysweep.models.rounding import AMPERE
from raysweep.planning.plan import ArtefactPlan, BasePlan, ModelPlan
from raysweep.planning.predictions.costs import base_shape, least_memory
from raysweep.planning.predictions.fit import Room
from raysweep.planning.predictions.rooms import room_of_worker
from raysweep.records import ModelKind
from raysweep.trainers.base import TRAINERS, Recipe
from raysweep.trainers.memory import TrainingMemory
from raysweep.trainers.sharding.choice import sharding_name, unshared_setting
from raysweep.units import count, size

MOST_WORKERS = 64

log = logging.getLogger("raysweep")


@dataclass(frozen=True)
class _Training:
    """A training to come: of a cell, or of a base model that is made from scratch."""

    what: str
    base: BasePlan
    recipe: Recipe
    recipe_name: str


def require_fit(config: SweepConfig, plans: Sequence[ArtefactPlan], is_here: bool = True) -> None:
    """Raise UsageError if a training needs more memory than a worker has, or bf16 where it has none.

    A CPU that only emulates a recipe's 16 bits is warned of: it computes, slowly.

    `is_here`: workers run on this machine, and not on those of another Ray.
    """
    kinds: dict[tuple[str, str], list[_Training]] = {}
    for training in _trainings(config, plans):
        kinds.setdefault((training.base.name, training.recipe_name), []).append(training)
    too_large: list[_Training] = []
    reason = ""  # of the first one
    for (model, recipe), trainings in kinds.items():
        asked = config.asked("training", model, recipe)
        room = room_of_worker(asked, is_here)
        if room is None:
            continue
        wrong = [training for training in trainings if room.lack(0, training.recipe.precision in AMPERE)]
        if wrong:
            raise UsageError(
                f"{_these(wrong)} can't be trained: {room.source} {room.lack(0, in_bf16=True)}; give "
                f"`recipes.{recipe}` `precision: float16` or `float32`, or ask for another type of GPU by "
                f"`resources.labels`"
            )
        if is_here and not asked.gpus and emulates(trainings[0].recipe.precision):
            log.warning(
                "%s would be trained in %s, which this machine's CPU only emulates, at a fraction of float32's speed; "
                "better give `recipes.%s` `precision: float32`",
                model,
                trainings[0].recipe.precision,
                recipe,
            )
        needed = least_memory(base_shape(trainings[0].base), trainings[0].recipe, bool(asked.gpus))
        if needed is not None and room.lack(needed.peak):
            too_large += trainings
            reason = reason or _reason(trainings[0], needed, room, bool(asked.gpus))
    if too_large:
        raise UsageError(f"{_these(too_large)} can't be trained: {reason}")


def _these(trainings: Sequence[_Training]) -> str:
    others = len(trainings) - 1
    return trainings[0].what + f" (and {count(others, 'training')} more)" * bool(others)


def _trainings(config: SweepConfig, plans: Sequence[ArtefactPlan]) -> Iterator[_Training]:
    pretrained = {model.name: model.pretrain.recipe for model in config.models if model.pretrain}
    for plan in plans:
        if isinstance(plan, ModelPlan) and plan.cell.recipe is not None and plan.cell.is_fine_tuned:
            cell = plan.cell
            yield _Training(f"cell {cell.cell.id}", cell.base, plan.cell.recipe, cell.cell.recipe)
        elif isinstance(plan, BasePlan) and plan.recipe is not None:
            yield _Training(f"base model {plan.name}", plan, plan.recipe, pretrained.get(plan.name, ""))


def settings_that_fit(shape: Shape, recipe: Recipe, room: Room, on_gpu: bool) -> dict[str, object]:
    """Return the nearest settings of a recipe with which a worker holds the training; empty if none does.

    Each alone is tried first, in the order of what it costs: time for gradient checkpointing, rounding for bf16, the
    processor's memory, other workers; last comes another trainer. Then they are added up.
    """
    ladder = list(_ladder(recipe, on_gpu, room.has_bf16))
    together: dict[str, object] = {}
    sums = [together := {**together, **change} for change in ladder]
    for change in [*ladder, *sums]:
        needed = least_memory(shape, dataclasses.replace(recipe, **change), on_gpu)  # type: ignore[arg-type]
        if needed is not None and not room.lack(needed.peak):
            return change
    return {}


def _ladder(recipe: Recipe, on_gpu: bool, has_bf16: bool) -> Iterator[dict[str, object]]:
    """Yield the changes of a recipe that save memory, the cheapest first.

    Those that the recipe's other settings contradict are left out. On CPUs the workers share one machine's memory, so
    more of them don't help.
    """
    is_free = recipe.compat is None
    if not recipe.gradient_checkpointing:
        yield {"gradient_checkpointing": True}
    if BYTES[recipe.precision] == 4 and is_free and has_bf16:
        yield {"precision": "bf16"}
    if on_gpu and is_free and not recipe.compile and not unshared_setting(recipe):
        now = sharding_name(recipe, recipe.workers)
        parallel = {"parallel": "zero2" if now == "ddp" else now}
        if recipe.offload is None:
            yield {**parallel, "offload": "optimizer"}
        workers = max(2, 2 * recipe.workers)
        while workers <= min(recipe.batch_size, MOST_WORKERS):
            yield {**parallel, "workers": workers}
            workers *= 2
    if TRAINERS.get(recipe.trainer).kind is ModelKind.FULL:
        yield {"trainer": "lora"}


def _reason(training: _Training, needed: TrainingMemory, room: Room, on_gpu: bool) -> str:
    shape, name = base_shape(training.base), training.recipe_name
    assert shape is not None
    changes = settings_that_fit(shape, training.recipe, room, on_gpu)
    if changes:
        values = ", ".join(f"{key}: {str(value).lower()}" for key, value in changes.items())
        way = f"the nearest settings of `recipes.{name}` that fit: {values}"
    else:
        way = "no setting of the recipe fits; lower its `max_tokens`, or take a worker with more memory"
    way += "; or give it a larger share (`resources.training.gpus`)" if room.share < 1 else ""
    parts = f"weights {size(needed.weights)}, gradients {size(needed.gradients)}, optimizer {size(needed.optimizer)}"
    return f"{room.source} {room.lack(needed.peak)} ({parts}, the rest for activations and the loss); {way}"
