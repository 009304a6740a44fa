"""Finds the models of a sweep by how they were fine-tuned, the regime, and by the families of their bases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Literal, get_args

from raysweep.analysis.exhibits.recipes.finding import TrainedModel
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE

Regime = Literal["none", "full", "lora", "ia3"]
NONE: Regime = "none"
REGIMES: tuple[Regime, ...] = get_args(Regime)
"""How models are fine-tuned, by the names of their trainers; none: not at all."""
FAMILIES: Mapping[str, Sequence[str]] = {
    "CodeGen": ["*codegen*"],
    "CodeT5": ["*codet5*", "*t5*"],
    "StarCoder": ["*starcoder*", "*bigcode*"],
    "DeepSeekCoder": ["*deepseek*"],
    "Bloom": ["*bloom*"],
    "CodeLlama": ["*codellama*", "*code-llama*"],
}
"""The repair study's families, by patterns of the names of models in lower case."""


def by_regime(frame: ScoreFrame, training_sets: Collection[str]) -> list[TrainedModel]:
    """Return the models of a sweep that have a regime, those of one base by regime, and each base model once.

    The label of a regime names recipe, training set and seed where there are several.
    """
    cells = [CellLabels(*cell) for cell in frame.cells() if cell[2] in training_sets]
    found = {cell: regime for cell in cells if (regime := regime_of(frame.order, cell))}

    def place(cell: CellLabels) -> tuple[int, int, int, int, int]:
        at = frame.models.index(cell.model), frame.training_sets.index(cell.training_set)
        return at[0], REGIMES.index(found[cell]), frame.order.place_of_recipe(cell.recipe), at[1], cell.seed

    return [
        TrainedModel(
            ModelVariant(cell.model, cell.recipe, cell.seed, cell.model),
            cell.training_set,
            cell.model,
            regime=_label(cell, found),
        )
        for cell in sorted(found, key=place)
    ]


def regime_of(order: Order, cell: CellLabels) -> Regime | None:
    """Return a model's regime, the trainer of its recipe; None for another trainer, or several."""
    if cell.training_set == BASE:
        return NONE
    trainer = order.recipes[cell.recipe].trainer if cell.recipe in order.recipes else ""
    return next((regime for regime in REGIMES[1:] if regime == trainer), None)


def absent_regimes(frame: ScoreFrame) -> list[str]:
    known = {regime_of(frame.order, CellLabels(*cell)) for cell in frame.cells()}
    return [regime for regime in REGIMES if regime not in known]


def _label(cell: CellLabels, regimes: Mapping[CellLabels, Regime]) -> str:
    regime = regimes[cell]
    if regime == NONE:
        return regime
    tuned = [other for other, of in regimes.items() if of != NONE]
    recipes = {other.recipe for other, of in regimes.items() if (other.model, of) == (cell.model, regime)}
    parts = [regime, *([cell.recipe] if len(recipes) > 1 else [])]
    parts += [cell.training_set] if len({other.training_set for other in tuned}) > 1 else []
    parts += [f"seed {cell.seed}"] if len({other.seed for other in tuned}) > 1 else []
    return " · ".join(parts)


def in_families(trained: Iterable[TrainedModel], families: Mapping[str, Sequence[str]]) -> list[TrainedModel]:
    """Return models with their families, in the order of these; a model of none is a family of its own.

    `families`: patterns of the names of models in lower case, by family.
    """

    def family(model: str) -> str:
        of = (name for name, patterns in families.items() if any(fnmatchcase(model.lower(), p) for p in patterns))
        return next(of, model)

    placed = [replace(one, family=family(one.variant.model)) for one in trained]
    order = list(dict.fromkeys([*families, *(one.family for one in placed)]))
    return sorted(placed, key=lambda one: order.index(one.family))
