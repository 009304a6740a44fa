"""Kind ``signed-ranks``: a table of signed-rank tests, such as of RD after perturbed against clean fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, TESTS, Drawn, Evidence, Exhibit, Group, NothingToDraw, Text
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.significance import Case, TestFamily, significance_table
from raysweep.analysis.tables.table import Table

Names = Annotated[list[str], Field(min_length=1)]


class RankTests(BaseModel):
    """One test, or one for each of several test sets or training sets.

    Attributes:
        quantity: the metric that is compared.
        baseline: the perturbation of the training set that models are compared with, or ``base``.
        training_sets: perturbations of the training sets whose models are compared with it.
        test_sets: perturbations of the test sets.
        each: what has a test for each of its own; None: one test over all.
        label: of the one test's row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    quantity: Text
    baseline: Text
    training_sets: Names
    test_sets: Names
    each: Literal["test set", "training set"] | None = None
    label: str = ""

    def cases(self, frame: ScoreFrame) -> list[Case]:
        baselines = select_training_sets(frame, [self.baseline]).names
        sets = [name for name in select_training_sets(frame, self.training_sets).names if name not in baselines]
        tests = list(select_test_sets(frame, self.test_sets).names)
        if not baselines or not sets or not tests:
            return []
        if self.each == "test set":
            return [Case(name, baselines[0], sets, [name], self.quantity) for name in tests]
        if self.each == "training set":
            return [Case(name, baselines[0], [name], tests, self.quantity) for name in sets]
        return [Case(self.label or self.quantity, baselines[0], sets, tests, self.quantity)]


@EXHIBITS.register("signed-ranks")
class SignedRanks(Exhibit):
    """A table of signed-rank tests for each problem set; Holm's adjustment is over its rows."""

    group: Group = TESTS

    stub: Text
    """Heading of the tests' labels."""
    tests: Annotated[list[RankTests], Field(min_length=1)]
    sizes: bool = False
    """Whether a second table has the tests of the numbers without their signs."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        tables = tuple(self.tables(evidence.frame))
        if not tables:
            raise NothingToDraw("a test needs two models, each with the baseline and another training set")
        return Drawn(tables)

    def tables(self, frame: ScoreFrame) -> Sequence[Table]:
        cases = [case for tests in self.tests for case in tests.cases(frame)]
        title, caption = self.titled(frame), self.captioned()
        families = [TestFamily(title, caption, self.stub, cases, label=self.id)]
        if self.sizes:
            size = title[:1].lower() + title[1:] if title[1:2].islower() else title
            families.append(
                TestFamily(f"Size of {size}", caption, self.stub, cases, sizes=True, label=f"{self.id}-size")
            )
        tables = [significance_table(frame, problems, family) for problems in frame.problem_sets for family in families]
        return [table for table in tables if table is not None]
