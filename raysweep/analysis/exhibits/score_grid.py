"""Kind ``scores``: a table of scores whose rows and columns are any of a score's dimensions.

A dimension that is neither in rows nor in columns has a table for each of its values: a definition without ``model``
is drawn for every model. Rows and columns in which nothing was evaluated are left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from raysweep.analysis.exhibits.base import EXHIBITS, GRIDS, Drawn, Evidence, Exhibit, NothingToDraw
from raysweep.analysis.exhibits.selections import HEADLINE, WORDS, select_test_sets, select_training_sets
from raysweep.analysis.tables.quantities import Quantity, quantity_of
from raysweep.analysis.tables.score_book import ModelVariant, ScoreBook, ScoreKey
from raysweep.analysis.tables.score_tables import draws_sentence, score_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.errors import did_you_mean
from raysweep.records import BASE, CLEAN
from raysweep.units import count

Dimension = Literal["problem set", "model", "test set", "training set", "quantity"]
DIMENSIONS: tuple[Dimension, ...] = ("problem set", "model", "test set", "training set", "quantity")
HEADINGS = {"test set": "test prompts"}
"""Headings of dimensions, where they differ from the names."""
MEAN = "mean"
EQUAL_MODELS = "In the mean all models weigh the same, however many recipes and seeds they have."
Labels = tuple[str, ...]
Grid = dict[Labels, dict[Labels, TableCell]]  # cells by the labels of their row, and of their column


@dataclass(frozen=True)
class Place:
    """Where a number stands: one value of each dimension. `labels`: their names, in the order of `DIMENSIONS`."""

    key: ScoreKey
    quantity: Quantity
    labels: Mapping[Dimension, str]


@dataclass(frozen=True)
class Axes:
    """The values of each dimension that a sweep has."""

    problem_sets: Sequence[str]
    variants: Sequence[ModelVariant]
    test_sets: Sequence[str]
    training_sets: Sequence[str]
    quantities: Sequence[Quantity]

    def places(self) -> Iterator[Place]:
        """Yield every combination of values."""
        for problems, variant, test, training, quantity in product(
            self.problem_sets, self.variants, self.test_sets, self.training_sets, self.quantities
        ):
            labels = (problems, variant.label, test, training, quantity.heading)
            key = ScoreKey(variant, training, problems, test)
            yield Place(key, quantity, dict(zip(DIMENSIONS, labels, strict=True)))


@EXHIBITS.register("scores")
class ScoreGrid(Exhibit):
    """A table of scores: models, training sets, test sets, quantities and problem sets as rows and columns."""

    section: ClassVar[str] = GRIDS

    rows: Annotated[list[Dimension], Field(min_length=1)]
    columns: Annotated[list[Dimension], Field(min_length=1, max_length=2)]
    training_sets: Annotated[list[str], Field(min_length=1)]
    test_sets: Annotated[list[str], Field(min_length=1)]
    quantities: Annotated[dict[str, Annotated[int, Field(ge=0, le=6)]], Field(min_length=1)]
    """Metrics, each with its digits after the point."""
    mean: bool = False
    """Whether the last rows have the mean over the models, which must be rows then."""

    @model_validator(mode="after")
    def _once(self) -> ScoreGrid:
        both = [*self.rows, *self.columns]
        if twice := [name for name in both if both.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} is named twice among rows and columns; name it once")
        if self.mean and "model" not in self.rows:
            raise ValueError("the mean is over models; add 'model' to the rows, or leave `mean` out")
        return self

    def draw(self, evidence: Evidence) -> Drawn:
        """Return the tables: one for each value of the dimensions that are neither rows nor columns."""
        book = evidence.book
        axes, lacking = self._axes(book)
        tables: dict[tuple[str, ...], list[Place]] = {}
        separate = self._separate(axes)
        for place in axes.places():
            tables.setdefault(tuple(place.labels[name] for name in separate), []).append(place)
        made = [
            self._table(book, labels, found, lacking) for labels, found in tables.items() if _has_numbers(book, found)
        ]
        if not made:
            raise NothingToDraw(f"no model has {' or '.join(self.quantities)} on {' or '.join(axes.test_sets)} yet")
        return Drawn(tuple(made))

    def _axes(self, book: ScoreBook) -> tuple[Axes, list[str]]:
        """Return the values of each dimension, and sentences on what the sweep lacks."""
        tests = select_test_sets(book, self.test_sets)
        sets = select_training_sets(book, self.training_sets)
        known = self._known_metrics(book)
        if tests.lacking and not tests.perturbed:
            names = " or ".join(name for name in tests.lacking if name != HEADLINE)
            raise NothingToDraw(f"it judges no model on perturbed prompts{f' of {names}' if names else ''}")
        if not sets.names or not tests.names:
            raise NothingToDraw("it has none of the training sets and test sets that are named there")
        lacking = []
        if tests.lacking:
            lacking.append(f"This sweep judges nothing on {' or '.join(tests.lacking)}.")
        if sets.lacking:
            names = " or ".join([f"{name}{did_you_mean(name, WORDS)}" for name in sets.lacking if name != BASE])
            lacking.append(f"It has no training set of {names}." if names else "It has no base model.")
        lacking += [
            f"It has no metric {name}{did_you_mean(name, known)}." for name in self.quantities if name not in known
        ]
        quantities = [quantity_of(name, digits) for name, digits in self.quantities.items()]
        return Axes(book.problem_sets, book.variants, tests.names, sets.names, quantities), lacking

    def _known_metrics(self, book: ScoreBook) -> Collection[str]:
        """Return the metrics of a sweep's scores; raise NothingToDraw if none is a quantity of this table."""
        known = dict.fromkeys(metric for problems in book.problem_sets for metric in book.metrics(problems))
        if known and not any(name in known for name in self.quantities):
            named = " or ".join(f"{name!r}{did_you_mean(name, known)}" for name in self.quantities)
            raise NothingToDraw(f"it has no metric {named}")
        return known

    def _separate(self, axes: Axes) -> list[Dimension]:
        """Return the dimensions of which every value has a table; problem sets and models even if there is one."""
        values = (axes.problem_sets, axes.variants, axes.test_sets, axes.training_sets, axes.quantities)
        several = {name for name, found in zip(DIMENSIONS, values, strict=True) if len(found) > 1}
        left = [name for name in DIMENSIONS if not self._shows(name)]
        return [name for name in left if name in several or name in ("problem set", "model")]

    def _table(self, book: ScoreBook, labels: Sequence[str], places: Sequence[Place], lacking: Sequence[str]) -> Table:
        cells: Grid = {}
        for place in places:
            row = tuple(place.labels[name] for name in self.rows)
            column = tuple(place.labels[name] for name in self.columns)
            cells.setdefault(row, {})[column] = score_cell(book, place.key, place.quantity)
        cells = {row: found for row, found in cells.items() if any(cell.state != "empty" for cell in found.values())}
        models = {place.labels["model"]: place.key.variant.model for place in places}
        cells |= self._means(cells, models) if self.mean else {}
        names = dict.fromkeys(name for found in cells.values() for name in found)
        columns = [name for name in names if any(found[name].state != "empty" for found in cells.values())]
        perturbed = any(place.key.perturbation != CLEAN for place in places)
        several = self.mean and len(models) > len(set(models.values())) > 1
        units = [place.quantity.unit for place in places]
        return Table(
            title=self.titled(book, *reversed(labels)) + ("" if self._shows("quantity") else f" ({units[0]})"),
            caption=self.captioned(
                *lacking, draws_sentence(book).strip() if perturbed else "", EQUAL_MODELS if several else ""
            ),
            stub=tuple(HEADINGS.get(name, name) for name in self.rows),
            columns=tuple(Column(name[-1], *name[:-1]) for name in columns),
            rows=tuple(Row(row, tuple(found[name] for name in columns)) for row, found in cells.items()),
            row_words=_words(book, self.rows),
            column_words=_words(book, self.columns),
            label="-".join([self.id, *reversed(labels)]),
        )

    def _shows(self, dimension: Dimension) -> bool:
        """Return whether rows or columns name a number's value of a dimension."""
        return dimension in (*self.rows, *self.columns)

    def _means(self, cells: Grid, models: Mapping[str, str]) -> Grid:
        """Return the rows of means over models; none for one model. `models`: by the labels of their rows."""
        at = self.rows.index("model")
        of_rows: dict[Labels, list[Labels]] = {}
        for row in cells:
            of_rows.setdefault((*row[:at], MEAN, *row[at + 1 :]), []).append(row)
        means: Grid = {}
        for mean, rows in of_rows.items():
            if len({models[row[at]] for row in rows}) > 1:
                of_columns = {name: [(models[row[at]], cells[row][name]) for row in rows] for name in cells[rows[0]]}
                means[mean] = {name: self._mean(mean, name, found) for name, found in of_columns.items()}
        return means

    def _mean(self, row: Labels, column: Labels, cells: Sequence[tuple[str, TableCell]]) -> TableCell:
        """Return the mean over models that have a number, each the mean over its recipes and seeds."""
        of_models: dict[str, list[float]] = {model: [] for model, _ in cells}
        for model, cell in cells:
            of_models[model] += [] if math.isnan(cell.value) else [cell.value]
        values = [sum(own) / len(own) for own in of_models.values() if own]
        if not values:
            return TableCell()
        quantities = [quantity_of(name, digits) for name, digits in self.quantities.items()]
        named = [quantity for quantity in quantities if quantity.heading in (*row, *column)]
        mean = sum(values) / len(values)
        notes = [f"mean of {len(values)} of {count(len(of_models), 'model')}"] if len(values) < len(of_models) else []
        lacking = sum(math.isnan(cell.value) for model, cell in cells if of_models[model])
        notes += [f"without {count(lacking, 'number')} of a recipe or seed"] if lacking else []
        return TableCell((named or quantities)[0].format(mean / 100), value=mean, note="; ".join(notes), state="value")


def _has_numbers(book: ScoreBook, places: Sequence[Place]) -> bool:
    """Return whether a table has a number, or a failed cell; on perturbed prompts, if any of its places is there."""
    perturbed = [place for place in places if place.key.perturbation != CLEAN]
    states = {score_cell(book, place.key, place.quantity).state for place in perturbed or places}
    return not states <= {"empty", "missing"}


def _words(book: ScoreBook, dimensions: Sequence[Dimension]) -> dict[str, str]:
    """Return the words for the codes of test sets and training sets among some dimensions."""
    words = {"test set": book.order.words, "training set": book.order.training_words}
    return {code: text for name in dimensions for code, text in words.get(name, {}).items()}
