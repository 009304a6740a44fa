"""The cells of a table of scores by row and column, and the rows with the mean over models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from raysweep.analysis.exhibits.scores.places import Dimension, Place
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.quantities import Quantity, score_cell
from raysweep.analysis.tables.table import TableCell
from raysweep.records import CLEAN
from raysweep.units import count

MEAN = "mean"
Labels = tuple[str, ...]
Cells = dict[Labels, dict[Labels, TableCell]]  # by the labels of their row, and of their column; rows have all columns


def cells_of(
    frame: ScoreFrame, places: Sequence[Place], rows: Sequence[Dimension], columns: Sequence[Dimension], *, whole: bool
) -> Cells:
    """Return the cells of places, in their order. `whole`: whether rows and columns without any number stay."""
    cells: Cells = {}
    for place in places:
        row, column = (tuple(place.labels[name] for name in of) for of in (rows, columns))
        cells.setdefault(row, {})[column] = score_cell(frame, place.key, place.quantity)
    if not whole:
        cells = {row: of_row for row, of_row in cells.items() if any(map(_is_shown, of_row.values()))}
    names = dict.fromkeys(name for of_row in cells.values() for name in of_row)
    cells = {row: {name: of_row.get(name, TableCell()) for name in names} for row, of_row in cells.items()}
    left = [name for name in names if whole or any(_is_shown(of_row[name]) for of_row in cells.values())]
    return {row: {name: of_row[name] for name in left} for row, of_row in cells.items()}


def _is_shown(cell: TableCell) -> bool:
    return cell.state != "empty"


def has_numbers(frame: ScoreFrame, places: Sequence[Place]) -> bool:
    perturbed = [place for place in places if place.key.perturbation != CLEAN]
    states = {score_cell(frame, place.key, place.quantity).state for place in perturbed or places}
    return not states <= {"empty", "missing"}


def mean_rows(cells: Cells, at: int, places: Sequence[Place]) -> Cells:
    """Return rows with the mean over models, for all rows that differ in nothing else, if they are of several models.

    `at`: which of a row's labels is the model's. All models weigh the same, however many labels they have.
    """
    models = {place.labels["model"]: place.key.variant.model for place in places}
    quantities: dict[str, Quantity] = {}
    for place in places:
        quantities.setdefault(place.quantity.heading, place.quantity)
    of_rows: dict[Labels, list[Labels]] = {}
    for row in cells:
        of_rows.setdefault((*row[:at], MEAN, *row[at + 1 :]), []).append(row)
    means: Cells = {}
    for mean, rows in of_rows.items():
        if len({models[row[at]] for row in rows}) > 1:
            for column in cells[rows[0]]:
                named = [quantities[label] for label in (*mean, *column) if label in quantities]
                quantity = (named or list(quantities.values()))[0]
                of_models = [(models[row[at]], cells[row][column]) for row in rows]
                means.setdefault(mean, {})[column] = _mean(of_models, quantity)
    return means


def _mean(cells: Sequence[tuple[str, TableCell]], quantity: Quantity) -> TableCell:
    of_models: Mapping[str, list[float]] = {model: [] for model, _ in cells}
    for model, cell in cells:
        of_models[model].extend([] if math.isnan(cell.value) else [cell.value])
    values = [sum(numbers) / len(numbers) for numbers in of_models.values() if numbers]
    if not values:
        return TableCell()
    mean = sum(values) / len(values)
    notes = [f"mean of {len(values)} of {count(len(of_models), 'model')}"] if len(values) < len(of_models) else []
    lacking = sum(math.isnan(cell.value) for model, cell in cells if of_models[model])
    notes += [f"without {count(lacking, 'number')} of a recipe or seed"] if lacking else []
    return TableCell.number(mean, quantity.format(mean / 100), "; ".join(notes))
