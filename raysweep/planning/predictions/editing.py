"""What an edit takes: memory and hours of localization and steps, from the work that its editor says it does."""

from __future__ import annotations

from dataclasses import replace

from raysweep.config.models import RecipeConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.models.architectures.shape import BYTES, Shape
from raysweep.planning.predictions.sizes import ASSUMED_PROMPT_TOKENS
from raysweep.records import ModelKind
from raysweep.trainers.base import Recipe
from raysweep.trainers.editors.base import EditEffort
from raysweep.trainers.kinds import edits, kind_of
from raysweep.trainers.memory import Batch, flops_per_token, training_memory

COPIES = 5
"""Of the edited matrix, in float32: its change, the best one, the gradient and Adam's two states."""
PRECISIONS = {"float32": "float32", "tf32": "tf32", "bfloat16": "bf16", "float16": "float16"}
"""A recipe's name of the number format of a base."""


def edit_work(
    config: SweepConfig, recipe: Recipe | RecipeConfig, shape: Shape | None, examples: int = 1
) -> EditEffort | None:
    """Return how much an edit by a recipe does, of all its examples; None for another recipe, or if it isn't known."""
    if shape is None or not edits(recipe.trainer):
        return None
    try:
        work = config.editor(recipe).work(shape.layers)
    except UsageError:  # which the checks of configs tell
        return None
    return work and replace(work, completions=work.completions * examples, texts=work.texts * examples)


def editing_memory(shape: Shape, dtype: str, work: EditEffort, new: int, on_gpu: bool) -> int:
    """Return the bytes of an edit's tensors, without its localization's. `new`: tokens of a completion."""
    width = min(filter(None, (_width(work, new), shape.positions)))
    batch = Batch(max(1, work.pass_tokens // width), width)
    passes = training_memory(shape, _frozen(dtype, batch), batch, on_gpu).peak if work.texts else 0
    return max(passes, shape.weights * BYTES[dtype]) + COPIES * 4 * shape.hidden * shape.inner


def delta_bytes(shape: Shape, dtype: str, recipe: Recipe) -> int:
    """Return the stored bytes of the matrix that an edit changes; 0 of an adapter, which is smaller."""
    return shape.hidden * shape.inner * BYTES[dtype] if kind_of(recipe.trainer) is ModelKind.DELTA else 0


def stepping_seconds(shape: Shape, dtype: str, work: EditEffort, new: int, speed: float) -> float:
    """Return the seconds of an edit's steps. `new`: tokens of a completion. `speed`: FLOP/s."""
    tokens = _width(work, new)
    recipe = _frozen(dtype, Batch(1, tokens))
    return flops_per_token(shape, recipe, tokens) * tokens * work.texts / speed


def _width(work: EditEffort, new: int) -> int:
    return ASSUMED_PROMPT_TOKENS + (new if work.more is None else work.more)


def _frozen(dtype: str, batch: Batch) -> Recipe:
    precision = PRECISIONS[dtype]
    return Recipe(
        trainer="lora", precision=precision, batch_size=batch.rows, micro_batch_size=batch.rows, max_tokens=batch.width
    )
