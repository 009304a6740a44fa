"""Finds the models of a sweep by the recipes that a definition names, so that recipes can be rows or columns.

A base model belongs to every recipe, so it is a row of its own beside them: the recipe ``base``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

from raysweep.analysis.exhibits.selections import EVERY
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame, ScoreKey
from raysweep.records import BASE, CLEAN, NOT_TUNED

FEWEST = 2
"""Recipes of those that a definition names that a model must have, so that there is something to compare."""


@dataclass(frozen=True)
class TrainedModel:
    """A model that a table shows.

    Attributes:
        variant: the base model under a recipe and a seed.
        trained_on: the training set of its scores; ``base``: the model is not fine-tuned.
        model: its label.
        recipe: the label of its recipe; empty where a table doesn't tell recipes apart.
        training_set: the label of the training set; that of a base model is the one that it is compared on, if any.
        regime: the label of how it was fine-tuned; empty where a table doesn't tell regimes apart.
        family: of its base; empty where a table doesn't tell families apart.
    """

    variant: ModelVariant
    trained_on: str
    model: str
    recipe: str = ""
    training_set: str = ""
    regime: str = ""
    family: str = ""


def by_recipe(
    frame: ScoreFrame, training_sets: Sequence[str], recipes: Sequence[str], *, untuned: bool = False
) -> list[TrainedModel]:
    """Return the models of a sweep by recipe, each recipe on each training set, and the base models beside them.

    `training_sets`: names of training sets; ``base`` among them counts as the recipe of this name. `recipes`: names of
    recipes in the order of the rows; a star stands for any letters, `EVERY` for base and all. `untuned`: whether models
    that are not fine-tuned at all are shown, as base models.
    """
    sets = [name for name in training_sets if name != BASE]
    fewest = FEWEST if len(_named(recipes)) >= FEWEST else 1
    found = []
    groups: dict[tuple[str, int], list[ModelVariant]] = {}
    for variant in frame.variants:
        groups.setdefault((variant.model, variant.seed), []).append(variant)
    for variants in groups.values():
        tuned = [variant for variant in variants if variant.recipe != NOT_TUNED and _is_wanted(variant.recipe, recipes)]
        own = [
            name for name in sets if any(not frame.is_missing(ScoreKey(variant, name, "", CLEAN)) for variant in tuned)
        ]
        label = label_without_recipe(frame, variants[0])
        if len(tuned) < fewest or not own:
            is_untuned = untuned and all(variant.recipe == NOT_TUNED for variant in variants)
            own, tuned = (sets or [BASE] if is_untuned else []), []
        for name in own:
            for recipe in _ordered([BASE, *(variant.recipe for variant in tuned)], recipes):
                is_base = recipe == BASE
                variant = variants[0] if is_base else next(one for one in tuned if one.recipe == recipe)
                found.append(TrainedModel(variant, BASE if is_base else name, label, recipe, name))
    return found


def by_training_set(frame: ScoreFrame, training_sets: Sequence[str], *, once: bool) -> list[TrainedModel]:
    """Return each variant on each training set. `once`: only cells that there are, and each base model once."""
    found: dict[tuple[str, str], TrainedModel] = {}
    for variant, name in product(frame.variants, training_sets):
        key = ScoreKey(variant, name, "", "")
        label = variant.model if once and name == BASE else variant.label
        if not frame.is_missing(key) if once else frame.is_asked(key):
            found.setdefault((label, name), TrainedModel(variant, name, label, training_set=name))
    return list(found.values())


def absent_recipes(frame: ScoreFrame, recipes: Sequence[str]) -> list[str]:
    known = [BASE, EVERY, *(variant.recipe for variant in frame.variants)]
    return [name for name in recipes if not any(fnmatchcase(recipe, name) for recipe in known)]


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name is one of some, in which a star stands for any letters; `EVERY` is all."""
    return any(pattern == EVERY or fnmatchcase(name, pattern) for pattern in patterns)


def _named(recipes: Sequence[str]) -> list[str]:
    return [name for name in recipes if name not in (BASE, EVERY) and "*" not in name]


def _is_wanted(recipe: str, recipes: Sequence[str]) -> bool:
    return matches(recipe, [name for name in recipes if name != BASE])


def _ordered(present: Sequence[str], recipes: Sequence[str]) -> Iterator[str]:
    rest = list(present)
    for name in recipes:
        for recipe in [one for one in rest if name == EVERY or fnmatchcase(one, name)]:
            rest.remove(recipe)
            yield recipe


def label_without_recipe(frame: ScoreFrame, variant: ModelVariant) -> str:
    seeds = {one.seed for one in frame.variants if one.model == variant.model}
    return f"{variant.model} · seed {variant.seed}" if len(seeds) > 1 else variant.model
