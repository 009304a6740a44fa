"""The frame: all scores of a sweep and their differences, a row for each, of which tables and figures are made.

docs/frame.md has the columns. Rows of tables are `ModelVariant`s: a base model under one recipe and one seed. The
numbers of the base model itself (training set ``base``, recipe ``none``) belong to every variant of that model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from raysweep.analysis.tables.order import Order
from raysweep.metrics.levels import LEVEL_METRICS
from raysweep.records import BASE, CLEAN, NOT_TUNED, Difference, Score

if TYPE_CHECKING:
    import pandas as pd

ALL_SEEDS = -1
"""Stands in the place of a seed in numbers that are means over seeds."""


@dataclass(frozen=True, slots=True)
class Number(Score):
    """A row of the frame: a number of one cell, or of a cell beside its baseline, on one test set.

    Attributes:
        against: the training set of the baseline that a difference is from; empty: it is no difference.
        sd: standard deviation between seeds; NaN for one.
        seeds: how many seeds have the number, if it is a mean over them (its seed is `ALL_SEEDS`); 0: it is none.
    """

    against: str = ""
    sd: float = math.nan
    seeds: int = 0

    @classmethod
    def of(cls, one: Score | Difference, **changed: Any) -> Number:
        """Return a number with the labels and values of another, but for those that are `changed`."""
        return cls(**{name: getattr(one, name) for name in _NAMES[type(one)]} | changed)


_NAMES = {record: [column.name for column in fields(record)] for record in (Score, Difference, Number)}
COLUMNS = tuple(column.name for column in fields(Number))
KEY = (*COLUMNS[:7], "against")
"""The columns that no two rows have in common."""
_key = attrgetter(*KEY)


@dataclass(frozen=True)
class Failure:
    """A failed cell and its error."""

    model: str
    recipe: str
    training_set: str
    seed: int
    error: str

    @property
    def cell(self) -> str:
        return f"{self.model} · {self.recipe} · {self.training_set} · seed {self.seed}"


@dataclass(frozen=True)
class ModelVariant:
    """One base model under one recipe and seed. `label` names recipe and seed only where the sweep has several."""

    model: str
    recipe: str
    seed: int
    label: str

    @property
    def names_recipe(self) -> bool:
        return self.label.startswith(f"{self.model} · {self.recipe}")

    @property
    def base_label(self) -> str:
        return self.label.replace(f" · {self.recipe}", "", 1) if self.names_recipe else self.label


@dataclass(frozen=True)
class ScoreKey:
    """Identifies scores: a model variant, the training set it was fine-tuned on, and the test set."""

    variant: ModelVariant
    training_set: str
    problem_set: str
    perturbation: str


@dataclass(frozen=True)
class ScoreFrame:
    """All numbers and failures of a sweep, and the names that its tables have. Build it with `ScoreFrame.of`."""

    models: tuple[str, ...]
    training_sets: tuple[str, ...]  # ``base`` first, then ``clean``, or the clean set of each source
    problem_sets: tuple[str, ...]
    perturbations: tuple[str, ...]  # without ``clean``
    worst_first: tuple[str, ...]  # the same, by the mean drop of pass@1 of models that are not fine-tuned
    headline: str  # "" where nothing is perturbed
    order: Order
    variants: tuple[ModelVariant, ...]
    _numbers: dict[tuple[object, ...], Number] = field(repr=False)  # by `KEY`
    _failures: dict[tuple[str, str, str, int], Failure] = field(repr=False)
    _cells: dict[tuple[str, str, str], list[int]] = field(repr=False)  # (model, recipe, training set) -> seeds

    @classmethod
    def of(
        cls,
        scores: Sequence[Score],
        order: Order,
        failures: Sequence[Failure] = (),
        differences: Sequence[Difference | Number] = (),
    ) -> ScoreFrame:
        """Index numbers and failures; a later number replaces an earlier one with the same key."""
        outcomes: list[Score | Difference | Failure] = [*scores, *failures, *differences]
        cells: dict[tuple[str, str, str], list[int]] = {}
        for outcome in outcomes:
            seeds = cells.setdefault((outcome.model, outcome.recipe, outcome.training_set), [])
            if outcome.seed not in seeds:
                seeds.append(outcome.seed)
        models = _merged(order.models, (outcome.model for outcome in outcomes))
        sets = _merged(order.training_sets, (outcome.training_set for outcome in outcomes))
        tested = (score.perturbation for score in scores if score.metric not in LEVEL_METRICS)
        perturbed = tuple(name for name in _merged(order.perturbations, tested) if name != CLEAN)
        worst_first = _worst_first(perturbed, scores)
        candidates = (order.headline, *(name for name in order.mixes if name in perturbed), *worst_first)
        numbers = [one if isinstance(one, Number) else Number.of(one) for one in (*scores, *differences)]
        return cls(
            models=models,
            training_sets=tuple(sorted(sets, key=lambda name: (name != BASE, name not in order.clean_sets))),
            problem_sets=_merged(order.problem_sets, (score.problem_set for score in scores)),
            perturbations=perturbed,
            worst_first=worst_first,
            headline=next(filter(None, candidates), ""),
            order=order,
            variants=_variants(models, cells, order),
            _numbers={_key(number): number for number in numbers},
            _failures={(f.model, f.recipe, f.training_set, f.seed): f for f in failures},
            _cells=cells,
        )

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """All numbers, a row for each; the columns are the fields of `Number`."""
        import pandas as pd

        return pd.DataFrame(map(attrgetter(*COLUMNS), self._numbers.values()), columns=list(COLUMNS))

    def score(self, key: ScoreKey, metric: str, against: str = "") -> Number | None:
        """`against`: the training set of the baseline that a difference is from; empty: the score itself."""
        cell = self._cell(key.variant, key.training_set)
        return self._numbers.get((*cell, key.problem_set, key.perturbation, metric, against)) if cell else None

    def value(self, key: ScoreKey, metric: str) -> float:
        """Return a number's value; NaN if there is none."""
        score = self.score(key, metric)
        return math.nan if score is None else score.value

    def scores(self) -> list[Number]:
        return [number for number in self._numbers.values() if not number.against]

    def differences(self) -> list[Number]:
        return [number for number in self._numbers.values() if number.against]

    def failure(self, key: ScoreKey) -> Failure | None:
        cell = self._cell(key.variant, key.training_set)
        return self._failures.get(cell) if cell else None

    def is_missing(self, key: ScoreKey) -> bool:
        """Return True if the key's cell has neither scores nor a failure."""
        return self._cell(key.variant, key.training_set) is None

    def is_asked(self, key: ScoreKey) -> bool:
        """Return False if the key's cell is missing and its recipe makes models in another way only, as editors do."""
        return key.training_set not in self.order.ways or not self.is_missing(key)

    @property
    def tuned_sets(self) -> tuple[str, ...]:
        """The training sets that models were fine-tuned on, without ``base``, edits and rewritten prompts."""
        return tuple(name for name in self.training_sets if name != BASE and name not in self.order.ways)

    def all_scores(self, problem_set: str, perturbation: str, metric: str) -> list[Number]:
        return self._by_test_set.get((problem_set, perturbation, metric), [])

    @cached_property
    def _by_test_set(self) -> dict[tuple[str, str, str], list[Number]]:
        scores: dict[tuple[str, str, str], list[Number]] = {}
        for score in self.scores():
            scores.setdefault((score.problem_set, score.perturbation, score.metric), []).append(score)
        return scores

    def cells(self) -> list[tuple[str, str, str, int]]:
        """Return the cells that have scores or failed: (model, recipe, training set, seed)."""
        return [(*cell, seed) for cell, seeds in self._cells.items() for seed in seeds]

    def levels(self, problem_set: str) -> tuple[str, ...]:
        names = (
            test for problems, test, metric in self._by_test_set if metric in LEVEL_METRICS and problems == problem_set
        )
        return tuple(dict.fromkeys(names))

    def metrics(self, problem_set: str) -> list[str]:
        return list(dict.fromkeys(metric for problems, _, metric in self._by_test_set if problems == problem_set))

    def _cell(self, variant: ModelVariant, training_set: str) -> tuple[str, str, str, int] | None:
        recipe = NOT_TUNED if training_set == BASE else variant.recipe
        seeds = self._cells.get((variant.model, recipe, training_set), [])
        if training_set == BASE and seeds and variant.seed not in seeds:
            return variant.model, recipe, training_set, seeds[0]
        return (variant.model, recipe, training_set, variant.seed) if variant.seed in seeds else None


