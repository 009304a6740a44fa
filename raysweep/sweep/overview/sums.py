"""Sums over the cells of a plan: those of each base model and recipe, and what is still to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.records import NOT_TUNED
from raysweep.sweep.overview.plan import CHOSEN, TO_CHOOSE, CellFacts


@dataclass(frozen=True)
class RecipeSums:
    """The cells of one base model and recipe, or group of recipes. `recipe`: empty for the base model's own cell.

    Memory is the most that one of the cells takes, disk and hours are of all together.
    """

    base_model: str
    recipe: str
    cells: int
    tuned: int  # cells with a fine-tuned model
    trained: int  # of these, models that exist or were dropped after use
    pairs: int
    pairs_done: int
    peak_memory_bytes: int
    generation_memory_bytes: int
    disk_bytes: int
    hours: Mapping[str, float]  # by accelerator
    basis: tuple[str, ...]  # of the hours
    too_small: tuple[str, ...]  # the accelerators that can't hold one of the cells
    unknown: bool  # whether memory, hours and disk of the model are not known


@dataclass(frozen=True)
class WorkSums:
    """What is still to do. `retrained`: models whose weights were dropped and are needed again."""

    cells: int
    retrained: int
    disk_bytes: int  # models and completions
    checkpoint_bytes: int  # of the largest training
    unknown: bool  # whether there are models of which disk is not known


def recipe_sums(cells: Sequence[CellFacts]) -> list[RecipeSums]:
    """Return the sums for each base model and recipe, or group of recipes; the recipes of a model follow it."""
    groups: dict[tuple[str, str], list[CellFacts]] = {}
    models = list(dict.fromkeys(cell.base_model for cell in cells))
    for cell in sorted(cells, key=lambda cell: models.index(cell.base_model)):
        groups.setdefault((cell.base_model, cell.group or cell.recipe), []).append(cell)
    return [_sums(group) for group in groups.values()]


def hour_sums(cells: Sequence[CellFacts]) -> dict[str, float]:
    """Return the hours of all cells together, by accelerator."""
    sums: dict[str, float] = {}
    for cell in cells:
        for device, hours in cell.takes.hours.items():
            sums[device] = sums.get(device, 0) + hours
    return sums


def work_sums(cells: Sequence[CellFacts]) -> WorkSums:
    """Return the sums over the cells that something is missing of."""
    to_do = [cell for cell in cells if cell.missing]
    return WorkSums(
        len(to_do),
        sum(cell.model == "to train again" for cell in cells),
        sum(cell.takes.disk_bytes for cell in to_do),
        max((cell.takes.checkpoint_bytes for cell in to_do), default=0),
        any(cell.takes.unknown for cell in to_do),
    )


def _sums(cells: Sequence[CellFacts]) -> RecipeSums:
    tuned = [cell for cell in cells if cell.model not in ("base", TO_CHOOSE, CHOSEN)]
    return RecipeSums(
        cells[0].base_model,
        "" if cells[0].recipe == NOT_TUNED else cells[0].group or cells[0].recipe,
        len(cells),
        len(tuned),
        sum(cell.model in ("exists", "dropped") for cell in tuned),
        sum(cell.pairs for cell in cells),
        sum(cell.pairs_done for cell in cells),
        max(cell.takes.peak_memory_bytes or 0 for cell in cells),
        max(cell.takes.generation_memory_bytes or 0 for cell in cells),
        sum(cell.takes.disk_bytes for cell in cells),
        hour_sums(cells),
        tuple(dict.fromkeys(cell.takes.basis for cell in cells)),
        tuple(dict.fromkeys(device for cell in cells for device in cell.too_small)),
        any(cell.takes.unknown for cell in cells),
    )
