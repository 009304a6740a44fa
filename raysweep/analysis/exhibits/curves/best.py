"""Which setting of a curve has the highest pass@1, how sure that is, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from raysweep.analysis.comparisons.base import TestSetName
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.curves.settings import Curve, Setting
from raysweep.analysis.tables.frame import ModelVariant
from raysweep.analysis.tables.table import TableCell
from raysweep.stats.resampling import argmax_interval
from raysweep.stats.stability import noise
from raysweep.units import decimal

FEWEST = 2
"""Settings, and problems, below which nothing is the best."""


def best_setting(curve: Curve, evidence: Evidence, variant: ModelVariant, test_set: TestSetName) -> TableCell:
    """Return the best setting of one model on one test set; an empty cell if fewer than two settings have verdicts.

    The interval is over the problems that all settings have, and over each setting's draws. A point at another ratio
    is left out. The note compares the gain over the first setting (of a curve of sizes: over that nearest to the
    source's size; of a curve of an argument: over its baseline) with 2 SD between the draws of the setting that has
    most, and, where the model was fine-tuned with several seeds, the mean gain with 2 SD between these.
    """
    draws = {
        curve.label(setting): of_setting
        for setting in curve.settings
        if setting.other_ratio is None and (of_setting := _draws(evidence, variant, setting, test_set))
    }
    tasks = _common([draw for of_setting in draws.values() for draw in of_setting])
    if min(len(draws), len(tasks)) < FEWEST:
        return TableCell()
    interval = argmax_interval(
        {label: [[draw[task] for draw in ones] for task in tasks] for label, ones in draws.items()}
    )
    means = {label: [100 * _mean([draw[task] for task in tasks]) for draw in ones] for label, ones in draws.items()}
    unit = 100 if curve.along == "ratio" else 1
    values = {curve.label(setting): unit * setting.value for setting in curve.settings}
    notes = [f"{' and '.join(interval.tied)} tie"] if len(interval.tied) > 1 else []
    baseline = _baseline(curve, {label: values[label] for label in draws})
    if interval.best != baseline:
        effect = _mean(means[interval.best]) - _mean(means[baseline])
        gain = f"{interval.best} is {decimal(effect, 1, '+')} points from {baseline}"
        most_draws = max(means, key=lambda label: (len(means[label]), label == interval.best))
        of_another = "" if most_draws == interval.best or len(means[most_draws]) == 1 else f", of {most_draws}"
        notes.append(f"{gain}, {noise(effect, means[most_draws]).words}{of_another}")
        ends = [
            next(setting for setting in curve.settings if curve.label(setting) == label)
            for label in (interval.best, baseline)
        ]
        gains = list(_gains(evidence, variant, ends, test_set))
        if len(gains) > 1:
            mean = _mean(gains)
            notes.append(f"over {len(gains)} seeds {decimal(mean, 1, '+')}, {noise(mean, gains, 'seed').words}")
    return TableCell.number(
        values[interval.best],
        interval.best,
        "; ".join(notes),
        interval=f"[{interval.interval[0]}, {interval.interval[-1]}]",
        low=values[interval.interval[0]],
        high=values[interval.interval[-1]],
    )


def _baseline(curve: Curve, values: Mapping[str, float]) -> str:
    if curve.along == "size":
        return min(values, key=lambda label: abs(math.log(values[label])))  # the source's size, or the nearest one
    given = [label for label, value in values.items() if curve.argument and value == curve.argument.baseline]
    return next(iter([*given, *values]))


def _gains(evidence: Evidence, variant: ModelVariant, ends: list[Setting], test_set: TestSetName) -> Iterator[float]:
    """Yield, for each seed of a model and recipe, by how many points the first of two settings is above the second."""
    for one in evidence.each_seed.variants:
        if (one.model, one.recipe) == (variant.model, variant.recipe):
            draws = [_draws(evidence, one, setting, test_set) for setting in ends]
            tasks = _common([draw for of_setting in draws for draw in of_setting])
            if all(draws) and tasks:
                best, other = (_mean([_mean([draw[task] for task in tasks]) for draw in ones]) for ones in draws)
                yield 100 * (best - other)


def _draws(
    evidence: Evidence, variant: ModelVariant, setting: Setting, test_set: TestSetName
) -> list[Mapping[str, float]]:
    rates = [evidence.rates_of(setting.of(variant), name) for name in setting.training_sets]
    return [by_test[test_set].rates for by_test in rates if test_set in by_test]


def _common(draws: list[Mapping[str, float]]) -> list[str]:
    return [task for task in draws[0] if all(task in draw for draw in draws)] if draws else []


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
