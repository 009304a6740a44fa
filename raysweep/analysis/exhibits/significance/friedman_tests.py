"""Kind ``friedman``: Friedman's test over problems of whether the methods of a level differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
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
from raysweep.analysis.exhibits.selections import select_training_sets
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame
from raysweep.analysis.tables.quantities import p_text
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE
from raysweep.stats.group_tests import FEWEST_METHODS, FEWEST_ROWS, friedman
from raysweep.stats.rank_tests import holm


@EXHIBITS.register("friedman")
class FriedmanTests(Exhibit):
    """A table for each problem set, with a row for each model and level; Holm's adjustment is over its rows."""

    place: ClassVar[str] = "summary/friedman"

    id: Id = "friedman"
    title: Text = "Do the methods of a level differ?"
    group: Group = MORE_TESTS

    levels: Annotated[Mapping[str, Sequence[Text]], Field(min_length=1)] = {
        "C": ["C1", "C2", "C3"],
        "W": ["W1", "W2", "W3"],
        "S": ["S1", "S2", "S3"],
    }
    """By the level's name, its methods: three or more."""
    training_sets: Annotated[Sequence[Text], Field(min_length=1)] = ("base", "clean")

    @override
    def reads(self, frame: ScoreFrame) -> Iterable[tuple[str, str]]:
        methods = (name for level in self.levels.values() for name in level)
        return product(select_training_sets(frame, self.training_sets).names, methods)

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        compared = [(problems, tuple(self._rows(evidence, problems))) for problems in evidence.frame.problem_sets]
        tables = tuple(self._table(evidence, problems, rows) for problems, rows in compared if rows)
        if not tables:
            raise NothingToDraw(f"it needs a model's verdicts under {FEWEST_METHODS} methods of one level")
        return Drawn(tables)

    def _table(self, evidence: Evidence, problems: str, rows: tuple[Row, ...]) -> Table:
        adjusted = holm([row.cells[3].value for row in rows])
        caption = self.captioned(
            "Friedman's test of pass@1 under the methods of a level, with problems as blocks. W: Kendall's, 0 where "
            "problems rank the methods in no common order, 1 where all agree. Hardest: the method with the lowest mean "
            "rank, on which fewest completions pass."
        )
        return Table(
            title=self.titled(evidence.frame, problems),
            caption=caption,
            stub=("model", "training set", "level"),
            columns=tuple(map(Column, ("problems", "methods", "chi-square", "p", "p (Holm)", "W", "hardest"))),
            rows=tuple(
                Row(row.labels, (*row.cells[:4], TableCell.number(p, p_text(p)), *row.cells[4:]))
                for row, p in zip(rows, adjusted, strict=True)
            ),
            row_words={**evidence.frame.order.training_words, **evidence.frame.order.words},
            label=f"{self.id}-{problems}",
        )

    def _rows(self, evidence: Evidence, problems: str) -> Iterator[Row]:
        frame, bases = evidence.frame, set()
        for variant in frame.variants:
            for training_set in select_training_sets(frame, self.training_sets).names:
                if training_set == BASE:
                    if variant.model in bases:
                        continue
                    bases.add(variant.model)
                for level, methods in self.levels.items():
                    cells = _cells(evidence, variant, training_set, problems, methods)
                    if cells:
                        label = variant.model if training_set == BASE else variant.label
                        yield Row((label, training_set, level), cells)


def _cells(
    evidence: Evidence, variant: ModelVariant, training_set: str, problems: str, methods: Sequence[str]
) -> tuple[TableCell, ...]:
    by_test = evidence.rates_of(variant, training_set)
    rates = [by_test[problems, name].rates for name in methods if (problems, name) in by_test]
    if len(rates) < len(methods) or len(methods) < FEWEST_METHODS:
        return ()
    tasks = [task for task in rates[0] if all(task in other for other in rates[1:])]
    if len(tasks) < FEWEST_ROWS:
        return ()
    test = friedman([[rate[task] for rate in rates] for task in tasks])
    lowest = min(test.mean_ranks)
    at_lowest = [name for name, rank in zip(methods, test.mean_ranks, strict=True) if rank == lowest]
    hardest = " and ".join(at_lowest) if len(at_lowest) < len(methods) else "none"
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(methods, test.mean_ranks, strict=True))
    return (
        TableCell.counted(test.n, test.note),
        TableCell.counted(test.methods),
        TableCell.number(test.statistic, f"{test.statistic:.3g}"),
        TableCell.number(test.p, p_text(test.p)),
        TableCell.number(test.w, f"{test.w:.3f}"),
        TableCell.said(hardest, f"mean ranks: {ranks}"),
    )
