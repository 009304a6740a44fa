"""Kind ``power``: which difference of pass@1 a sweep's problems show, and how many problems or seeds a given one needs.

Problems are planned for one training with each set, by McNemar's test; seeds for the mean of several, by a paired t
test of their differences on these problems (`raysweep.stats.power`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import stdev
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EXHIBITS,
    MORE_TESTS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.tables.frame import ALL_SEEDS, ModelVariant, ScoreFrame
from raysweep.analysis.tables.quantities import Quantity
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.errors import UsageError
from raysweep.stats.power import FEWEST_PAIRS, detectable_rate_difference, pairs_needed, problems_needed
from raysweep.units import count

POWER = 0.8
"""The chance that a test finds the difference."""
SAME_POINTS = 1e-9
"""Differences that vary by less are equal: sums in another order differ in the last bits."""
_POINTS = Quantity("", "shown", "points")
_SHARE = Quantity("", "solved by one only", "%")


@EXHIBITS.register("power")
class Power(Exhibit):
    """A table for each problem set: how large a difference between two training sets its problems and seeds show."""

    place: ClassVar[str] = "summary/power"

    id: Id = "power"
    title: Text = "Differences of pass@1 on {headline} that the problems can show"
    group: Group = MORE_TESTS

    baseline: Text = "clean"
    """The perturbation of the training set that others are compared with."""
    training_sets: Annotated[Sequence[Text], Field(min_length=1)] = ("headline", "mixes")
    test_set: Text = "headline"
    difference: Annotated[float, Field(gt=0, le=100)] = 5.0
    """The difference of pass@1 in points for which the needed problems and seeds are given."""

    @override
    def reads(self, frame: ScoreFrame) -> Iterable[tuple[str, str]]:
        names = select_training_sets(frame, [self.baseline, *self.training_sets]).names
        return product(names, select_test_sets(frame, [self.test_set]).names)

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        tables = []
        for problems in evidence.frame.problem_sets:
            pairs = list(self._pairs(evidence, problems))
            if pairs:
                tables.append(self._table(evidence, problems, pairs))
        if not tables:
            raise NothingToDraw("it needs the verdicts of a model after two trainings on the same problems")
        return Drawn(tuple(tables))

    def _table(self, evidence: Evidence, problems: str, pairs: Sequence[_Pair]) -> Table:
        frame = evidence.frame
        several = len({(pair.variant.model, pair.variant.recipe) for pair in pairs}) < len({p.variant for p in pairs})
        asked = f"{self.difference:g} points"
        sentences = [
            "Two trainings of one model on the same prompts, with the exact McNemar test at a level of .05 and a power "
            f"of {POWER:g}. Solved by one only: the share of problems that one of both solves; with several "
            "completions the mean size of the change of a problem's share. Shown: the smallest difference of pass@1 "
            f"that so many problems show. Problems for {asked}: how many would show that difference.",
            f"Seeds for {asked}: how many trainings with each set would show that mean difference on these problems, "
            "with the paired t test."
            if several
            else f"How many seeds would show {asked}, only a sweep with several seeds tells.",
        ]
        labels = {(one.model, one.recipe, one.seed): one.label for one in frame.variants}
        rows: dict[tuple[str, str], list[_Pair]] = {}
        for pair in pairs:
            one = pair.variant
            own, of_all = ((one.model, one.recipe, seed) for seed in (one.seed, ALL_SEEDS))
            rows.setdefault((labels.get(own) or labels.get(of_all) or one.label, pair.training_set), []).append(pair)
        headings = ["problems", _SHARE.heading, _POINTS.heading, f"problems for {asked}"]
        headings += [f"seeds for {asked}"] if several else []
        return Table(
            title=self.titled(frame, problems),
            caption=self.captioned(*sentences),
            stub=("model", "training set"),
            columns=tuple(map(Column, headings)),
            rows=tuple(
                Row(place, (*self._cells(of_seeds), *([self._seeds(of_seeds[0], pairs)] if several else [])))
                for place, of_seeds in rows.items()
            ),
            row_words=frame.order.training_words,
            label=f"{self.id}-{problems}",
        )

    def _pairs(self, evidence: Evidence, problems: str) -> Iterator[_Pair]:
        frame = evidence.frame
        baselines = select_training_sets(frame, [self.baseline]).names
        names = [name for name in select_training_sets(frame, self.training_sets).names if name not in baselines]
        for test in select_test_sets(frame, [self.test_set]).names:
            for variant in evidence.each_seed.variants:
                first = evidence.rates_of(variant, baselines[0]).get((problems, test)) if baselines else None
                for name in names:
                    second = evidence.rates_of(variant, name).get((problems, test))
                    if first is not None and second is not None:
                        shared = [task for task in first.rates if task in second.rates]
                        changes = tuple(second.rates[task] - first.rates[task] for task in shared)
                        if changes:
                            yield _Pair(variant, name, test, changes)

    def _cells(self, seeds: Sequence[_Pair]) -> tuple[TableCell, ...]:
        problems = min(len(pair.changes) for pair in seeds)
        apart = sum(pair.apart for pair in seeds) / len(seeds)
        n = TableCell.counted(problems)
        share = TableCell.number(100 * apart, _SHARE.format(apart))
        if not apart:
            dash = TableCell.dash("both trainings solve the same problems")
            return n, share, dash, dash
        shown = detectable_rate_difference(problems, apart, POWER)
        smallest = TableCell.dash(shown.note)
        if shown.difference == shown.difference:
            smallest = TableCell.number(100 * shown.difference, _POINTS.format(shown.difference))
        wanted = self.difference / 100
        if wanted > apart:
            return n, share, smallest, TableCell.dash(f"no more than {_SHARE.format(apart)} points can differ")
        try:
            return n, share, smallest, TableCell.counted(problems_needed(wanted, apart, POWER).n)
        except UsageError as error:  # so small a difference that no number of problems shows it
            return n, share, smallest, TableCell.dash(str(error))

    def _seeds(self, pair: _Pair, pairs: Sequence[_Pair]) -> TableCell:
        differences = [100 * other.difference for other in pairs if other.is_alike(pair)]
        seeds = count(len(differences), "seed")
        if len(differences) < FEWEST_PAIRS:
            return TableCell.dash(f"{seeds}: the spread between seeds is unknown")
        if (sd := stdev(differences)) < SAME_POINTS:
            return TableCell.dash(f"{seeds} gave the same difference")
        try:
            needed = pairs_needed(self.difference, sd, POWER).n
        except UsageError as error:
            return TableCell.dash(str(error))
        return TableCell.counted(needed, f"SD of the difference between {seeds}: {sd:.3g} points")


@dataclass(frozen=True)
class _Pair:
    """Two trainings of a model with one seed. `changes`: of each problem's pass@1 on a test set, 0 to 1."""

    variant: ModelVariant
    training_set: str
    test_set: str
    changes: tuple[float, ...]

    @property
    def difference(self) -> float:
        return sum(self.changes) / len(self.changes)

    @property
    def apart(self) -> float:
        return sum(map(abs, self.changes)) / len(self.changes)

    def is_alike(self, other: _Pair) -> bool:
        return (self.variant.model, self.variant.recipe, self.training_set, self.test_set) == (
            other.variant.model,
            other.variant.recipe,
            other.training_set,
            other.test_set,
        )
