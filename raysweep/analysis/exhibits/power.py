"""Kind ``power``: which difference of pass@1 the problems of a sweep show, and how many show a smaller one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Annotated, ClassVar

from pydantic import Field

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import EXHIBITS, MORE_TESTS, Drawn, Evidence, Exhibit, NothingToDraw, Text
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.quantities import Quantity
from raysweep.analysis.score_book import ScoreBook
from raysweep.analysis.table import Column, Row, Table, TableCell
from raysweep.errors import UsageError
from raysweep.stats.power import detectable_rate_difference, problems_needed

POWER = 0.8
"""The chance that a test finds the difference."""
_POINTS = Quantity("", "shown", "points")
_SHARE = Quantity("", "solved by one only", "%")


@EXHIBITS.register("power")
class Power(Exhibit):
    """A table for each problem set: how large a difference between two training sets its problems can show."""

    section: ClassVar[str] = MORE_TESTS

    baseline: Text
    """The perturbation of the training set that others are compared with."""
    training_sets: Annotated[list[Text], Field(min_length=1)]
    test_set: Text
    difference: Annotated[float, Field(gt=0, le=100)] = 5.0
    """The difference of pass@1 in points for which the needed problems are given."""

    def reads(self, book: ScoreBook) -> Iterable[tuple[str, str]]:
        """Return the baseline and the training sets on the test set."""
        names = select_training_sets(book, [self.baseline, *self.training_sets]).names
        return product(names, select_test_sets(book, [self.test_set]).names)

    def draw(self, evidence: Evidence) -> Drawn:
        """Return the table of each problem set on which a model has verdicts after both trainings."""
        tables = []
        for problems in evidence.book.problem_sets:
            rows = tuple(self._rows(evidence, problems))
            if rows:
                tables.append(self._table(evidence, problems, rows))
        if not tables:
            raise NothingToDraw("it needs the verdicts of a model after two trainings on the same problems")
        return Drawn(tuple(tables))

    def _table(self, evidence: Evidence, problems: str, rows: tuple[Row, ...]) -> Table:
        caption = self.captioned(
            "Two trainings of one model on the same prompts, with the exact McNemar test at a level of .05 and a power "
            f"of {POWER:g}. Solved by one only: the share of problems that one of both solves; with several "
            "completions the mean size of the change of a problem's share. Shown: the smallest difference of pass@1 "
            f"that so many problems show. Problems for {self.difference:g} points: how many would show that difference."
        )
        headings = ("problems", _SHARE.heading, _POINTS.heading, f"problems for {self.difference:g} points")
        return Table(
            title=self.titled(evidence.book, problems),
            caption=caption,
            stub=("model", "training set"),
            columns=tuple(map(Column, headings)),
            rows=rows,
            row_words=evidence.book.order.training_words,
            label=f"{self.id}-{problems}",
        )

    def _rows(self, evidence: Evidence, problems: str) -> Iterator[Row]:
        book = evidence.book
        baselines = select_training_sets(book, [self.baseline]).names
        names = [name for name in select_training_sets(book, self.training_sets).names if name not in baselines]
        for test in select_test_sets(book, [self.test_set]).names:
            for variant in book.variants:
                first = evidence.rates_of(variant, baselines[0]).get((problems, test)) if baselines else None
                for name in names:
                    second = evidence.rates_of(variant, name).get((problems, test))
                    if first is not None and second is not None and (cells := self._cells(first, second)):
                        yield Row((variant.label, name), cells)

    def _cells(self, first: ProblemRates, second: ProblemRates) -> tuple[TableCell, ...]:
        shared = [task for task in first.rates if task in second.rates]
        if not shared:
            return ()
        apart = sum(abs(second.rates[task] - first.rates[task]) for task in shared) / len(shared)
        n = TableCell(f"{len(shared):,}", value=float(len(shared)), state="value")
        share = TableCell(_SHARE.format(apart), value=100 * apart, state="value")
        if not apart:
            dash = TableCell("–", note="both trainings solve the same problems", state="undefined")
            return n, share, dash, dash
        shown = detectable_rate_difference(len(shared), apart, POWER)
        smallest = TableCell("–", note=shown.note, state="undefined")
        if shown.difference == shown.difference:
            smallest = TableCell(_POINTS.format(shown.difference), value=100 * shown.difference, state="value")
        wanted = self.difference / 100
        if wanted > apart:
            note = f"no more than {_SHARE.format(apart)} points can differ"
            return n, share, smallest, TableCell("–", note=note, state="undefined")
        try:
            needed = problems_needed(wanted, apart, POWER).n
        except UsageError as error:  # so small a difference that no number of problems shows it
            return n, share, smallest, TableCell("–", note=str(error), state="undefined")
        return n, share, smallest, TableCell(f"{needed:,}", value=float(needed), state="value")
