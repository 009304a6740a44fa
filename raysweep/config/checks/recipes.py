"""Checks of recipes: settings that don't go together, and groups, whose losses must be comparable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from raysweep.config.checks.mistakes import Mistake, told_by
from raysweep.config.models import CHECKPOINT, RecipeConfig, SelectConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import Doubt, Finding, UsageError, did_you_mean
from raysweep.records import Spec
from raysweep.trainers.base import ALL, BEST, OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.kinds import fine_tunes
from raysweep.trainers.sharding.choice import check_settings

MANY_EPOCHS = 1000
ALIKE = ("trainer", "objective", "objective_args", "loss_on", "select", "problems")
"""Keys that all recipes of a group have in common: one stands for the group, and their losses are of one kind."""
COMPARED = ("max_tokens",)
"""Keys that recipes must have in common for their validation losses to be those of the same rows."""


def check_recipes(config: SweepConfig) -> Iterator[Mistake]:
    labels = [problems.label for problems in config.evaluation.problems]
    for name, recipe in config.recipes.items():
        yield from _of_parts(config, name, recipe)
        yield from ((("recipes", name, key), what) for key, what in _without_effect(recipe))
        for at, label in enumerate(recipe.problems or []):
            if label not in labels:
                text = f"no problem set called {label!r}{did_you_mean(label, labels)} under `evaluation.problems`"
                yield ("recipes", name, "problems", at), f"{text}; there are: {', '.join(labels)}"
    yield from _groups(config)
    yield from _without_validation(config)


def _of_parts(config: SweepConfig, name: str, recipe: RecipeConfig) -> Iterator[Mistake]:
    """Yield what a recipe's trainer and objective can't follow, and what they say; `check_edits` asks editors."""
    if not fine_tunes(recipe.trainer):
        return
    settings, place = recipe.recipe("", ""), ("recipes", name)
    trained = [model.name for model in config.models if name in model.recipes] or [""]
    on_gpu = all(config.asked("training", model, name).gpus for model in trained)
    trainer = TRAINERS.create(Spec(recipe.trainer))
    of_classes = [*(check_settings(settings, on_gpu) if trainer.uses_objective else ()), *_of_objective(settings)]
    yield from (((*place, key), why) for key, why in of_classes)
    part = f"trainer {recipe.trainer!r}"
    yield from told_by(part, lambda: trainer.check(settings, on_gpu), place, (*place, "trainer"))
    try:
        objective = config.objective(recipe)
    except UsageError as error:
        yield (*place, "objective_args"), error
    else:
        part = f"objective {recipe.objective!r}"
        yield from told_by(part, lambda: objective.check(settings), place, (*place, "objective"))


def _of_objective(recipe: Recipe) -> Iterator[Finding]:
    """Yield the settings that an objective's class can't follow, also where its arguments can't be used."""
    objective = OBJECTIVES.get(recipe.objective)
    if recipe.batching == "packed" and not objective.packs:
        why = ", since two texts of each row go through the model" if objective.prefers else ""
        way = f"takes no rows packed into one sequence{why}; use `batching: padded`"
        yield "batching", f"`objective: {recipe.objective}` {way}"
    if recipe.loss_on == ALL and not objective.trains_turns:
        of = "compares answers to a row's last question" if objective.prefers else "trains on a row's last answer"
        yield "loss_on", f"`objective: {recipe.objective}` {of}; write `loss_on: last`, or take `objective: sft`"
    if recipe.compat == "safecoder" and objective.prefers:
        other = f"`objective: {recipe.objective}` on preference pairs"
        yield "compat", f"SafeCoder's loop trains on responses alone, and {other}; remove one"


def _without_effect(recipe: RecipeConfig) -> Iterator[Finding]:
    """Find settings that are written and don't count: their values alone don't show it, since defaults may be."""
    is_resolved = len(recipe.model_fields_set) == len(RecipeConfig.model_fields)  # it has all settings
    if recipe.steps is not None and "epochs" in recipe.model_fields_set and not is_resolved:
        yield "epochs", Doubt(f"`steps: {recipe.steps}` takes the place of epochs; remove one")
    elif recipe.steps is None and recipe.epochs > MANY_EPOCHS:
        way = f"write `steps: {recipe.epochs:.12g}` if steps are meant"
        yield "epochs", Doubt(f"{recipe.epochs:,.12g} passes over a training set are many; {way}")
    if recipe.batching == "packed" and recipe.micro_batch_size == 1:
        yield "batching", Doubt("with `micro_batch_size: 1` each pass has a single row; remove one of them")
    for section in ("lora", "ia3") if fine_tunes(recipe.trainer) else ():
        own = getattr(recipe, section)
        if recipe.trainer == section or not own.model_fields_set or (is_resolved and own == type(own)()):
            continue
        if recipe.trainer in ("lora", "ia3"):
            rank = "; IA3 has no rank `r`" if section == "lora" else ""
            yield section, f"the trainer {recipe.trainer!r} takes its settings from `{recipe.trainer}:`{rank}"
        else:
            way = f"write `trainer: {section}`, or leave it out"
            yield section, Doubt(f"it counts with the trainer {section!r}, and this is {recipe.trainer!r}; {way}")


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
