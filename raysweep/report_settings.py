"""What a reader of a report must know of its config, as lines of (label, value)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from raysweep.config import SweepConfig
from raysweep.config_models import RecipeConfig
from raysweep.config_types import SpecConfig
from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.base import PROBLEMS
from raysweep.registry import Registry
from raysweep.terminal import count
from raysweep.training_sets.base import SOURCES

Line = tuple[str, str]


def settings_of(config: SweepConfig) -> list[Line]:
    """Return seeds, strengths with the rates they mean, data, recipes, decoding, limits, and who is judged on what."""
    return [
        ("seed", str(config.seed)),
        ("training seeds", ", ".join(map(str, config.seeds or [config.seed]))),
        *_perturbations(config),
        *_data(config),
        *((f"recipe {name}", _recipe(recipe)) for name, recipe in config.recipes.items()),
        *_evaluation(config),
    ]


def _perturbations(config: SweepConfig) -> Iterator[Line]:
    sets = config.training.sets if config.training else []
    for name in dict.fromkeys([*config.evaluation.perturbations, *(entry.perturbation for entry in sets)]):
        try:
            method = PERTURBATIONS.create(config.perturbation(name))
        except UsageError:  # a report may be written where a translator isn't
            yield name, PERTURBATIONS.get(config.perturbation(name).name).title
            continue
        if method.level != "none":
            parts = (f"strength {method.strength:g}", method.rate_text())
            yield f"{name} {method.title}", ", ".join(filter(None, parts))
    if config.evaluation.compat:
        yield "compat", f"{config.evaluation.compat}: test prompts as its code makes them, strengths don't count there"


def _data(config: SweepConfig) -> Iterator[Line]:
    for model in config.models:
        if model.pretrain is not None:
            yield f"pre-training rows of {model.name}", _spec(SOURCES, model.pretrain.source, config.seed)
    if config.training is not None:
        yield "training rows", _spec(SOURCES, config.training.source, config.seed)
    for problems in config.evaluation.problems:
        yield "problems", _spec(PROBLEMS, problems, config.seed)
    if config.evaluation.limit is not None:
        yield "limit", f"the first {count(config.evaluation.limit, 'problem')} of every set"


def _spec(registry: Registry[Any], spec: SpecConfig, seed: int) -> str:
    """Return a spec with its arguments; a world that the config doesn't name is the sweep's seed."""
    args = {**spec.spec(registry, seed).args, **(spec.model_extra or {})}  # paths as the config names them
    return ", ".join([spec.name, *(f"{name} {value}" for name, value in args.items())])


def _recipe(recipe: RecipeConfig) -> str:
    length = count(recipe.steps, "step") if recipe.steps else f"{recipe.epochs:g} epoch{'s' * (recipe.epochs != 1)}"
    return (
        f"{recipe.trainer}, learning rate {recipe.lr:g}, {length} of {recipe.batch_size} rows, "
        f"clean rehearsal share {recipe.rehearsal:g}, {recipe.precision}"
    )


def _evaluation(config: SweepConfig) -> Iterator[Line]:
    evaluation = config.evaluation
    drawn = "greedy" if evaluation.temperature == 0 else f"T {evaluation.temperature:g}, top-p {evaluation.top_p:g}"
    yield "generation", f"{drawn}, {evaluation.samples} per prompt, at most {evaluation.max_new_tokens} tokens"
    if evaluation.draws > 1:
        yield "draws", f"{evaluation.draws} of each perturbation; tables show the first, the robust metrics take all"
    yield "who is judged on what", evaluation.pairs if isinstance(evaluation.pairs, str) else "as written in the config"
    yield "prompt format", evaluation.prompt_format
    for name in dict.fromkeys(problems.name for problems in evaluation.problems):
        limits = config.execution.limits(PROBLEMS.get(name).limits)
        factor = config.execution.reference_factor
        own = f", or {factor:g} times its reference solution's time if that is less" if factor else ""
        yield (
            f"limits of a program on {name}",
            f"{limits.timeout:g} s of effective time{own}, {limits.wall_factor:g} times that in all, "
            f"{limits.memory_mib} MiB of memory, {limits.output_kib} KiB of output",
        )
