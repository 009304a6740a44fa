"""Kind ``choice``: which model and training set to choose for a kind of prompts, and how sure that is.

The choice is by pass@1 on these prompts; RD stands beside it and ranks nothing, because it also falls when clean pass@1
falls. All candidates are bootstrapped over the same problems (`raysweep.stats.resampling.argmax_interval`): the share
of resamples in which a candidate is the best says how sure the choice is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.comparisons.estimate import fewer_seeds
from raysweep.analysis.exhibits.base import EXHIBITS, Conclusion, Drawn, Evidence, Exhibit, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.choosing.advice import conclude, describe
from raysweep.analysis.exhibits.choosing.candidates import Candidate, Choosing, alone_of
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.quantities import DROP, PASS, RD, Quantity, number_cell, share_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.records import BASE, CLEAN

_SHARE = Quantity("", "best in", "% of resamples")


@EXHIBITS.register("choice")
class BestModel(Exhibit):
    """A table of the best models on one test set of each problem set, and a sentence that says which to choose."""

    place: ClassVar[str] = "summary/choice"

    id: Id = "choice"
    title: Text = "Which model to choose for {headline}"
    test_set: Literal["clean", "headline"] = "headline"
    """In a sweep without perturbations the headline is the clean prompts."""
    rows: Annotated[int, Field(ge=1)] = 10
    """At most so many candidates, the best first."""

    @override
    def reads(self, frame: ScoreFrame) -> Iterable[tuple[str, str]]:
        return product(frame.training_sets, self._tests(frame))

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        conclusions = [
            conclusion
            for problems in evidence.frame.problem_sets
            for test in self._tests(evidence.frame)
            if (conclusion := self._conclusion(evidence, problems, test)) is not None
        ]
        if not conclusions:
            raise NothingToDraw(f"it needs a model with verdicts on two problems of {self.test_set}")
        tables = tuple(conclusion.table for conclusion in conclusions if conclusion.table is not None)
        return Drawn(tables, conclusions=tuple(conclusions))

    def _tests(self, frame: ScoreFrame) -> Sequence[str]:
        tests = select_test_sets(frame, [self.test_set]).names
        return tests or (() if frame.perturbations else (CLEAN,))

    def _conclusion(self, evidence: Evidence, problems: str, test: str) -> Conclusion | None:
        choosing = Choosing.of(evidence, problems, test)
        if choosing is not None:
            return conclude(choosing, evidence.trainings, self._table(choosing))
        alone = alone_of(evidence, problems, test)
        return describe(alone, evidence.frame, problems, test) if alone is not None else None

    def _table(self, choosing: Choosing) -> Table:
        frame = choosing.frame
        candidates = sorted(choosing.candidates, key=lambda one: -choosing.score_of(one))
        several = any(len(one.by_seed) > 1 for one in candidates)
        also = ", and of each model's training seeds," if several else ""
        beside = () if choosing.test == CLEAN else ("clean pass@1 (%)", DROP.heading, "RD (%)")
        return Table(
            title=self.titled(frame, choosing.problem_set),
            caption=self.captioned(
                "The models with the highest pass@1, best first. Best in: the share of "
                f"bootstrap resamples of the problems{also} in which a model has the highest pass@1 of all "
                f"{len(choosing.candidates)}; where several tie, each gets an equal part. "
                "Other numbers are means over seeds and perturbation samples."
            ),
            stub=("model", "training set"),
            columns=tuple(map(Column, ("pass@1 (%)", *beside, _SHARE.heading))),
            rows=tuple(Row((one.model, one.training_set), _cells(choosing, one)) for one in candidates[: self.rows]),
            row_words=frame.order.training_words,
            label=f"{self.id}-{choosing.problem_set}",
        )


def _cells(choosing: Choosing, candidate: Candidate) -> tuple[TableCell, ...]:
    n, pair = len(candidate.perturbed), candidate.pair
    seeds, share = candidate.over_seeds, choosing.share_of(candidate)
    asked = 1 if candidate.training_set == BASE else choosing.seeds
    number = replace(
        seeds,
        value=choosing.score_of(candidate),
        n=n,
        note=fewer_seeds(seeds.seeds, asked),
        seeds=seeds.seeds if seeds.seeds > 1 else 0,
    )
    of_score = number_cell(number, PASS)
    if choosing.test == CLEAN:
        return of_score, share_cell(share, _SHARE)
    beside = [TableCell(), TableCell(), TableCell()]
    if pair is not None:
        clean, perturbed = pair
        beside = [share_cell(clean), share_cell(perturbed - clean, DROP), _rd(candidate.rds)]
    return of_score, *beside, share_cell(share, _SHARE)


def _rd(seeds: Sequence[float]) -> TableCell:
    known = [rd for rd in seeds if not math.isnan(rd)]
    if not known:
        return TableCell.dash("the clean score is 0")
    note = f"the clean score is 0; {fewer_seeds(len(known), len(seeds))}" if len(known) < len(seeds) else ""
    return replace(share_cell(math.fsum(known) / len(known), RD), note=note)
