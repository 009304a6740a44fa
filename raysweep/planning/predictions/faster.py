"""Names settings with which a sweep takes less of its accelerators' time and makes other artefacts.

A plan says them; only a config chooses them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from raysweep.config.schema import SweepConfig
from raysweep.generators.base import TRANSFORMERS
from raysweep.models.architectures.shape import BYTES
from raysweep.planning.plan import CellPlan
from raysweep.planning.predictions.costs import base_shape, least_memory
from raysweep.planning.predictions.rooms import room_of_worker
from raysweep.records import ModelKind
from raysweep.trainers.kinds import kind_of
from raysweep.trainers.memory import MARGIN
from raysweep.trainers.sharding.choice import sharding_name
from raysweep.units import first_of, size

ZERO_SPEED = 0.45
"""Of a worker with ZeRO-2, beside one without: StarCoderBase-1B in bf16 on one H100, 2026-11-22."""
VLLM_FROM = 3_000_000_000
"""Weights of a model from which vLLM may pay: with a 1B raysweep's own loop writes more than anybody reports of it."""


def faster_ways(
    config: SweepConfig, cells: Sequence[CellPlan], could_generate: Callable[[str, CellPlan], bool]
) -> list[str]:
    """Return a line for each such setting, in words.

    `could_generate`: whether the generator of a name could write a cell's completions.
    """
    trained = [cell for cell in cells if cell.is_fine_tuned and cell.recipe is not None]
    return [*_merging(config, trained), *_one_worker(config, trained), *_vllm(config, cells, could_generate)]


def _merging(config: SweepConfig, cells: Iterable[CellPlan]) -> Iterator[str]:
    dtypes = {model.name: model.dtype for model in config.models}
    apart: dict[str, None] = {}
    for cell in cells:
        assert cell.recipe is not None
        is_own = cell.generator.name == TRANSFORMERS and cell.generator.args.get("merge") is None
        on_gpu = bool(config.asked("generation", cell.base.name, cell.cell.recipe).gpus)
        is_rounded = BYTES[dtypes[cell.base.name]] == 2 and kind_of(cell.recipe.trainer) is ModelKind.ADAPTER
        if is_own and on_gpu and is_rounded and not cell.base.quantize:
            apart[cell.base.name] = None
    if apart:
        yield (
            f"adapters of {first_of(list(apart), 'model')} stay beside their base, since 16 bits would round what is "
            "merged, and an accelerator starts twice as many kernels for a token (2,644 and not 1,300 of a 7B); "
            "`evaluation.generator: {name: transformers, merge: true}` merges them, which changes rounding and so the "
            "completions and their keys"
        )


def _one_worker(config: SweepConfig, cells: Iterable[CellPlan]) -> Iterator[str]:
    for (model, recipe_name), cell in {(cell.base.name, cell.cell.recipe): cell for cell in cells}.items():
        recipe, asked = cell.recipe, config.asked("training", model, recipe_name)
        if recipe is None or not asked.gpus or recipe.workers < 2 or sharding_name(recipe, recipe.workers) == "ddp":
            continue
        alone = least_memory(base_shape(cell.base), dataclasses.replace(recipe, workers=1, parallel=None), on_gpu=True)
        room = room_of_worker(asked, is_here=False)
        if alone is None or (room is not None and room.lack(round(alone.peak * MARGIN))):
            continue
        fits = f"where an accelerator holds {size(alone.peak)}" if room is None else f"{room.source} holds it"
        yield (
            f"recipe {recipe_name} shares {model} among {recipe.workers} workers by {recipe.parallel or 'ZeRO'}: "
            f"{fits}, `workers: 1, parallel: null` takes fewer accelerator hours (one H100 trained at {ZERO_SPEED:g} "
            "times the speed with ZeRO-2); its models have other keys"
        )


def _vllm(
    config: SweepConfig, cells: Iterable[CellPlan], could_generate: Callable[[str, CellPlan], bool]
) -> Iterator[str]:
    dtypes = {model.name: model.dtype for model in config.models}
    runs: dict[str, bool] = {}
    for cell in cells:
        shape, name = base_shape(cell.base), cell.base.name
        on_gpu = bool(config.asked("generation", name, cell.cell.recipe).gpus)
        is_large = shape is not None and shape.weights >= VLLM_FROM and BYTES[dtypes[name]] == 2
        if is_large and on_gpu and cell.generator.name == TRANSFORMERS:
            runs[name] = runs.get(name, True) and could_generate("vllm", cell)
    if models := [name for name, can in runs.items() if can]:
        yield (
            f"vLLM could run {first_of(models, 'model')} (`generator: vllm`, after `make vllm`): others report 12,000 "
            "to 12,500 tokens/s of it for models of 7 to 8 billion weights on an H100, not measured by raysweep; "
            "its own loop wrote 7,400 of such a one on an H200. By that it would save two fifths of the hours that "
            "generate; completions get keys of their own, since rounding and random numbers differ"
        )
