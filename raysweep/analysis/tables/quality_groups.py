"""Groups the linted files of a sweep: by model, and by the training sets, ratios and sizes that tables compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.analysis.tables.score_book import Order
from raysweep.quality.reports import CellReports, LintReports
from raysweep.quality.summary import GroupSummary, pool, summarise
from raysweep.records import BASE, CLEAN

ALL_MODELS = "all models"
PERTURBED = "perturbed"
"""The group of all training sets with perturbed rows."""


@dataclass(frozen=True)
class FileGroup:
    """The files of some training sets, as one column or row. `name`: its heading."""

    name: str
    training_sets: tuple[str, ...]


@dataclass(frozen=True)
class LintedModel:
    """A base model under one recipe, with all its seeds; `ALL_MODELS` has all. The base itself belongs to each."""

    label: str
    cells: tuple[CellReports, ...]  # of one problem set

    def summary(self, group: FileGroup) -> GroupSummary:
        return summarise(group.name, self.reports(group))

    def reports(self, group: FileGroup) -> LintReports:
        return pool(cell for cell in self.cells if cell.training_set in group.training_sets)


def linted_models(cells: Sequence[CellReports], problems: str, order: Order) -> list[LintedModel]:
    cells_of_set = [cell for cell in cells if cell.problem_set == problems]
    models = []
    names = dict.fromkeys((*order.models, *(cell.model for cell in cells_of_set)))
    for name in names:
        of_model = [cell for cell in cells_of_set if cell.model == name]
        bases = [cell for cell in of_model if cell.training_set == BASE]
        recipes = dict.fromkeys(cell.recipe for cell in of_model if cell.training_set != BASE)
        for recipe in recipes or ([""] if bases else []):
            tuned = [cell for cell in of_model if cell.training_set != BASE and cell.recipe == recipe]
            label = f"{name} · {recipe}" if len(recipes) > 1 else name
            models.append(LintedModel(label, (*bases, *tuned)))
    return [*([LintedModel(ALL_MODELS, tuple(cells_of_set))] if len(models) > 1 else []), *models]


def training_groups(order: Order) -> tuple[FileGroup, ...]:
    """Return the groups of the study's table 14: base, clean, the widest mix on all rows, and all perturbed sets."""
    trained = order.trained_with
    clean = tuple(name for name in trained if trained[name] == CLEAN)
    perturbed = tuple(name for name in trained if trained[name] != CLEAN)
    whole = {trained[name]: name for name in reversed(perturbed) if name not in order.partial}
    mix = next((FileGroup(whole[name], (whole[name],)) for name in order.mixes if name in whole), None)
    groups = [FileGroup(BASE, (BASE,)), FileGroup(CLEAN, clean), *([mix] if mix else [])]
    groups += [FileGroup(PERTURBED, perturbed)] if len(perturbed) > 1 or mix is None else []
    return tuple(group for group in groups if group.training_sets)
