"""Simulated sweeps of the study's shape, and which of their differences stay below .05 after Holm's adjustment.

On a clean prompt each model passes a problem with a probability of .4 times a draw from Beta(.5, .5); a perturbed
prompt loses a share of it, drawn from Beta(.2, .8) for each test set and problem. That is the model fine-tuned on clean
prompts. Fine-tuning on another set moves each probability by chance, up to half of the way to 0 or as far up, so models
without an effect differ from their clean twin too, though not in the mean of the population. A model with an effect
also gains .4 on half of the problems, so its pass@1 is .2 higher. It has the effect on all of its test sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from raysweep.analysis.comparisons.pass_rates import P_HEADINGS, P_VALUE
from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.config.grid import build_grid
from raysweep.config.schema import SweepConfig
from raysweep.records import BASE, CLEAN, Difference, Score
from raysweep.seeding import numpy_rng
from raysweep.stats.paired_tests import sign_flip_p
from raysweep.sweep.report.names import order_of

CONFIG = Path(__file__).parents[2] / "configs" / "study.yaml"
PROBLEMS = 161
LEVEL = 0.05
TestedPair = tuple[str, str, str]
"""Model, training set and test set of a cell that is compared with its clean twin."""


@dataclass(frozen=True)
class SimulatedSweep:
    """What the tables of one sweep say.

    Attributes:
        families: the adjusted p of each pair, a mapping for each table.
        affected: the pairs that have an effect.
    """

    families: tuple[dict[TestedPair, float], ...]
    affected: frozenset[TestedPair]

    @property
    def found(self) -> int:
        """The number of pairs with an effect whose adjusted p is below .05."""
        return sum(family[pair] < LEVEL for family in self.families for pair in self.affected & family.keys())

    @property
    def false_families(self) -> int:
        """The number of families in which a pair without an effect has an adjusted p below .05."""
        return sum(
            any(p < LEVEL for pair, p in family.items() if pair not in self.affected) for family in self.families
        )


def study(models: int) -> SweepConfig:
    """Return the study's config with its first models and HumanEval alone; four models are 1,436 pairs."""
    config = SweepConfig.model_validate(yaml.safe_load(CONFIG.read_text()))
    evaluation = config.evaluation.model_copy(update={"problems": config.evaluation.problems[:1]})
    return config.model_copy(update={"models": config.models[:models], "evaluation": evaluation})


def simulated(
    config: SweepConfig, sweeps: int, samples: int, affected_share: float, seed: int = 0
) -> Iterator[SimulatedSweep]:
    """Yield simulated sweeps of a config.

    Args:
        config: the sweep's; recipes and seeds count as one.
        sweeps: how many.
        samples: completions for each prompt.
        affected_share: the probability that a model fine-tuned on another set than the clean one has an effect.
        seed: of all verdicts.
    """
    grid, order = build_grid(config), order_of(config)
    cells = {(cell.model, cell.training_set): cell for cell in grid.cells}
    tests = {key: [pair.perturbation for pair in grid.pairs_of(cell)] for key, cell in cells.items()}
    (problems,) = order.problem_sets
    scores = [
        Score(cell.model, cell.recipe, cell.training_set, cell.seed, problems, test, "pass@1", 0.5, 0.4, 0.6, PROBLEMS)
        for key, cell in cells.items()
        for test in tests[key]
    ]
    for number in range(sweeps):
        rng = numpy_rng(seed, "families", samples, f"{affected_share:g}", number)
        differences, affected = [], set()
        twins = {model: _twin(rng, tests[model, CLEAN]) for model, _ in cells if (model, CLEAN) in cells}
        clean = {model: _rates(rng, samples, twin) for model, twin in twins.items()}
        for (model, training_set), cell in cells.items():
            if training_set in (BASE, CLEAN):
                continue
            gains = 0.4 * (rng.random(PROBLEMS) < 0.5) * (rng.random() < affected_share)
            for test in tests[model, training_set]:
                way = rng.uniform(-0.5, 0.5, PROBLEMS)
                moved = twins[model][test] * (1 + way) + gains
                rates = _rates(rng, samples, {test: moved})[test]
                p = sign_flip_p(rates - clean[model][test])
                label = (cell.model, cell.recipe, training_set, cell.seed, CLEAN, problems, test, P_VALUE)
                differences.append(Difference(*label, p, np.nan, np.nan, PROBLEMS))
                affected |= {(model, training_set, test)} if gains.any() else set()
        tables = difference_tables(ScoreFrame.of(scores, order, (), differences))
        yield SimulatedSweep(tuple(map(_adjusted, tables)), frozenset(affected))


def _twin(rng: np.random.Generator, tests: list[str]) -> dict[str, np.ndarray]:
    """Return the probabilities of a model fine-tuned on clean prompts, by test set."""
    clean = 0.4 * rng.beta(0.5, 0.5, PROBLEMS)
    return {test: clean if test == CLEAN else clean * (1 - rng.beta(0.2, 0.8, PROBLEMS)) for test in tests}


def _rates(rng: np.random.Generator, samples: int, probabilities: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {test: rng.binomial(samples, values) / samples for test, values in probabilities.items()}


def _adjusted(table) -> dict[TestedPair, float]:
    names = [column.name for column in table.columns]
    return {
        (row.labels[1], name, row.labels[0]): cell.value
        for row in table.rows
        if row.labels[2] == P_HEADINGS[1]
        for name, cell in zip(names, row.cells, strict=True)
        if cell.state == "value"
    }
