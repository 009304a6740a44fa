"""Checks of groups of recipes: that they differ in numbers, and that the losses by which one is chosen compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from raysweep.config.checks.mistakes import Mistake
from raysweep.config.models import CHECKPOINT, RecipeConfig, SelectConfig
from raysweep.config.schema import SweepConfig
from raysweep.trainers.best import BEST
from raysweep.trainers.kinds import fine_tunes

ALIKE = ("trainer", "objective", "objective_args", "select", "problems")
"""Keys that all recipes of a group have in common: one stands for the group, and their losses are of one kind."""
COMPARED = ("max_tokens",)
"""Keys that recipes must have in common for their validation losses to be those of the same rows."""


def check_groups(config: SweepConfig) -> Iterator[Mistake]:
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
        yield from _training(recipes)
        if any(recipe.is_candidate for recipe in recipes.values()):
            yield from _choice(recipes)
    yield from _without_validation(config)


def _unlike(group: str, recipes: Mapping[str, RecipeConfig]) -> Iterator[Mistake]:
    (first, like), *others = recipes.items()
    is_chosen_from = like.is_candidate
    for name, recipe in others:
        for key in (*ALIKE, *(COMPARED if is_chosen_from else ())):
            if getattr(recipe, key) != getattr(like, key):
                why = "the losses by which one is chosen would be of other rows; " if key in COMPARED else ""
                yield (
                    ("recipes", name, key),
                    f"{why}all recipes of the group {group!r} need the same `{key}`, and {first!r} has another one",
                )


def _training(recipes: Mapping[str, RecipeConfig]) -> Iterator[Mistake]:
    for name, recipe in recipes.items():
        if not fine_tunes(recipe.trainer):
            yield (
                ("recipes", name, "trainer"),
                f"a group, which lists of numbers stand for, is one of trainings, and {recipe.trainer!r} trains no "
                "model; write the recipe without lists and `group`",
            )


def _choice(recipes: Mapping[str, RecipeConfig]) -> Iterator[Mistake]:
    for name, recipe in recipes.items():
        by_checkpoint = isinstance(recipe.select, SelectConfig) and recipe.select.epochs_by == CHECKPOINT
        if by_checkpoint and recipe.keep != BEST:
            yield (
                ("recipes", name, "keep"),
                f"`epochs_by: {CHECKPOINT}` chooses among the epochs of a training, which `keep: {BEST}` does; remove "
                f"`keep: {recipe.keep}`",
            )


def _without_validation(config: SweepConfig) -> Iterator[Mistake]:
    for source in config.training.row_sources if config.training else ():
        if source.validation is None:
            key = ".".join(map(str, source.validation_place))
            for name in _candidates(config, config.recipes_of(source)):
                yield (
                    ("recipes", name, "select"),
                    "a recipe is chosen by the loss of validation rows, and the rows of "
                    f"`{source.words}` have none; name some as `{key}`",
                )


def _candidates(config: SweepConfig, names: Sequence[str]) -> list[str]:
    return [name for name in names if config.recipes[name].is_candidate]
