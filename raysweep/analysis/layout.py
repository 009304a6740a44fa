"""Scores by place: which rows and columns a table, a figure or a report has, and the score that stands there.

A `Line` is what one row of "models x training sets" stands for: a base model under one recipe and one seed. The base
model's own scores (training set ``base``, recipe ``none``) belong to every line of that model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from raysweep.records import Score

BASE = "base"  # training set of a model that is not fine-tuned
CLEAN = "clean"  # training set and perturbation without any perturbation
NOT_TUNED = "none"  # recipe of a model that is not fine-tuned


@dataclass(frozen=True)
class Order:
    """The names of a sweep in the order of its config; what scores add to them comes after, in their order.

    `perturbations` are the test sets' ones, ``clean`` or not. `headline`: the perturbation of the finding and the
    figure; empty takes the last of `perturbations`, where configs put the aggregate.
    """

    models: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    problem_sets: tuple[str, ...] = ()
    perturbations: tuple[str, ...] = ()
    headline: str = ""


@dataclass(frozen=True)
class Failure:
    """A cell that gave up, with its error (any number of lines, the first one says what happened)."""

    model: str
    recipe: str
    training_set: str
    seed: int
    error: str

    @property
    def first_line(self) -> str:
        """The first non-blank line of the error."""
        return next((line.strip() for line in self.error.splitlines() if line.strip()), "no message")


@dataclass(frozen=True)
class Line:
    """One base model under one recipe and seed. `label` names as much of it as tells it from the others."""

    model: str
    recipe: str
    seed: int
    label: str


@dataclass(frozen=True)
class Place:
    """Where a score stands: a line's model, fine-tuned on a training set, judged on a test set."""

    line: Line
    training_set: str
    problem_set: str
    perturbation: str


@dataclass(frozen=True)
class ScoreBook:
    """All scores and failures of a sweep, found by place. Build it with `ScoreBook.of`."""

    models: tuple[str, ...]
    training_sets: tuple[str, ...]  # ``base`` first, then ``clean``
    problem_sets: tuple[str, ...]
    perturbations: tuple[str, ...]  # without ``clean``
    headline: str  # "" where nothing is perturbed
    lines: tuple[Line, ...]
    _scores: dict[tuple[str, str, str, int, str, str, str], Score] = field(repr=False)
    _failures: dict[tuple[str, str, str, int], Failure] = field(repr=False)
    _cells: dict[tuple[str, str, str], list[int]] = field(repr=False)  # (model, recipe, training set) -> seeds

    @classmethod
    def of(cls, scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> ScoreBook:
        """Index scores and failures; of two scores for one place the later one counts."""
        known: list[Score | Failure] = [*scores, *failures]
        cells: dict[tuple[str, str, str], list[int]] = {}
        for it in known:
            seeds = cells.setdefault((it.model, it.recipe, it.training_set), [])
            if it.seed not in seeds:
                seeds.append(it.seed)
        models = _merged(order.models, (it.model for it in known))
        sets = _merged(order.training_sets, (it.training_set for it in known))
        perturbations = _merged(order.perturbations, (score.perturbation for score in scores))
        perturbed = tuple(name for name in perturbations if name != CLEAN)
        return cls(
            models=models,
            training_sets=tuple(sorted(sets, key=lambda name: (name != BASE, name != CLEAN))),
            problem_sets=_merged(order.problem_sets, (score.problem_set for score in scores)),
            perturbations=perturbed,
            headline=order.headline or (perturbed[-1] if perturbed else ""),
            lines=_lines(models, cells),
            _scores={
                (s.model, s.recipe, s.training_set, s.seed, s.problem_set, s.perturbation, s.metric): s for s in scores
            },
            _failures={(f.model, f.recipe, f.training_set, f.seed): f for f in failures},
            _cells=cells,
        )

    def score(self, place: Place, metric: str) -> Score | None:
        """Return the score of a metric at a place, or None."""
        cell = self._cell(place.line, place.training_set)
        return self._scores.get((*cell, place.problem_set, place.perturbation, metric)) if cell else None

    def failure(self, place: Place) -> Failure | None:
        """Return why the cell of a place has no results, or None."""
        cell = self._cell(place.line, place.training_set)
        return self._failures.get(cell) if cell else None

    def is_missing(self, place: Place) -> bool:
        """Tell whether the cell of a place has neither scores nor a failure."""
        return self._cell(place.line, place.training_set) is None

    def everywhere(self, problem_set: str, perturbation: str, metric: str) -> list[Score]:
        """Return all scores of one metric on one test set, over all cells."""
        wanted = (problem_set, perturbation, metric)
        return [s for s in self._scores.values() if (s.problem_set, s.perturbation, s.metric) == wanted]

    def metrics(self, problem_set: str) -> list[str]:
        """Return the metrics that there are on a problem set, in the order of the scores."""
        return list(dict.fromkeys(s.metric for s in self._scores.values() if s.problem_set == problem_set))

    def _cell(self, line: Line, training_set: str) -> tuple[str, str, str, int] | None:
        recipe = NOT_TUNED if training_set == BASE else line.recipe
        seeds = self._cells.get((line.model, recipe, training_set), [])
        if training_set == BASE and seeds and line.seed not in seeds:
            return line.model, recipe, training_set, seeds[0]
        return (line.model, recipe, training_set, line.seed) if line.seed in seeds else None


def _merged(first: Iterable[str], then: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *then)))


def _lines(models: Sequence[str], cells: dict[tuple[str, str, str], list[int]]) -> tuple[Line, ...]:
    found: dict[str, dict[tuple[str, int], None]] = {model: {} for model in models}
    bare: dict[str, dict[tuple[str, int], None]] = {model: {} for model in models}
    for (model, recipe, training_set), seeds in cells.items():
        kind = bare if training_set == BASE else found
        kind[model].update({(recipe, seed): None for seed in seeds})
    lines = []
    for model in models:
        variants = list(found[model]) or list(bare[model]) or [(NOT_TUNED, 0)]
        for recipe, seed in sorted(variants, key=lambda variant: variant[1]):
            label = [model]
            label += [recipe] * (len({name for name, _ in variants}) > 1)
            label += [f"seed {seed}"] * (len({number for _, number in variants}) > 1)
            lines.append(Line(model, recipe, seed, " · ".join(label)))
    return tuple(lines)
