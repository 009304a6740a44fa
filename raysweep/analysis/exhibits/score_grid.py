"""Kind ``scores``: a table of scores whose rows and columns are any of a score's dimensions.

A dimension that is neither in rows nor in columns has a table for each of its values: a definition without ``model``
is drawn for every model. Rows and columns in which nothing was evaluated are left out, unless the table is `whole`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EXHIBITS,
    GRIDS,
    Drawn,
    Evidence,
    Exhibit,
    FileKeys,
    Group,
    NothingToDraw,
    unknown_metric,
)
from raysweep.analysis.exhibits.recipes.finding import TrainedModel, absent_recipes, by_recipe, matches
from raysweep.analysis.exhibits.selections import EVERY, HEADLINE, WORDS, select_test_sets, select_training_sets
from raysweep.analysis.exhibits.test_sets import unchanged_sentence
from raysweep.analysis.tables.frame import ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import Quantity, draws_sentence, quantity_of, score_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.errors import did_you_mean
from raysweep.records import BASE, CLEAN
from raysweep.units import count

Dimension = Literal["problem set", "model", "recipe", "test set", "training set", "quantity", "part"]
DIMENSIONS: tuple[Dimension, ...] = ("problem set", "model", "recipe", "test set", "training set", "quantity", "part")
HEADINGS: Mapping[Dimension, str] = {"test set": "test prompts"}
"""Headings of dimensions, where they differ from the names."""
WHOLE = "all"
"""The part that is no part: all tests, or all prompts."""
MEAN = "mean"
EQUAL_MODELS = "In the mean all models weigh the same, however many recipes and seeds they have."
Labels = tuple[str, ...]
Grid = dict[Labels, dict[Labels, TableCell]]  # cells by the labels of their row, and of their column


class ScoreBlock(FileKeys):
    """Quantities on test sets."""

    test_sets: Annotated[list[str], Field(min_length=1)]
    quantities: Annotated[dict[str, Annotated[int, Field(ge=0, le=6)]], Field(min_length=1)]
    """Metrics, each with its digits after the point. ``pass@1 *`` is all metrics of this pattern, if there are any."""
    labels: Mapping[str, str] = {}
    """Headings of metrics, without the unit, where they differ from the usual ones."""
    parts: Mapping[str, str] = {}
    """What metrics are measured on, for the dimension ``part``, if not on all tests or prompts. ``*`` is what the star
    of the metric's pattern stands for."""

    def measures(self, frame: ScoreFrame, problems: str) -> list[Measure]:
        return [
            self._measure(metric, name)
            for name in self.quantities
            for metric in (_matching(name, frame.metrics(problems)) if "*" in name else [name])
        ]

    def _measure(self, metric: str, name: str) -> Measure:
        quantity = quantity_of(metric, self.quantities[name])
        part = self.parts.get(name, WHOLE)
        starred = metric.removeprefix(name.partition("*")[0])
        return Measure(replace(quantity, label=self.labels.get(name, quantity.label)), starred if part == "*" else part)


@dataclass(frozen=True)
class Measure:
    """A quantity, and the part that it is measured on."""

    quantity: Quantity
    part: str


@dataclass(frozen=True)
class Place:
    """Where a number stands: one value of each dimension. `labels`: their names."""

    key: ScoreKey
    quantity: Quantity
    labels: Mapping[Dimension, str]


@dataclass(frozen=True)
class Axes:
    """The values of each dimension that a sweep has, for one problem set and block."""

    problem_set: str
    trained: Sequence[TrainedModel]
    test_sets: Sequence[str]
    measures: Sequence[Measure]

    def places(self, order: Sequence[Dimension]) -> Iterator[Place]:
        """Yield every combination of values. `order`: the dimensions, that whose values change last first."""
        values: dict[Dimension, Sequence[Any]] = {
            "problem set": [self.problem_set],
            "model": list(dict.fromkeys(one.model for one in self.trained)),
            "recipe": list(dict.fromkeys(one.recipe for one in self.trained)),
            "test set": self.test_sets,
            "training set": list(dict.fromkeys(one.training_set for one in self.trained)),
            "quantity": self.measures,  # with their parts
        }
        known = {(one.model, one.recipe, one.training_set): one for one in self.trained}
        at = [order.index(name) for name in values]
        for combination in product(*(values[name] for name in order)):
            problems, model, recipe, test, training, measure = (combination[number] for number in at)
            if (one := known.get((model, recipe, training))) is not None:
                labels = (problems, model, recipe, test, training, measure.quantity.heading, measure.part)
                key = ScoreKey(one.variant, one.trained_on, problems, test)
                yield Place(key, measure.quantity, dict(zip(DIMENSIONS, labels, strict=True)))


