"""Which numbers a table of scores has, and where they stand: quantities on test sets, and the dimensions of a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Annotated, Literal, get_args

from pydantic import Field

from raysweep.analysis.exhibits.base import Digits, FileKeys
from raysweep.analysis.exhibits.recipes.finding import TrainedModel
from raysweep.analysis.tables.frame import ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import Quantity, quantity_of
from raysweep.programs import LANGUAGE_WORDS

Dimension = Literal[
    "language", "problem set", "family", "model", "recipe", "regime", "test set", "training set", "quantity", "part"
]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
WHOLE = "all"
"""The part that is no part: all tests, or all prompts."""


@dataclass(frozen=True)
class Measure:
    """A quantity, and the part that it is measured on."""

    quantity: Quantity
    part: str


class ScoreBlock(FileKeys):
    """Quantities on test sets."""

    test_sets: Annotated[list[str], Field(min_length=1)]
    beside: bool = False
    """Whether the numbers stand in the table of each test set of the other blocks; where these have none, alone."""
    quantities: Digits
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
            for metric in (matching(name, frame.metrics(problems)) if "*" in name else [name])
        ]

    def _measure(self, metric: str, name: str) -> Measure:
        quantity = quantity_of(metric, self.quantities[name])
        part = self.parts.get(name, WHOLE)
        starred = metric.removeprefix(name.partition("*")[0])
        return Measure(replace(quantity, label=self.labels.get(name, quantity.label)), starred if part == "*" else part)


def matching(pattern: str, metrics: Sequence[str]) -> list[str]:
    return [metric for metric in metrics if fnmatchcase(metric, pattern)]


@dataclass(frozen=True)
class Place:
    """Where a number stands: one value of each dimension. `labels`: their names."""

    key: ScoreKey
    quantity: Quantity
    labels: Mapping[Dimension, str]


def places_of(
    frame: ScoreFrame,
    problems: str,
    trained: Sequence[TrainedModel],
    tests: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
) -> list[Place]:
    """Return every combination of values. `tests`: the label of each test set, and the test set."""
    language = frame.order.languages.get(problems, "")
    places = []
    for (test, perturbation), one, measure in product(tests, trained, measures):
        labels: dict[Dimension, str] = {
            "language": LANGUAGE_WORDS.get(language, language),
            "problem set": problems,
            "family": one.family,
            "model": one.model,
            "recipe": one.recipe,
            "regime": one.regime,
            "test set": test,
            "training set": one.training_set,
            "quantity": measure.quantity.heading,
            "part": measure.part,
        }
        key = ScoreKey(one.variant, one.trained_on, problems, perturbation)
        places.append(Place(key, measure.quantity, labels))
    return places


def nested(places: list[Place], dimensions: Sequence[Dimension]) -> list[Place]:
    """Return places by the first dimension, those of one value by the second, and so on.

    Values of a dimension keep the order in which they come.
    """
    if not dimensions:
        return places
    groups: dict[str, list[Place]] = {}
    for place in places:
        groups.setdefault(place.labels[dimensions[0]], []).append(place)
    return [place for group in groups.values() for place in nested(group, dimensions[1:])]
