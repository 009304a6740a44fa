"""A sweep of models that repair: six families of several sizes, four regimes, four problem sets, simulated verdicts."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import pandas as pd

from raysweep.analysis.comparisons.base import TestSetName
from raysweep.analysis.comparisons.sums import PartRates
from raysweep.analysis.exhibits.answers import Answer, Answers, PatchRates
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.tables.choices import ReportedCandidate, ReportedChoice
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import FaultShown, Order, RecipeChoice
from raysweep.analysis.tables.pooling import scores_over_seeds
from raysweep.analysis.tables.table import Table
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.metrics.base import CellLabels
from raysweep.metrics.repair import patch_rates
from raysweep.records import Result, Score

SIZES = {  # model -> weights, and how well it repairs
    "codegen-350m": (350e6, 0.2), "codegen-2b": (2e9, 0.3), "codegen-6b": (6e9, 0.4),
    "codet5-base": (220e6, 0.25), "starcoderbase-1b": (1.1e9, 0.3), "deepseek-coder-1b": (1.3e9, 0.4),
    "deepseek-coder-7b": (6.7e9, 0.5), "bloom-560m": (560e6, 0.1), "codellama-7b": (6.7e9, 0.45),
}  # fmt: skip
PLAIN = "-plain"
MODELS = tuple(name for model in SIZES for name in (model, model + PLAIN))
"""Each model twice: with the faulty lines in its prompts, and without them."""
RECIPES = {"full": 0.05, "lora": 0.15, "ia3": 0.02}
"""Groups of recipes, and by how much more they repair than the base."""
SETS = {"quixbugs": 12, "quixbugs-java": 12, "humaneval-java": 20, "defects4j": 16}
UNTESTED = "defects4j"
SAMPLES = 10
ORDER = Order(
    models=MODELS,
    training_sets=("base", "clean"),
    problem_sets=tuple(SETS),
    perturbations=("clean",),
    trained_with={"clean": "clean"},
    recipes={name: RecipeChoice("sft", {}, f"{name} 1", name, "alike") for name in RECIPES},
    weights={name: name.removesuffix(PLAIN) for name in MODELS},
    faults={name: FaultShown("causal hunk", *(not name.endswith(PLAIN),) * 2) for name in MODELS},
)


def verdicts(
    models: Sequence[str] = MODELS, recipes: Sequence[str] = tuple(RECIPES), samples: int = SAMPLES, seed: str = ""
) -> Any:
    """A row for each answer: model, recipe, problem set, task, sample, whether it passes and is the published fix.

    `seed`: another one gives fine-tuned models other answers.
    """
    rows = []
    for model in models:
        for recipe in ("none", *recipes):
            for name, number in SETS.items():
                rng = random.Random(f"{model} {recipe} {name}{'' if recipe == 'none' else seed}")
                share = SIZES[model.removesuffix(PLAIN)][1] + RECIPES.get(recipe, 0) - 0.05 * model.endswith(PLAIN)
                for task in range(number):
                    for sample in range(samples):
                        exact = rng.random() < share / 2
                        passed = None if name == UNTESTED else exact or rng.random() < share / 2
                        rows.append((model, recipe, name, f"t{task:03}", sample, passed, exact))
    return pd.DataFrame(rows, columns=["model", "recipe", "set", "task", "sample", "passed", "exact"])


class Patches(Answers):
    """The answers of a table of verdicts."""

    def __init__(self, table: Any) -> None:
        groups = {key: list(of.itertuples(index=False)) for key, of in table.groupby(["model", "recipe", "set"])}
        self.results = {key: tuple(map(_result, rows)) for key, rows in groups.items()}
        self._patches = cache(lambda *key: patch_rates([self.results[key]]) if key in self.results else {})

    def patches(self, cell: CellLabels, test_set: TestSetName) -> PatchRates:
        return self._patches(cell.model, cell.recipe, test_set[0]) if test_set[1] == "clean" else {}

    def of(self, cell: CellLabels, test_set: TestSetName) -> Sequence[Answer]:
        return ()

    def rates(self, cell: CellLabels, test_set: TestSetName) -> PartRates:
        return {}

    def prompts(self, test_set: TestSetName) -> Mapping[str, str]:
        return {}

    def references(self, problem_set: str) -> Mapping[str, str]:
        return {}


class PatchesOfSeeds(Patches):
    """The answers of a table of verdicts for each seed; base models have those of the first."""

    def __init__(self, tables: Mapping[int, Any]) -> None:
        self.of_seeds = {seed: Patches(table) for seed, table in tables.items()}

    def patches(self, cell: CellLabels, test_set: TestSetName) -> PatchRates:
        return self.of_seeds.get(cell.seed, next(iter(self.of_seeds.values()))).patches(cell, test_set)


def _result(row: Any) -> Result:
    outcome = "untested" if row.passed is None else "passed" if row.passed else "failed"
    return Result(row.task, row.sample, outcome, "", "", 0.1, "0", exact=row.exact)


def labels(model: str, recipe: str) -> CellLabels:
    return CellLabels(model, recipe, "base" if recipe == "none" else "clean", 42)


def scores(patches: Patches) -> list[Score]:
    """The numbers as the metric measures them, without intervals, which take seconds."""
    found = []
    for (model, recipe, name), results in patches.results.items():
        cell = labels(model, recipe)
        for metric, of_tasks in patch_rates([results]).items():
            place = (cell.model, cell.recipe, cell.training_set, cell.seed, name, "clean")
            found.append(Score(*place, metric, fmean(of_tasks.values()), math.nan, math.nan, len(of_tasks)))
    return found


def trainings(models: Sequence[str] = MODELS, trained: Callable[[str, int], int] | None = None) -> list[Any]:
    """Trainings of an hour each; LoRA trains a thousandth of the weights, IA3 a ten-thousandth."""
    parts = {"full": 1, "lora": 1000, "ia3": 10_000}
    found = []
    for model in models:
        weights = int(SIZES[model.removesuffix(PLAIN)][0])
        for number, (recipe, part) in enumerate(parts.items(), 1):
            found.append(
                ReportedTraining(
                    model, "clean", recipe, 42, 9, 0, {}, 9, (), 0.5, weights=weights,
                    trained_weights=trained(recipe, weights) if trained else weights // part,
                    memory_bytes=number * 2**30, seconds=3600.0 * number, cpu_seconds=7200.0 * number,
                )
            )  # fmt: skip
    return found


def choices(models: Sequence[str] = MODELS) -> list[ReportedChoice]:
    """Each model was chosen among two, which took as long as it did and half as long."""
    return [
        ReportedChoice(
            model, recipe, "clean", 42,
            tuple(
                ReportedCandidate(f"{recipe}.{at}", 0.5, 8, 8, at == 0, seconds=3600.0 * number / (1 + at))
                for at in range(2)
            ),
        )
        for model in models for number, recipe in enumerate(RECIPES, 1)
    ]  # fmt: skip


def evidence(table: Any, order: Order = ORDER, **more: Any) -> Evidence:
    patches = Patches(table)
    return Evidence(ScoreFrame.of(scores(patches), order), answers=patches, **more)


def evidence_of_seeds(tables: Mapping[int, Any], *, each_seed: bool = False, **more: Any) -> Evidence:
    """A sweep of several seeds, whose scores are means over them, or stand for each seed."""
    patches = PatchesOfSeeds(tables)
    found = [
        replace(score, seed=42 if score.recipe == "none" else seed)
        for seed, of_seed in patches.of_seeds.items() for score in scores(of_seed)
        if score.recipe != "none" or seed == next(iter(tables))
    ]  # fmt: skip
    order, frame = replace(ORDER, seeds=len(tables)), ScoreFrame.of(found, replace(ORDER, seeds=len(tables)))
    if each_seed:
        return Evidence(frame, answers=patches, **more)
    return Evidence(ScoreFrame.of(scores_over_seeds(found, {}), order), answers=patches, by_seed=frame, **more)


def texts(table: Table) -> dict[tuple[str, ...], dict[str, str]]:
    """The texts by the labels of rows, and by columns."""
    return {
        row.labels: {column.full_name: cell.text for column, cell in zip(table.columns, row.cells, strict=True)}
        for row in table.rows
    }


def numbers(table: Table, column: str) -> dict[tuple[str, ...], float]:
    """The unrounded numbers of a column by the labels of rows."""
    at = [one.full_name for one in table.columns].index(column)
    return {row.labels: row.cells[at].value for row in table.rows}