@EXHIBITS.register("scores")
class ScoreGrid(Exhibit, ScoreBlock):
    """A table of scores: models, training sets, test sets, quantities and problem sets as rows and columns."""

    group: Group = GRIDS
    rows: Annotated[list[Dimension], Field(min_length=1)]
    columns: Annotated[list[Dimension], Field(min_length=1, max_length=2)]
    training_sets: Annotated[list[str], Field(min_length=1)]
    models: Annotated[Sequence[str], Field(min_length=1)] = (EVERY,)
    """Names of models; a star stands for any letters."""
    without_models: Sequence[str] = ()
    """Models that are left out."""
    recipes: Annotated[Sequence[str], Field(min_length=1)] = (EVERY,)
    """Recipes in their order, for the dimension ``recipe``; ``base`` is the model before fine-tuning. Of several that
    are named a model must have two."""
    untuned_models: bool = False
    """Whether models that are not fine-tuned stand among the recipes' rows."""
    names: Mapping[str, str] = {}
    """Headings of columns in place of their labels: ``humaneval-plus base: HumanEval``."""
    more: Sequence[ScoreBlock] = ()
    """More columns or rows: other quantities on other test sets."""
    mean: bool = False
    """Whether the last rows have the mean over the models, which must be rows then."""
    whole: bool = False
    """Whether rows and columns without any number stay, and the caption is the definition's own, without sentences on
    what the sweep lacks. ``{draws}``, ``{parts}`` and ``{unchanged}`` in it stand for sentences on draws of
    perturbations, on parts of tests, and on prompts that stayed as they were."""
    needs: str = ""
    """A metric without which a problem set has no table."""
    only_with: str = ""
    """A metric without which a test set is left out."""
    headings: Mapping[Dimension, str] = {}
    """Headings of the rows' dimensions, where they differ from the usual ones."""
    intervals: bool = True

    @model_validator(mode="after")
    def _once(self) -> ScoreGrid:
        both = [*self.rows, *self.columns]
        if twice := [name for name in both if both.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} is named twice among rows and columns; name it once")
        if tuple(self.recipes) != (EVERY,) and "recipe" not in both:
            raise ValueError("`recipes` are named, and no row or column shows them; add 'recipe' to the rows")
        if self.mean and "model" not in self.rows:
            raise ValueError("the mean is over models; add 'model' to the rows, or leave `mean` out")
        return self

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        axes, lacking = self._axes(frame)
        tables: dict[Labels, list[Place]] = {}
        separate = self._separate(axes)
        for place in (place for of_block in axes for place in of_block.places(self._order())):
            tables.setdefault(tuple(place.labels[name] for name in separate), []).append(place)
        drawn = [
            self._table(frame, dict(zip(separate, labels, strict=True)), places, lacking)
            for labels, places in tables.items()
            if self.whole or _has_numbers(frame, places)
        ]
        if not drawn:
            for metric in filter(None, (self.needs, self.only_with)):
                if unknown := unknown_metric(frame, metric):
                    raise NothingToDraw(unknown)
            tests = dict.fromkeys(name for of_block in axes for name in of_block.test_sets)
            named = f"{' or '.join(self._names())} on {' or '.join(tests or self.test_sets)}"
            raise NothingToDraw(f"no model has {named} yet")
        return Drawn(tuple(drawn))

    def _order(self) -> list[Dimension]:
        shown: list[Dimension] = ["quantity" if name == "part" else name for name in (*self.rows, *self.columns)]
        return list(dict.fromkeys([*(name for name in DIMENSIONS[:-1] if name not in shown), *shown]))

    @property
    def _blocks(self) -> list[ScoreBlock]:
        return [self, *self.more]

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for block in self._blocks for name in block.quantities))

    def _axes(self, frame: ScoreFrame) -> tuple[list[Axes], list[str]]:
        lacking = [] if self.whole else self._lacking(frame)
        trained = self._trained(frame)
        axes = [
            Axes(problems, trained, tests, block.measures(frame, problems))
            for problems in frame.problem_sets
            if not self.needs or any(frame.all_scores(problems, name, self.needs) for name in frame.perturbations)
            for block in self._blocks
            if (tests := self._tests(frame, block, problems))
        ]
        return axes, lacking

    def _trained(self, frame: ScoreFrame) -> Sequence[TrainedModel]:
        sets = select_training_sets(frame, self.training_sets).names
        if self._shows("recipe"):
            trained = by_recipe(frame, sets, self.recipes, untuned=self.untuned_models)
        else:
            trained = [
                TrainedModel(variant, name, variant.label, "", name)
                for variant in frame.variants
                for name in sets
                if frame.is_asked(ScoreKey(variant, name, "", ""))
            ]
        chosen = [
            one
            for one in trained
            if matches(one.variant.model, self.models) and not matches(one.variant.model, self.without_models)
        ]
        if self._shows("recipe"):
            compared = {one.training_set for one in chosen if one.trained_on != BASE}
            chosen = [one for one in chosen if one.training_set in compared]
        if not chosen:
            named = f" {' or '.join(self.models)}" if tuple(self.models) != (EVERY,) else ""
            recipes = f" with two of the recipes {', '.join(self.recipes)}" if tuple(self.recipes) != (EVERY,) else ""
            raise NothingToDraw(f"it has no model{named}{recipes}")
        return chosen

    def _tests(self, frame: ScoreFrame, block: ScoreBlock, problems: str) -> list[str]:
        tests = select_test_sets(frame, block.test_sets, problems).names
        return [name for name in tests if not self.only_with or frame.all_scores(problems, name, self.only_with)]

    def _lacking(self, frame: ScoreFrame) -> list[str]:
        known = dict.fromkeys(metric for problems in frame.problem_sets for metric in frame.metrics(problems))
        unknown = [name for name in self._names() if "*" not in name and name not in known]
        if known and not any(_matching(name, list(known)) for name in self._names()):
            named = " or ".join(f"{name!r}{did_you_mean(name, known)}" for name in self._names())
            raise NothingToDraw(f"it has no metric {named}")
        wanted = [name for block in self._blocks for name in block.test_sets]
        tests, sets = select_test_sets(frame, wanted), select_training_sets(frame, self.training_sets)
        if tests.lacking and not tests.perturbed:
            names = " or ".join(name for name in tests.lacking if name != HEADLINE)
            raise NothingToDraw(f"it evaluates no model on perturbed prompts{f' of {names}' if names else ''}")
        if not sets.names or not tests.names:
            raise NothingToDraw("it has none of the training sets and test sets that are named there")
        lacking = []
        if tests.lacking:
            lacking.append(f"This sweep evaluates nothing on {' or '.join(tests.lacking)}.")
        if sets.lacking:
            hints = {name: did_you_mean(name, {*WORDS} - {name}) for name in sets.lacking if name != BASE}
            names = " or ".join(f"{name}{hint}" for name, hint in hints.items())
            lacking.append(f"It has no training set of {names}." if names else "It has no base model.")
        if self._shows("recipe") and (absent := absent_recipes(frame, self.recipes)):
            lacking.append(f"It has no recipe {' or '.join(absent)}.")
        return [*lacking, *(f"It has no metric {name}{did_you_mean(name, known)}." for name in unknown)]

    def _separate(self, axes: Sequence[Axes]) -> list[Dimension]:
        measures = [measure for of_block in axes for measure in of_block.measures]
        values: dict[Dimension, Iterable[str]] = {
            "test set": (name for of_block in axes for name in of_block.test_sets),
            "training set": (one.training_set for of_block in axes for one in of_block.trained),
            "quantity": (measure.quantity.heading for measure in measures),
            "part": (measure.part for measure in measures),
        }
        several = {name for name, labels in values.items() if len(set(labels)) > 1}
        left = [name for name in DIMENSIONS if not self._shows(name)]
        return [name for name in left if name in several or name in ("problem set", "model")]

    def _table(
        self, frame: ScoreFrame, labels: Mapping[Dimension, str], places: Sequence[Place], lacking: Sequence[str]
    ) -> Table:
        parts = list(dict.fromkeys(place.labels["part"] for place in places))
        shown = [name for name in self.rows if name != "part" or len(parts) > 1]
        cells: Grid = {}
        for place in places:
            row = tuple(place.labels[name] for name in shown)
            column = tuple(place.labels[name] for name in self.columns)
            cell = score_cell(frame, place.key, place.quantity)
            cells.setdefault(row, {})[column] = cell if self.intervals else replace(cell, interval="")
        if not self.whole:
            cells = {row: of_row for row, of_row in cells.items() if _has_any(of_row.values())}
        names = dict.fromkeys(name for of_row in cells.values() for name in of_row)
        cells = {row: {name: of_row.get(name, TableCell()) for name in names} for row, of_row in cells.items()}
        models = {place.labels["model"]: place.key.variant.model for place in places}
        cells |= self._means(cells, models) if self.mean else {}
        columns = [name for name in names if self.whole or _has_any(of_row[name] for of_row in cells.values())]
        units = [place.quantity.unit for place in places]
        in_title = [name for name in labels if f"{{{name}}}" in self.title]
        others = [label for name, label in labels.items() if name not in in_title]
        title = self.titled(frame, *reversed(others))
        for name in in_title:
            title = title.replace(f"{{{name}}}", labels[name])
        return Table(
            title=title + ("" if self._shows("quantity") else f" ({units[0]})"),
            caption=self._caption(frame, places, parts, lacking),
            stub=tuple((self.headings or HEADINGS).get(name, HEADINGS.get(name, name)) for name in shown),
            columns=tuple(self._column(name) for name in columns),
            rows=tuple(Row(row, tuple(of_row[name] for name in columns)) for row, of_row in cells.items()),
            row_words=_words(frame, self.rows),
            column_words=_words(frame, self.columns),
            label="" if in_title else "-".join([self.id, *reversed(list(labels.values()))]),
            problem_set=labels.get("problem set", ""),
            column_kind="training set" if self.columns == ["training set"] else "",
        )

    def _caption(self, frame: ScoreFrame, places: Sequence[Place], parts: Sequence[str], lacking: Sequence[str]) -> str:
        draws = draws_sentence(frame)
        if self.whole:
            sentences = {
                "{draws}": draws,
                "{parts}": f"Tests: {WHOLE} of them, or only the part {', '.join(parts[1:])}." if parts[1:] else "",
                "{unchanged}": unchanged_sentence(frame, places[0].key.problem_set),
            }
            caption = self.captioned()
            for placeholder, sentence in sentences.items():
                caption = caption.replace(placeholder, sentence)
            return " ".join(caption.split())
        perturbed = any(place.key.perturbation != CLEAN for place in places)
        models = {place.labels["model"]: place.key.variant.model for place in places}
        several = self.mean and len(models) > len(set(models.values())) > 1
        return self.captioned(*lacking, draws if perturbed else "", EQUAL_MODELS if several else "")

    def _column(self, labels: Labels) -> Column:
        named = self.names.get(" ".join(labels))
        return Column(named) if named else Column(labels[-1], *labels[:-1])

    def _shows(self, dimension: Dimension) -> bool:
        return dimension in (*self.rows, *self.columns)

    def _means(self, cells: Grid, models: Mapping[str, str]) -> Grid:
        at = self.rows.index("model")
        of_rows: dict[Labels, list[Labels]] = {}
        for row in cells:
            of_rows.setdefault((*row[:at], MEAN, *row[at + 1 :]), []).append(row)
        means: Grid = {}
        for mean, rows in of_rows.items():
            if len({models[row[at]] for row in rows}) > 1:
                of_columns = {name: [(models[row[at]], cells[row][name]) for row in rows] for name in cells[rows[0]]}
                means[mean] = {name: self._mean(mean, name, of_models) for name, of_models in of_columns.items()}
        return means

    def _mean(self, row: Labels, column: Labels, cells: Sequence[tuple[str, TableCell]]) -> TableCell:
        of_models: dict[str, list[float]] = {model: [] for model, _ in cells}
        for model, cell in cells:
            of_models[model] += [] if math.isnan(cell.value) else [cell.value]
        values = [sum(numbers) / len(numbers) for numbers in of_models.values() if numbers]
        if not values:
            return TableCell()
        quantities = [self._measure(name, name).quantity for name in self.quantities]
        named = [quantity for quantity in quantities if quantity.heading in (*row, *column)]
        mean = sum(values) / len(values)
        notes = [f"mean of {len(values)} of {count(len(of_models), 'model')}"] if len(values) < len(of_models) else []
        lacking = sum(math.isnan(cell.value) for model, cell in cells if of_models[model])
        notes += [f"without {count(lacking, 'number')} of a recipe or seed"] if lacking else []
        return TableCell.number(mean, (named or quantities)[0].format(mean / 100), "; ".join(notes))


def _matching(pattern: str, metrics: Sequence[str]) -> list[str]:
    return [metric for metric in metrics if fnmatchcase(metric, pattern)]


def _has_any(cells: Iterable[TableCell]) -> bool:
    return any(cell.state != "empty" for cell in cells)


def _has_numbers(frame: ScoreFrame, places: Sequence[Place]) -> bool:
    perturbed = [place for place in places if place.key.perturbation != CLEAN]
    states = {score_cell(frame, place.key, place.quantity).state for place in perturbed or places}
    return not states <= {"empty", "missing"}


def _words(frame: ScoreFrame, dimensions: Sequence[Dimension]) -> dict[str, str]:
    words = {"test set": frame.order.words, "training set": frame.order.training_words}
    return {code: text for name in dimensions for code, text in words.get(name, {}).items()}
