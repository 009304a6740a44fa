"""Measures every comparison on pairs of cells: those of one sweep, each with its baselines, or those of two sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial

from raysweep.analysis.comparisons.base import COMPARISONS, Comparison, ProblemRates, TestSetName
from raysweep.metrics.base import CellLabels, Measurement
from raysweep.metrics.scores import guarded
from raysweep.records import BASE, CLEAN, Difference, Spec


def measure_pair(
    first: Mapping[TestSetName, ProblemRates], second: Mapping[TestSetName, ProblemRates]
) -> Iterator[tuple[TestSetName, Measurement]]:
    @cache
    def make(comparison: str) -> Comparison:
        return COMPARISONS.create(Spec(comparison))

    def measured(comparison: str, name: TestSetName) -> list[Measurement]:
        return make(comparison).measure(first[name], second[name])

    for name in (name for name in first if name in second):
        for comparison in COMPARISONS.names():
            for measurement in guarded(comparison, " ".join(name), partial(measured, comparison, name)):
                yield name, measurement


class Baselines:
    """Compares the cells of a sweep with their baselines, one cell after the other.

    A cell's baselines are its base model before fine-tuning, and the same model fine-tuned on the clean training set by
    the same recipe with the same seed. They must come before the cells that are compared with them: see `place_of`.

    `clean_of`: the clean set of each training set whose source has another one than ``clean``; empty if it has none.
    """

    def __init__(self, clean_of: Mapping[str, str] | None = None) -> None:
        self._clean_of = clean_of or {}
        self._clean_sets = {CLEAN, *self._clean_of.values()} - {""}
        self._rates: dict[CellLabels, dict[TestSetName, ProblemRates]] = {}

    def place_of(self, training_set: str) -> int:
        """Return a cell's place in the order that is needed: base models, then clean fine-tuning, then others."""
        return 0 if training_set == BASE else 1 if training_set in self._clean_sets else 2

    def has(self, training_set: str) -> bool:
        """Return whether other cells may be compared with those of a training set."""
        return training_set == BASE or training_set in self._clean_sets

    def differences(self, cell: CellLabels, rates: dict[TestSetName, ProblemRates]) -> list[Difference]:
        """Return the differences of a cell to its baselines, as far as these came before, and remember a baseline."""
        if self.has(cell.training_set):
            self._rates[cell] = rates
        records = []
        for label, first in self._rates.items():
            if self._is_baseline(label, cell):
                measured = measure_pair(first, rates)
                records += [_record(cell, label.training_set, name, number) for name, number in measured]
        return records

    def _is_baseline(self, other: CellLabels, cell: CellLabels) -> bool:
        if other == cell or other.model != cell.model or cell.training_set == BASE:
            return False
        is_clean = other.training_set == self._clean_of.get(cell.training_set, CLEAN)
        return other.training_set == BASE or (is_clean and other.recipe == cell.recipe and other.seed == cell.seed)


def _record(cell: CellLabels, against: str, name: TestSetName, measurement: Measurement) -> Difference:
    return Difference(
        model=cell.model,
        recipe=cell.recipe,
        training_set=cell.training_set,
        seed=cell.seed,
        against=against,
        problem_set=name[0],
        perturbation=name[1],
        metric=measurement.metric,
        value=measurement.value,
        low=measurement.low,
        high=measurement.high,
        n=measurement.n,
        note=measurement.note,
    )
