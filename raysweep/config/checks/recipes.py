"""Checks of recipes: settings that don't go together, and groups, whose losses must be comparable."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping

from raysweep.config.checks.mistakes import Doubt, Mistake
from raysweep.config.models import CHECKPOINT, RecipeConfig, SelectConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import MissingInput, UsageError, did_you_mean, install_extra
from raysweep.trainers.base import BEST, OBJECTIVES
from raysweep.trainers.kinds import fine_tunes
from raysweep.trainers.sharding.choice import UNSHARED, refusal, sharding_name

NEEDS_RAPIDFUZZ = "needs the package rapidfuzz: pip install 'rapidfuzz>=3.9'"
SAFECODERS = {
    "workers": 1,
    "parallel": None,
    "precision": "float32",
    "length_buckets": 0,
    "batching": "padded",
    "micro_batch_size": None,
    "micro_batch_tokens": None,
    "optimizer": "adamw",
    "clip_value": None,
}
"""The only values that fit to `compat: safecoder`, which takes rows one by one on one worker."""
ALIKE = ("trainer", "objective", "objective_args", "select", "problems")
"""Keys that all recipes of a group have in common: one stands for the group, and their losses are of one kind."""
COMPARED = ("max_tokens",)
"""Keys that recipes must have in common for their validation losses to be those of the same rows."""


def check_recipes(config: SweepConfig) -> Iterator[Mistake]:
    labels = [problems.label for problems in config.evaluation.problems]
    for name, recipe in config.recipes.items():
        try:
            config.objective(recipe)
        except UsageError as error:
            yield ("recipes", name, "objective_args"), str(error)
        if OBJECTIVES.get(recipe.objective).reads_pairs and importlib.util.find_spec("rapidfuzz") is None:
            needed = MissingInput(f"`objective: {recipe.objective}` {NEEDS_RAPIDFUZZ}")
            yield ("recipes", name, "objective"), needed
        trained = [model.name for model in config.models if name in model.recipes] or [""]
        on_gpu = all(config.asked("training", model, name).gpus for model in trained)
        for check in (_sharing(recipe, on_gpu), _adapters(recipe), _contradictions(recipe)):
            yield from ((("recipes", name, field), text) for field, text in check)
        for at, label in enumerate(recipe.problems or []):
            if label not in labels:
                text = f"no problem set called {label!r}{did_you_mean(label, labels)} under `evaluation.problems`"
                yield ("recipes", name, "problems", at), f"{text}; there are: {', '.join(labels)}"
    yield from _groups(config)
    yield from _without_validation(config)


def _adapters(recipe: RecipeConfig) -> Iterator[tuple[str, str]]:
    is_resolved = len(recipe.model_fields_set) == len(RecipeConfig.model_fields)  # it has all settings
    for section in ("lora", "ia3"):
        own = getattr(recipe, section)
        says_something = bool(own.model_fields_set) and not (is_resolved and own == type(own)())
        if recipe.trainer == section or not fine_tunes(recipe.trainer) or not says_something:
            continue
        if recipe.trainer in ("lora", "ia3"):
            rank = "; IA3 has no rank `r`" if section == "lora" else ""
            yield section, f"the trainer {recipe.trainer!r} takes its settings from `{recipe.trainer}:`{rank}"
        else:
            way = f"write `trainer: {section}`, or leave it out"
            yield section, Doubt(f"it counts with the trainer {section!r}, and this is {recipe.trainer!r}; {way}")
    if recipe.trainer == "lora" and recipe.lora.preset is not None:
        if recipe.lora.targets is not None:
            yield "lora", "`targets` and `preset` both name the modules; remove one of them"
        if recipe.lora.preset == "study" and recipe.lora.train_embeddings:
            yield "lora", "`preset: study` updates lm_head by low rank, `train_embeddings` trains all of it; remove one"


def _contradictions(recipe: RecipeConfig) -> Iterator[tuple[str, str]]:
    objective = OBJECTIVES.get(recipe.objective)
    if recipe.batching == "packed" and not objective.packs:
        why = ", since two texts of each row go through the model" if objective.prefers else ""
        way = f"takes no rows packed into one sequence{why}; use `batching: padded`"
        yield "batching", f"`objective: {recipe.objective}` {way}"
    if recipe.compat == "safecoder" and objective.prefers:
        other = f"`objective: {recipe.objective}` on preference pairs"
        yield "compat", f"SafeCoder's loop trains on responses alone, and {other}; remove one"
    for field, value in SAFECODERS.items() if recipe.compat == "safecoder" else ():
        if getattr(recipe, field) != value:
            what = "trains by AdamW and clips by norm" if field in UNSHARED else "takes rows one by one on one worker"
            yield field, f"`compat: safecoder` {what}, in float32; remove `{field}`"
    for field in ("betas", "eps") if recipe.optimizer == "adafactor" else ():
        if getattr(recipe, field) != RecipeConfig.model_fields[field].default:
            yield field, "only AdamW has it, and the recipe has `optimizer: adafactor`; remove one of them"
    if recipe.clip_value is not None and recipe.clip != RecipeConfig.model_fields["clip"].default:
        yield "clip", "`clip_value` takes its place; remove one of them"


def _sharing(recipe: RecipeConfig, on_gpu: bool) -> Iterator[tuple[str, str | MissingInput]]:
    parallel = sharding_name(recipe.recipe("", ""), recipe.workers)
    if recipe.workers > recipe.batch_size:
        yield "workers", f"{recipe.workers} workers are more than the {recipe.batch_size} rows of a step (`batch_size`)"
    if parallel == "ddp":
        if recipe.offload:
            why = "only ZeRO can keep the optimizer elsewhere; give `parallel: zero2` (zero1, zero3) beside it"
            yield "offload", why
        return
    if recipe.precision == "float16" and not on_gpu:
        way = "needs a GPU (`resources.gpus`); use bf16, or ddp on CPUs"
        yield "precision", f"float16 with `parallel: {parallel}` {way}"
    if why := refusal(recipe.recipe("", "")):
        yield "parallel", why
    if recipe.compile:
        yield "compile", f"a model that `parallel: {parallel}` shares can't be compiled; use `parallel: ddp`"
    if importlib.util.find_spec("deepspeed") is None:
        setting = f"`parallel: {parallel}`" + ("" if recipe.parallel else f", the default of {recipe.workers} workers,")
        way = f"{install_extra('deepspeed')}, or give `parallel: ddp`"
        yield "parallel", MissingInput(f"{setting} needs DeepSpeed: {way}")


def _groups(config: SweepConfig) -> Iterator[Mistake]:
    groups: dict[str, dict[str, RecipeConfig]] = {}
    for name, recipe in config.recipes.items():
        if recipe.group is not None:
            groups.setdefault(recipe.group, {})[name] = recipe
        elif isinstance(recipe.select, SelectConfig):
            yield ("recipes", name, "select"), "it is one of no group; give it a `group`, or numbers as lists"
    for group, recipes in groups.items():
        if group in config.recipes:
            yield ("recipes", group), f"a group of recipes is called {group!r}, too; rename one of them"
        yield from _unlike(group, recipes)
        has_candidates = any(recipe.is_candidate for recipe in recipes.values())
        for name, recipe in recipes.items():
            if not fine_tunes(recipe.trainer):
                yield (
                    ("recipes", name, "trainer"),
                    "a group, which lists of numbers stand for, is one of trainings, and "
                    f"{recipe.trainer!r} trains no model; write the recipe without lists and `group`",
                )
            by_checkpoint = isinstance(recipe.select, SelectConfig) and recipe.select.epochs_by == CHECKPOINT
            if has_candidates and by_checkpoint and recipe.keep != BEST:
                yield (
                    ("recipes", name, "keep"),
                    f"`epochs_by: {CHECKPOINT}` chooses among the epochs of a training, which `keep: {BEST}` does; "
                    f"remove `keep: {recipe.keep}`",
                )


def _unlike(group: str, recipes: Mapping[str, RecipeConfig]) -> Iterator[Mistake]:
    (first, like), *others = recipes.items()
    for name, recipe in others:
        for key in (*ALIKE, *(COMPARED if like.is_candidate else ())):
            if getattr(recipe, key) != getattr(like, key):
                why = "the losses by which one is chosen would be of other rows; " if key in COMPARED else ""
                other = f"all recipes of the group {group!r} need the same `{key}`, and {first!r} has another one"
                yield ("recipes", name, key), why + other


def _without_validation(config: SweepConfig) -> Iterator[Mistake]:
    """Find recipes by which an epoch or a recipe is chosen, where there are no validation rows to choose by."""
    lacking: dict[str, str] = {}
    for model in config.models:
        if model.pretrain is not None:
            why = f"{model.name} is pre-trained without any; remove it from the recipe"
            lacking.setdefault(model.pretrain.recipe, why)
    for source in config.training.row_sources if config.training else ():
        key = ".".join(map(str, source.validation_place))
        for name in config.recipes_of(source) if source.validation is None else ():
            why = f"the rows of `{source.words}` have none; name some as `{key}`"
            lacking.setdefault(name, why)
            if config.recipes[name].is_candidate:
                yield ("recipes", name, "select"), f"a recipe is chosen by the loss of validation rows, and {why}"
    for name, why in lacking.items():
        if config.recipes[name].keep == BEST and not config.recipes[name].is_candidate:
            yield ("recipes", name, "keep"), f"`keep: {BEST}` chooses an epoch by validation rows, and {why}"
