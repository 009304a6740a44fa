"""Finds the models that may be chosen for a kind of prompts, and bootstraps them over the same problems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.comparisons.estimate import Estimate, SharedVariance, pool
from raysweep.analysis.comparisons.pass_rates import PassRates
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.metrics.base import Measurement
from raysweep.metrics.degradation import relative_degradation
from raysweep.records import BASE, CLEAN
from raysweep.stats.intervals import COVERAGE, mean_interval
from raysweep.stats.resampling import BestSetting, argmax_interval
from raysweep.stats.seeds import shared_variance

FEWEST = 2
NO_SEED = -1
PASS = "pass@1"


@dataclass(frozen=True)
class Candidate:
    """A model that may be chosen; its seeds are averaged, problem by problem.

    Attributes:
        model: the base model, with its recipe where it has several.
        training_set: that it was fine-tuned on, or ``base``.
        perturbed: pass@1 by task id on the prompts in question.
        clean: pass@1 by task id on clean prompts; empty if unknown.
        by_seed: `perturbed` for each seed of its training; of a base model for `NO_SEED`.
        clean_by_seed: `clean` likewise.
        base_model: the base model.
        recipe: that it was fine-tuned by; of a base model ``none``.
    """

    model: str
    training_set: str
    perturbed: Mapping[str, float]
    clean: Mapping[str, float]
    by_seed: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    clean_by_seed: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    base_model: str = ""
    recipe: str = ""

    def gain(self, other: Candidate) -> Estimate | None:
        """Return by how much its pass@1 is above another's, 0 to 1, over the problems and seeds that both have."""
        alike = [
            (theirs, ours)
            for seed, ours in self.by_seed.items()
            if (theirs := other.by_seed.get(seed, other.by_seed.get(NO_SEED))) is not None
            and theirs.keys() >= self.perturbed.keys()
        ]
        if not alike:
            return None
        twins, seeds = (
            [ProblemRates({task: of[task] for task in self.perturbed}, {}, 1, 1) for of in side]
            for side in zip(*alike, strict=True)
        )
        differences = [PassRates().measure(*pair)[0] for pair in zip(twins, seeds, strict=True)]
        return pool(differences, SharedVariance.between(seeds, twins).rates)

    @property
    def over_seeds(self) -> Estimate:
        import numpy as np

        rates = np.array([[of_seed[task] for task in self.perturbed] for of_seed in self.by_seed.values()])
        seeds = [Measurement(PASS, float(one.mean()), *mean_interval(one), len(one)) for one in rates]
        return pool(seeds, shared_variance(rates))

    @property
    def pair(self) -> tuple[float, float] | None:
        """Return pass@1 on clean and on these prompts, of the problems with both; None if there are none."""
        both = [(self.clean[task], rate) for task, rate in self.perturbed.items() if task in self.clean]
        clean, perturbed = (sum(values) / len(both) for values in zip(*both, strict=True)) if both else (0.0, 0.0)
        return (clean, perturbed) if both else None

    @property
    def rds(self) -> list[float]:
        """Return the RD of each seed, NaN where its clean score is 0, of the problems of `pair`; there must be some."""
        tasks = [task for task in self.perturbed if task in self.clean]
        return [
            relative_degradation(
                *(sum(rates[task] for task in tasks) for rates in (self.clean_by_seed[seed], of_seed))
            ).value
            for seed, of_seed in self.by_seed.items()
        ]

    @property
    def clean_mean(self) -> float | None:
        pair = self.pair
        return pair[0] if pair else None