def _worst_first(perturbations: Sequence[str], scores: Sequence[Score]) -> tuple[str, ...]:
    drops = [s for s in scores if s.metric == "drop" and not math.isnan(s.value)]
    drops = [s for s in drops if s.training_set == BASE] or drops

    def mean(name: str) -> float:
        values = [s.value for s in drops if s.perturbation == name]
        return sum(values) / len(values) if values else math.inf

    return tuple(sorted(perturbations, key=mean))


def _merged(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _variants(
    models: Sequence[str], cells: dict[tuple[str, str, str], list[int]], order: Order
) -> tuple[ModelVariant, ...]:
    tuned: dict[str, dict[tuple[str, int], None]] = {model: {} for model in models}
    base: dict[str, dict[tuple[str, int], None]] = {model: {} for model in models}
    for (model, recipe, training_set), seeds in cells.items():
        pairs = base if training_set == BASE else tuned
        pairs[model].update({(recipe, seed): None for seed in seeds})
    variants = []
    for model in models:
        of_model = list(tuned[model]) or list(base[model]) or [(NOT_TUNED, 0)]
        for recipe, seed in sorted(of_model, key=lambda pair: (pair[1], order.place_of_recipe(pair[0]))):
            label = [model]
            label += [recipe] * (len({name for name, _ in of_model}) > 1)
            label += [f"seed {seed}"] * (len({number for _, number in of_model}) > 1)
            variants.append(ModelVariant(model, recipe, seed, " · ".join(label)))
    return tuple(variants)
