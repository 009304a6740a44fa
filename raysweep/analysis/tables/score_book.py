"""Indexes the scores and failures of a sweep, and lists the rows and columns that tables and figures have.

A row is a `ModelVariant`: a base model under one recipe and one seed. The scores of the base model itself (training set
``base``, recipe ``none``) belong to every variant of that model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from raysweep.metrics.levels import LEVEL_METRICS
from raysweep.records import BASE, CLEAN, NOT_TUNED, Score


@dataclass(frozen=True)
class RowChoice:
    """How the rows of a training set are chosen.

    Attributes:
        ratio: share of the rows that are perturbed.
        size: number of rows, as a multiple of the source's.
    """

    ratio: float = 1.0
    size: float = 1.0


@dataclass(frozen=True)
class RecipeChoice:
    """What a recipe trains for.

    Attributes:
        objective: the name of its loss.
        args: the objective's arguments that the config names.
        rest: all other settings of the recipe, as one text.
        trainer: what trains, such as ``lora``; empty where recipes of several trainers are one group.
        alike: the settings that recipes of different trainers can have in common, as one text: all of `rest` but the
            trainer, its adapter, and what only changes speed and memory.
        is_chosen: whether it stands for the model that was chosen among a group's.
    """

    objective: str
    args: Mapping[str, float | str | bool] = field(default_factory=dict)
    rest: str = ""
    trainer: str = ""
    alike: str = ""
    is_chosen: bool = False


@dataclass(frozen=True)
class FaultShown:
    """How a model that repairs is shown a fault.

    Attributes:
        form: names the form of its prompts, which says nothing of the faulty lines.
        before: whether the faulty lines are in the prompts of the base model.
        after: whether they are in those of its fine-tuned versions.
    """

    form: str
    before: bool
    after: bool


@dataclass(frozen=True)
class Order:
    """The names in a sweep, in the order of its config. Names that only scores have come last, in the scores' order.

    `perturbations` are those of the test sets and may include ``clean``. `headline` is the perturbation of the
    findings' sentences; if empty, it is the first of `mixes`, and without a mix the perturbation that costs most.
    """

    models: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    problem_sets: tuple[str, ...] = ()
    perturbations: tuple[str, ...] = ()
    headline: str = ""
    mixes: tuple[str, ...] = ()  # test perturbations that draw from several methods, the one with the most first
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # mix -> methods of which each prompt has one
    words: Mapping[str, str] = field(default_factory=dict)  # for test perturbations and members: "typos" for C
    training_words: Mapping[str, str] = field(default_factory=dict)  # likewise for training sets
    trained_with: Mapping[str, str] = field(default_factory=dict)  # training set -> its perturbation
    rows: Mapping[str, RowChoice] = field(default_factory=dict)  # training set -> how its rows are chosen
    recipes: Mapping[str, RecipeChoice] = field(default_factory=dict)  # recipe -> its objective, and all else
    clean_of: Mapping[str, str] = field(default_factory=dict)  # training set -> its source's clean one, if not `clean`
    weights: Mapping[str, str] = field(default_factory=dict)  # model -> a name of its weights; equal ones are shared
    faults: Mapping[str, FaultShown] = field(default_factory=dict)  # model -> how it is shown faults, if it repairs
    languages: Mapping[str, str] = field(default_factory=dict)  # problem set -> programming language of its problems
    draws: int = 1  # of each perturbation that draws
    seeds: int = 1  # with which each model is fine-tuned
    pairs: tuple[str, ...] = ()  # training sets that name an edit example from which a model was edited
    ways: Mapping[str, str] = field(default_factory=dict)  # training set -> how its models were made, if not fine-tuned
    undrawn: tuple[str, ...] = ()  # test perturbations that draw nothing, and have one draw however many others have

    def clean_set(self, training_set: str) -> str:
        return self.clean_of.get(training_set, CLEAN)

    @property
    def clean_sets(self) -> frozenset[str]:
        return frozenset({CLEAN, *self.clean_of.values()} - {""})

    @property
    def partial(self) -> tuple[str, ...]:
        """The training sets of which only a part is perturbed, or of another size than the source."""
        return tuple(name for name, rows in self.rows.items() if (rows.ratio, rows.size) != (1, 1))

    def place_of_recipe(self, recipe: str) -> int:
        """Return a sort key: no fine-tuning, then the config's recipes in its order, then others."""
        names = (NOT_TUNED, *self.recipes)
        return names.index(recipe) if recipe in names else len(names)

    @property
    def draws_text(self) -> str:
        if self.draws == 1:
            return ""
        single = f" (1 of {', '.join(self.undrawn)}, without random choices)" if self.undrawn else ""
        return f"{self.draws} perturbation samples of each method{single}"

    def test_label(self, name: str) -> str:
        return labelled(name, self.words)

    def training_label(self, name: str) -> str:
        return labelled(name, self.training_words)

    def way(self, name: str) -> str:
        return self.ways.get(name) or f"fine-tuned on {self.training_label(name)}"


