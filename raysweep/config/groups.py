"""Spells out recipes with lists: each stands for a group of recipes, one for each combination of its numbers.

``lora: {lr: [1.0e-5, 3.0e-5], epochs: [1, 2]}`` becomes the recipes ``lora.lr1e-5.epochs1``, ``lora.lr1e-5.epochs2``
and so on, with ``group: lora``, and a model that names ``lora`` gets them all. It is done before the schema checks the
config, so a resolved config has no lists, and nothing else knows of them. `raysweep.config.checks.recipes` checks
groups.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from raysweep.config.document import Document, KeyPath, shown
from raysweep.config.models import CHECKPOINT, LoraConfig, RecipeConfig
from raysweep.registry import validation_message
from raysweep.trainers.base import BEST
from raysweep.units import count

MOST_RECIPES = 1000
"""Recipes that one with lists may stand for; more are a slip."""
A_RECIPE_EACH = "write a separate recipe for each of these"
"""What to do about a list where only one value may be."""
SECTIONS: Mapping[str, type[BaseModel]] = {"lora": LoraConfig}
"""The sections of a recipe whose numbers may be lists too; each counts with the trainer of its name only."""


@cache
def number_keys() -> tuple[KeyPath, ...]:
    """Return the keys of a recipe that may be lists, those that take a number: ``("lr",)``, ``("lora", "r")``."""
    own = [(name,) for name in RecipeConfig.model_fields if _takes_number(RecipeConfig, name)]
    below = [(section, name) for section, of in SECTIONS.items() for name in of.model_fields if _takes_number(of, name)]
    return (*own, *below)


def _takes_number(section: type[BaseModel], name: str) -> bool:
    return bool({int, float} & set(_plain_types(section.model_fields[name].annotation)))


def _plain_types(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _plain_types(annotation.__origin__)
    elif get_origin(annotation) in (list, tuple, dict) or not get_args(annotation):
        yield annotation
    else:
        for part in get_args(annotation):
            yield from _plain_types(part)


def spelled_out(document: Document) -> Document:
    recipes = document.value.get("recipes")
    if not isinstance(recipes, Mapping):
        return document
    spelling = _Spelling()
    written = spelling.recipes(recipes)
    value = {**document.value, "recipes": written}
    if isinstance(models := document.value.get("models"), list):
        value["models"] = [spelling.model(at, model) for at, model in enumerate(models)]
    if not spelling.groups and not spelling.mistakes:
        return document
    wrong = [f"{document.place(path)}{shown(path)}: {text}" for path, text in spelling.mistakes]
    return dataclasses.replace(
        document, value=value, written={**document.written, **spelling.places}, wrong=(*document.wrong, *wrong)
    )


@dataclass
class _Spelling:
    """The groups that were found so far: their recipes by their names, where these were written, and mistakes."""

    groups: dict[str, list[str]] = field(default_factory=dict)
    places: dict[KeyPath, KeyPath] = field(default_factory=dict)
    mistakes: list[tuple[KeyPath, str]] = field(default_factory=list)

    def recipes(self, recipes: Mapping[Any, Any]) -> dict[Any, Any]:
        written: dict[Any, Any] = {}
        for name, recipe in recipes.items():
            if not isinstance(recipe, Mapping):
                written[name] = recipe
                continue
            place: KeyPath = ("recipes", str(name))
            recipe, lists = self._lists(place, recipe)
            if not lists:
                if isinstance(recipe.get("select"), Mapping) and recipe.get("group") is None:
                    self._wrong((*place, "select"), f"there is one recipe to choose among; {_EXAMPLE}")
                    recipe = {key: value for key, value in recipe.items() if key != "select"}
                written[name] = recipe
                continue
            group = self._group(str(name), recipe, lists)
            if taken := next((new for new in group if new in recipes or new in written), None):
                self._wrong(place, f"one of its recipes would be called {taken!r}, as another recipe is; rename one")
            self.groups[str(name)] = list(group)
            self.places |= {("recipes", new): place for new in group}
            written |= group
        return written

    def model(self, at: int, model: Any) -> Any:
        if not isinstance(model, Mapping):
            return model
        made = model.get("pretrain")
        if isinstance(made, Mapping) and isinstance(made.get("recipe"), str) and made["recipe"] in self.groups:
            recipes = self.groups[made["recipe"]]
            self._wrong(
                ("models", at, "pretrain", "recipe"),
                f"{made['recipe']!r} stands for {count(len(recipes), 'recipe')}, since it has lists; a base model is "
                "trained by one, so name one without",
            )
            model = {**model, "pretrain": {**made, "recipe": recipes[0]}}
        if not isinstance(model.get("recipes"), list):
            return model
        names: list[Any] = []
        place: KeyPath = ("models", at, "recipes")
        for position, name in enumerate(model["recipes"]):
            is_group = isinstance(name, str) and name in self.groups
            if is_group and name in model["recipes"][:position]:
                self._wrong((*place, position), f"the recipe {name!r} is listed twice; each must differ")
                continue
            for new in self.groups[name] if is_group else [name]:
                self.places[(*place, len(names))] = (*place, position)
                names.append(new)
        return {**model, "recipes": names}

    def _wrong(self, place: KeyPath, text: str) -> None:
        if (place, text) not in self.mistakes:
            self.mistakes.append((place, text))

    def _lists(
        self, place: KeyPath, recipe: Mapping[Any, Any]
    ) -> tuple[dict[Any, Any], dict[KeyPath, Sequence[int | float]]]:
        plain = {key: dict(of) if key in SECTIONS and isinstance(of, Mapping) else of for key, of in recipe.items()}
        lists: dict[KeyPath, Sequence[int | float]] = {}
        for path, values in _lists_in(plain):
            own, section = (plain, RecipeConfig) if len(path) == 1 else (plain[path[0]], SECTIONS[str(path[0])])
            name = str(path[-1])
            if path not in number_keys():
                known = section.model_fields.get(name)
                takes = set() if known is None else {get_origin(of) or of for of in _plain_types(known.annotation)}
                if takes and not takes & {list, tuple}:
                    del own[name]
                    self._wrong(
                        (*place, *path),
                        f"only a key that takes a number may be a list, which stands for a recipe for each; "
                        f"{A_RECIPE_EACH}",
                    )
                continue
            del own[name]
            if len(path) == 2 and recipe.get("trainer", "full") != path[0]:
                why = f"`{path[0]}` counts with `trainer: {path[0]}` only; leave its lists out"
                self._wrong((*place, path[0]), why)
            elif why := _unusable(values):
                self._wrong((*place, *path), why)
            else:
                lists[path] = values
        if ("epochs",) in lists and recipe.get("steps") is not None:
            self._wrong((*place, "epochs"), "`steps` takes its place; remove one of them")
            del lists["epochs",]
        return plain, lists

    def _group(
        self, name: str, recipe: Mapping[Any, Any], lists: Mapping[KeyPath, Sequence[int | float]]
    ) -> dict[str, dict[Any, Any]]:
        values = {path: list(numbers) for path, numbers in lists.items()}
        select = recipe.get("select")
        settled: dict[Any, Any] = {"group": name}
        if isinstance(select, Mapping) and select.get("epochs_by") == CHECKPOINT:
            settled["keep"] = recipe.get("keep", BEST)
            if ("epochs",) in values:
                values["epochs",] = [max(values["epochs",])]
        number = math.prod(map(len, values.values()))
        if number > MOST_RECIPES:
            self._wrong(("recipes", name), f"its lists stand for {number:,} recipes; at most {MOST_RECIPES:,} may be")
            values = {path: numbers[:1] for path, numbers in values.items()}
        group: dict[str, dict[Any, Any]] = {}
        for numbers in itertools.product(*values.values()):
            one = {**recipe, **settled}
            for path, value in zip(values, numbers, strict=True):
                if len(path) == 1:
                    one[path[0]] = value
                else:
                    one[path[0]] = {**one[path[0]], path[1]: value}
            parts = (f"{path[-1]}{in_name(value)}" for path, value in zip(values, numbers, strict=True))
            group[".".join([name, *parts])] = one
        return group


_NO_NULL = "must be a number, not null"
_EXAMPLE = "write numbers as lists, as in `lr: [1.0e-5, 3.0e-5]`, or leave `select` out"


def _lists_in(recipe: Mapping[Any, Any]) -> list[tuple[KeyPath, list[Any]]]:
    values: dict[KeyPath, Any] = {}
    for key, value in recipe.items():
        is_section = key in SECTIONS and isinstance(value, Mapping)
        values |= {(key, name): of for name, of in value.items()} if is_section else {(str(key),): value}
    return [(path, of) for path, of in values.items() if isinstance(of, list)]


def _unusable(values: Sequence[Any]) -> str:
    if not values:
        return "the list is empty; give numbers, such as [1.0e-5, 3.0e-5], or one without brackets"
    for at, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            why = validation_message({"type": "float_type", "input": value}) if value is not None else _NO_NULL
            return f"each entry of the list {why}"
        if value in values[:at]:
            return f"{value!r} is listed twice; each must differ"
    return ""


def in_name(value: int | float) -> str:
    """Return a number as it stands in a recipe's name, in the shorter way: ``3e-5``, ``0.1``, ``16``."""
    if isinstance(value, int) or float(value).is_integer():
        return str(int(value))
    digits = next(text for places in range(17) if float(text := f"{value:.{places}e}") == value)
    mantissa, _, exponent = digits.partition("e")
    short = f"{mantissa}e{int(exponent)}"
    return short if "e" in repr(value) else min(repr(value), short, key=len)
