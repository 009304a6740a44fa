"""What a plan says of each type of accelerator beside the hours: whether it can hold the cells, and what they cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from raysweep.accelerators import ACCELERATOR_LABEL, ACCELERATORS, data_sheet_of
from raysweep.engine.placing.cells import CellToPlace
from raysweep.engine.placing.fits import lack_of_type
from raysweep.planning.predictions.costs import CellCost
from raysweep.planning.predictions.needs import CellNeeds, Needs, matches_one, names_in


@dataclass(frozen=True)
class PricedHours:
    """What all that is to do costs on accelerators of one type."""

    accelerator: str  # its name in `prices`
    cost: float
    at_least: bool = False  # hours of a part are not known
    too_small: bool = False  # it can't hold all


def too_small_types(needs: CellNeeds) -> tuple[str, ...]:
    """Return the known accelerators that can't hold a cell, by the answer that decides on a cluster (fits.py).

    The cell's own labels stand for the accelerators that they name: ``A100-40G`` for A100.
    """
    return tuple(card for card in ACCELERATORS if not _can_hold(needs, _labels_of(card, needs)))


def _can_hold(needs: CellNeeds, labels: Collection[str]) -> bool:
    stages = [stage for stage, _ in CellToPlace("", needs).stages_on_accelerators]
    return any(not any(lack_of_type(_placed(stage, label), label) for stage in stages) for label in labels)


def _labels_of(card: str, needs: CellNeeds) -> list[str]:
    named = [name for _, stage, _ in needs.stages for name in names_in(stage.labels.get(ACCELERATOR_LABEL, ""))]
    return [label for label in named if (known := data_sheet_of(label)) and known[0] == card] or [card]


def _placed(needs: Needs, label: str) -> Needs:
    """Return what a process asks for on a type: a whole one where its labels exclude the type."""
    selector = needs.labels.get(ACCELERATOR_LABEL, "")
    return needs if not selector or matches_one(selector, label) else replace(needs, gpus=max(1.0, needs.gpus))


def priced(prices: Mapping[str, float], work: Collection[tuple[CellCost, CellNeeds]]) -> tuple[PricedHours, ...]:
    """Return what the hours of a plan cost, were all of it done on one type, for each that has a price and hours.

    `prices`: of an hour, by accelerator.
    """
    found = []
    for name, price in prices.items():
        known = data_sheet_of(name)
        column = known[0] if known else name
        if hours := [cost.hours[column] for cost, _ in work if column in cost.hours]:
            lacking = [cost for cost, _ in work if column not in cost.hours]
            at_least = any(cost.unknown or cost.generation_memory_bytes for cost in lacking)
            distinct = {id(needs): needs for _, needs in work}.values()
            small = not all(_can_hold(needs, [name]) for needs in distinct)
            found.append(PricedHours(name, price * sum(hours), at_least, small))
    return tuple(found)
