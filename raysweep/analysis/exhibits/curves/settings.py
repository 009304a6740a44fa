"""Finds the settings of a sweep's curves: the shares of perturbed training rows, sizes of training sets, arguments.

They come from the config's training sets and the arguments of its recipes' objectives, never from their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from raysweep.analysis.exhibits.base import FileKeys, Text
from raysweep.analysis.tables.frame import ModelVariant
from raysweep.analysis.tables.order import Order, RecipeChoice
from raysweep.hashing import canonical_json
from raysweep.records import CLEAN

T = TypeVar("T")
Along = Literal["ratio", "size", "argument"]
LACKING = {
    "ratio": "it trains on no set of which only a part is perturbed",
    "size": "it trains on no set with another number of rows than the source",
}
"""What a sweep without such a curve lacks."""
FEWEST = 2
"""Values of an argument that make a curve."""


class Argument(FileKeys):
    """An argument of an objective, whose values in recipes are a curve's settings."""

    objective: Text
    """Its name: ``fixed``."""
    argument: Text
    """The argument's: ``weight``."""
    label: Text
    """What it is, in words, for the axis."""
    also: Mapping[str, Annotated[float, Field(strict=False)]] = {}
    """Recipes that stand for a value that no recipe of the objective names: ``sft: 1``."""
    baseline: Annotated[float, Field(strict=False)] | None = None
    """The value that the best one is compared with; null: the smallest."""


@dataclass(frozen=True)
class Setting:
    """One place of a curve.

    Attributes:
        value: the share of perturbed rows, or the number of rows as a multiple of the source's.
        training_sets: independent draws of it.
        other_ratio: share of perturbed rows where it isn't that of the curve's other sizes; None: it is.
        recipe: whose setting it is; empty: that of the model at hand, on a curve of training sets.
    """

    value: float
    training_sets: tuple[str, ...]
    other_ratio: float | None = None
    recipe: str = ""

    def of(self, variant: ModelVariant) -> ModelVariant:
        return replace(variant, recipe=self.recipe) if self.recipe else variant


@dataclass(frozen=True)
class Curve:
    """Settings from the smallest.

    `ratio`: share of perturbed rows of a curve of sizes. `argument`: of an objective, along which the curve goes.
    """

    along: Along
    perturbation: str
    settings: tuple[Setting, ...]
    ratio: float = 1.0
    argument: Argument | None = None

    def label(self, setting: Setting) -> str:
        """Return a setting in words: ``10 %``, ``×0.5``, or an argument's value."""
        if self.along == "argument":
            return f"{setting.value:g}"
        return f"{100 * setting.value:g} %" if self.along == "ratio" else f"×{setting.value:g}"


def curve_of(order: Order, along: Along) -> Curve | None:
    """Return the curve of a sweep's ratios or sizes; None if it has no set that is partly perturbed, or of other size.

    Of several perturbations (and of several ratios of a curve of sizes) it is the one with the most training sets.
    """
    return _ratios(order) if along == "ratio" else _sizes(order)


def argument_curve(order: Order, argument: Argument, training_set: str) -> Curve | None:
    """Return the curve of an objective's argument on one training set; None if fewer than two values are there.

    Of recipes that differ in more than the argument the curve has those of the largest group that doesn't.
    """
    named = {name: one for name, one in order.recipes.items() if _value(one, argument) is not None}
    groups = {
        recipe: canonical_json([one.rest, {name: of for name, of in one.args.items() if name != argument.argument}])
        for recipe, one in named.items()
    }
    values: dict[float, str] = {}
    if groups:
        alike = _most(groups.values())
        for name, one in named.items():
            value = _value(one, argument)
            if groups[name] == alike and value is not None:
                values.setdefault(value, name)
    for name, value in argument.also.items():
        if name in order.recipes:
            values.setdefault(value, name)
    if len(values) < FEWEST:
        return None
    settings = tuple(Setting(value, (training_set,), recipe=values[value]) for value in sorted(values))
    return Curve("argument", order.trained_with.get(training_set, training_set), settings, argument=argument)


def _value(recipe: RecipeChoice, argument: Argument) -> float | None:
    value = recipe.args.get(argument.argument)
    if recipe.objective != argument.objective or isinstance(value, str | bool | None):
        return None
    return float(value)


def _ratios(order: Order) -> Curve | None:
    of_size = {name: rows.ratio for name, rows in order.rows.items() if rows.size == 1}
    partly = [order.trained_with[name] for name, ratio in of_size.items() if 0 < ratio < 1]
    partly = [name for name in partly if name != CLEAN]
    if not partly:
        return None
    perturbation = _most(partly)
    shares = {
        name: 0.0 if order.trained_with[name] == CLEAN else ratio
        for name, ratio in of_size.items()
        if order.trained_with[name] in (CLEAN, perturbation)
    }
    return Curve("ratio", perturbation, _grouped(shares))


def _sizes(order: Order) -> Curve | None:
    other = [(order.trained_with[name], rows.ratio) for name, rows in order.rows.items() if rows.size != 1]
    if not other:
        return None
    perturbation, ratio = _most(other)
    of_kind = {name: rows for name, rows in order.rows.items() if order.trained_with[name] == perturbation}
    settings = _grouped({name: rows.size for name, rows in of_kind.items() if rows.ratio == ratio})
    at_one = {name: rows.ratio for name, rows in of_kind.items() if rows.size == 1}
    if at_one and all(setting.value != 1 for setting in settings):
        nearest = min(at_one.values(), key=lambda other: (round(abs(other - ratio), 9), other))
        sets = tuple(name for name, other in at_one.items() if other == nearest)
        settings = tuple(sorted((*settings, Setting(1.0, sets, nearest)), key=lambda setting: setting.value))
    return Curve("size", perturbation, settings, ratio)


def _grouped(values: dict[str, float]) -> tuple[Setting, ...]:
    return tuple(
        Setting(value, tuple(name for name, other in values.items() if other == value))
        for value in sorted(set(values.values()))
    )


def _most(values: Iterable[T]) -> T:
    return Counter(values).most_common(1)[0][0]
