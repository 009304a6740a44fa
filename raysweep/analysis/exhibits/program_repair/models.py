"""Models that repair programs, by family and regime, and the pairs of them that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from raysweep.analysis.exhibits.base import EXACT, PROGRAM_REPAIR, REPAIRS, Evidence, Exhibit, Group, Need, Text
from raysweep.analysis.exhibits.recipes.regimes import FAMILIES, NONE, Regime, by_regime, in_families, regime_of
from raysweep.analysis.tables.frame import ALL_SEEDS, ModelVariant, ScoreFrame, ScoreKey
from raysweep.analysis.tables.order import RecipeChoice
from raysweep.metrics.base import CellLabels
from raysweep.records import CLEAN, NOT_TUNED

PLAUSIBLE = "plausible@1"
HEADLINE_RULE = f"A problem set with tests counts by {PLAUSIBLE}, one without by {EXACT}."


@dataclass(frozen=True)
class RepairModel:
    """A model that was judged on problems for repair.

    Attributes:
        cell: its labels in the scores; its seed is `ALL_SEEDS` where they are means over seeds.
        family: of its base.
        regime: how it was fine-tuned.
        label: the regime, with recipe, training set and seed where there are several.
        alike: the settings of its recipe that one of another regime may have too; empty for a base model.
        is_chosen: whether it was chosen among the models of a group of recipes.
        seeds: the cells of its seeds; of a base model, and where each seed is a model of its own, `cell` alone.
    """

    cell: CellLabels
    family: str
    regime: Regime
    label: str
    alike: str = ""
    is_chosen: bool = False
    seeds: tuple[CellLabels, ...] = ()

    def key(self, problem_set: str, perturbation: str) -> ScoreKey:
        variant = ModelVariant(self.cell.model, self.cell.recipe, self.cell.seed, self.label)
        return ScoreKey(variant, self.cell.training_set, problem_set, perturbation)


class RepairExhibit(Exhibit):
    """The keys of all kinds that show models that repair programs."""

    subject: ClassVar[Need] = REPAIRS

    group: Group = PROGRAM_REPAIR

    families: Mapping[str, Annotated[Sequence[Text], Field(min_length=1)]] = FAMILIES
    """Families with patterns of the names of their models in lower case; a model of none is a family of its own."""
    test_sets: Annotated[Sequence[Text], Field(min_length=1)] = (CLEAN,)
    """Perturbations of the comments and docstrings that models are shown, `headline`, `perturbed` or `clean`."""

    def models(self, evidence: Evidence) -> list[RepairModel]:
        order = evidence.frame.order
        recipes = {NOT_TUNED: RecipeChoice(""), **order.recipes}
        trained: dict[tuple[str, str, str], list[CellLabels]] = {}
        for labels in (CellLabels(*cell) for cell in evidence.each_seed.cells()):
            trained.setdefault((labels.model, labels.recipe, labels.training_set), []).append(labels)
        found = []
        for one in in_families(by_regime(evidence.frame, evidence.frame.training_sets), self.families):
            cell = CellLabels(one.model, one.variant.recipe, one.trained_on, one.variant.seed)
            recipe, pooled = recipes[cell.recipe], cell.seed == ALL_SEEDS
            seeds = tuple(trained[cell.model, cell.recipe, cell.training_set]) if pooled else (cell,)
            regime = regime_of(order, cell) or NONE
            found.append(RepairModel(cell, one.family, regime, one.regime, recipe.alike, recipe.is_chosen, seeds))
        return found


def repair_sets(frame: ScoreFrame) -> list[str]:
    return [name for name in frame.problem_sets if EXACT in frame.metrics(name)]


def headline_metric(frame: ScoreFrame, problem_set: str) -> str:
    return PLAUSIBLE if PLAUSIBLE in frame.metrics(problem_set) else EXACT


def pairs_of(
    models: Sequence[RepairModel], first: Regime, second: Regime
) -> tuple[list[tuple[RepairModel, RepairModel]], int]:
    """Return the pairs of two regimes of one base, and how many models of `second` have no partner.

    A fine-tuned model's partner has its training set and seed. Where a base has several recipes of a regime, the
    partner of a model that was chosen among a group's was chosen too, and that of another one has the same settings but
    for the trainer. A base model is the partner of all.
    """
    pairs, alone = [], 0
    for one in (model for model in models if model.regime == second):
        others = [other for other in models if other.regime == first and other.cell.model == one.cell.model]
        if NONE not in (first, second):
            others = [other for other in others if _trained_on(other) == _trained_on(one)]
            rivals = [m for m in models if (m.regime, m.cell.model) == (second, one.cell.model)]
            rivals = [m for m in rivals if _trained_on(m) == _trained_on(one)]
            if len(rivals) > 1 or len(others) > 1:
                others = [other for other in others if other.is_chosen == one.is_chosen]
            if len(others) > 1 or (others and not one.is_chosen and len(rivals) > 1):
                others = [other for other in others if other.alike == one.alike]
        pairs += [(others[0], one)] if others else []
        alone += not others
    return pairs, alone


def _trained_on(model: RepairModel) -> tuple[str, int]:
    return model.cell.training_set, model.cell.seed