def labelled(name: str, words: Mapping[str, str]) -> str:
    return f"{words[name]} ({name})" if words.get(name, name) != name else name


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
class ScoreBook:
    """All scores and failures of a sweep, indexed by `ScoreKey`. Build it with `ScoreBook.of`."""

    models: tuple[str, ...]
    training_sets: tuple[str, ...]  # ``base`` first, then ``clean``, or the clean set of each source
    problem_sets: tuple[str, ...]
    perturbations: tuple[str, ...]  # without ``clean``
    worst_first: tuple[str, ...]  # the same, by the mean drop of pass@1 of models that are not fine-tuned
    headline: str  # "" where nothing is perturbed
    order: Order
    variants: tuple[ModelVariant, ...]
    _scores: dict[tuple[str, str, str, int, str, str, str], Score] = field(repr=False)
    _failures: dict[tuple[str, str, str, int], Failure] = field(repr=False)
    _cells: dict[tuple[str, str, str], list[int]] = field(repr=False)  # (model, recipe, training set) -> seeds

    @classmethod
    def of(cls, scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> ScoreBook:
        """Index scores and failures; a later score replaces an earlier one with the same key and metric."""
        outcomes: list[Score | Failure] = [*scores, *failures]
        cells: dict[tuple[str, str, str], list[int]] = {}
        for outcome in outcomes:
            seeds = cells.setdefault((outcome.model, outcome.recipe, outcome.training_set), [])
            if outcome.seed not in seeds:
                seeds.append(outcome.seed)
        models = _merged(order.models, (outcome.model for outcome in outcomes))
        sets = _merged(order.training_sets, (outcome.training_set for outcome in outcomes))
        tested = (score.perturbation for score in scores if score.metric not in LEVEL_METRICS)
        perturbations = _merged(order.perturbations, tested)
        perturbed = tuple(name for name in perturbations if name != CLEAN)
        worst_first = _worst_first(perturbed, scores)
        candidates = (order.headline, *(name for name in order.mixes if name in perturbed), *worst_first)
        return cls(
            models=models,
            training_sets=tuple(sorted(sets, key=lambda name: (name != BASE, name not in order.clean_sets))),
            problem_sets=_merged(order.problem_sets, (score.problem_set for score in scores)),
            perturbations=perturbed,
            worst_first=worst_first,
            headline=next(filter(None, candidates), ""),
            order=order,
            variants=_variants(models, cells, order),
            _scores={
                (s.model, s.recipe, s.training_set, s.seed, s.problem_set, s.perturbation, s.metric): s for s in scores
            },
            _failures={(f.model, f.recipe, f.training_set, f.seed): f for f in failures},
            _cells=cells,
        )

    def score(self, key: ScoreKey, metric: str) -> Score | None:
        cell = self._cell(key.variant, key.training_set)
        return self._scores.get((*cell, key.problem_set, key.perturbation, metric)) if cell else None

    def scores(self) -> list[Score]:
        return list(self._scores.values())

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

    def all_scores(self, problem_set: str, perturbation: str, metric: str) -> list[Score]:
        return self._by_test_set.get((problem_set, perturbation, metric), [])

    @cached_property
    def _by_test_set(self) -> dict[tuple[str, str, str], list[Score]]:
        scores: dict[tuple[str, str, str], list[Score]] = {}
        for score in self._scores.values():
            scores.setdefault((score.problem_set, score.perturbation, score.metric), []).append(score)
        return scores

    def cells(self) -> list[tuple[str, str, str, int]]:
        """Return the cells that have scores or failed: (model, recipe, training set, seed)."""
        return [(*cell, seed) for cell, seeds in self._cells.items() for seed in seeds]

    def levels(self, problem_set: str) -> tuple[str, ...]:
        scores = (s for s in self._scores.values() if s.problem_set == problem_set and s.metric in LEVEL_METRICS)
        return tuple(dict.fromkeys(score.perturbation for score in scores))

    def metrics(self, problem_set: str) -> list[str]:
        return list(dict.fromkeys(s.metric for s in self._scores.values() if s.problem_set == problem_set))

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