@dataclass(frozen=True)
class Choosing:
    """The candidates on one test set, all on the same problems, and what the bootstrap says of them."""

    frame: ScoreFrame
    problem_set: str
    test: str
    candidates: tuple[Candidate, ...]
    best: BestSetting

    @classmethod
    def of(cls, evidence: Evidence, problem_set: str, test: str) -> Choosing | None:
        """Return the candidates; None where fewer than two have verdicts on two problems."""
        candidates = list(_candidates(evidence, problem_set, test))
        if len(candidates) < FEWEST:
            return None
        shared = set(candidates[0].perturbed).intersection(*(candidate.perturbed for candidate in candidates[1:]))
        tasks = [task for task in candidates[0].perturbed if task in shared]
        if len(tasks) < FEWEST:
            return None
        same = tuple(
            replace(candidate, perturbed={task: candidate.perturbed[task] for task in tasks})
            for candidate in candidates
        )
        values = {
            str(number): [[rates[task] for rates in candidate.by_seed.values()] for task in tasks]
            for number, candidate in enumerate(same)
        }
        return cls(evidence.frame, problem_set, test, same, argmax_interval(values))

    @property
    def chosen(self) -> Candidate:
        """The candidate with the highest pass@1; of several that tie the first."""
        return self.candidates[int(self.best.best)]

    @property
    def tied(self) -> list[Candidate]:
        return [self.candidates[int(number)] for number in self.best.tied]

    @property
    def second(self) -> Candidate:
        return max((one for one in self.candidates if one is not self.chosen), key=self.score_of)

    @property
    def base(self) -> Candidate | None:
        bases = (one for one in self.candidates if one.training_set == BASE)
        return next((one for one in bases if one.base_model == self.chosen.base_model), None)

    @property
    def clean_twin(self) -> Candidate | None:
        """The same model fine-tuned in the same way on clean prompts; None where it isn't among the candidates."""
        chosen = self.chosen
        clean = self.frame.order.clean_set(chosen.training_set)
        alike = (one for one in self.candidates if (one.base_model, one.recipe) == (chosen.base_model, chosen.recipe))
        return next((one for one in alike if one.training_set == clean), None)

    @cached_property
    def lead(self) -> Estimate | None:
        return self.chosen.gain(self.second)

    @property
    def is_clear(self) -> bool:
        """Whether one is the best: of several seeds whether the interval of its lead over the second leaves out 0.

        Without such an interval it has to be the best in 95 % of the resamples.
        """
        lead = self.lead
        if len(self.tied) == 1 and lead is not None and lead.seeds > 1 and not math.isnan(lead.low):
            return lead.low > 0
        return len(self.tied) == 1 and self.share >= COVERAGE

    @property
    def share(self) -> float:
        """The share of resamples in which the chosen one is the best, 0 to 1."""
        return self.share_of(self.chosen)

    @property
    def seeds(self) -> int:
        """The number of seeds that each fine-tuned candidate should have: the config's, or the most that one has."""
        return max(self.frame.order.seeds, *(len(one.by_seed) for one in self.candidates))

    @property
    def resampled_seeds(self) -> int:
        return max(len(one.by_seed) for one in self.candidates)

    def score_of(self, candidate: Candidate) -> float:
        """Return a candidate's pass@1 on the shared problems, 0 to 1."""
        return self.best.scores[self._place(candidate)]

    def share_of(self, candidate: Candidate) -> float:
        """Return the share of resamples in which a candidate is the best, 0 to 1."""
        return self.best.shares[self._place(candidate)]

    def _place(self, candidate: Candidate) -> int:
        return next(number for number, one in enumerate(self.candidates) if one is candidate)


def alone_of(evidence: Evidence, problem_set: str, test: str) -> Candidate | None:
    """Return the only model with verdicts on a test set; None where there are others, or fewer than two problems."""
    candidates = list(_candidates(evidence, problem_set, test))
    return candidates[0] if len(candidates) == 1 and len(candidates[0].perturbed) >= FEWEST else None


def _candidates(evidence: Evidence, problem_set: str, test: str) -> Iterator[Candidate]:
    rates: dict[tuple[str, str, str], dict[int, tuple[Mapping[str, float], Mapping[str, float]]]] = {}
    order = evidence.frame.order
    trained = {cell: of for cell, of in evidence.rates.items() if cell.training_set not in (*order.pairs, *order.ways)}
    for cell, by_test in trained.items():
        if (problem_set, test) in by_test:
            perturbed = by_test[problem_set, test].rates
            clean = by_test[problem_set, CLEAN].rates if (problem_set, CLEAN) in by_test else {}
            seed = NO_SEED if cell.training_set == BASE else cell.seed
            rates.setdefault((cell.model, cell.recipe, cell.training_set), {})[seed] = (perturbed, clean)
    recipes: dict[str, set[str]] = {}
    for model, recipe, training_set in rates:
        recipes.setdefault(model, set()).update([] if training_set == BASE else [recipe])
    for (model, recipe, training_set), seeds in rates.items():
        name = f"{model} · {recipe}" if training_set != BASE and len(recipes[model]) > 1 else model
        perturbed, clean = (_means([of_seed[side] for of_seed in seeds.values()]) for side in (0, 1))
        by_seed, clean_by_seed = ({seed: of_seed[side] for seed, of_seed in seeds.items()} for side in (0, 1))
        yield Candidate(name, training_set, perturbed, clean, by_seed, clean_by_seed, model, recipe)


def _means(seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {
        task: sum(rates[task] for rates in seeds) / len(seeds) for task in seeds[0] if all(task in s for s in seeds)
    }
