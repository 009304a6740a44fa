"""Kind ``regime-pairs``: one regime against another, on each model and problem set, and in sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, NothingToDraw
from raysweep.analysis.exhibits.program_repair.cases import (
    READS,
    WON_COLUMNS,
    WON_RULE,
    RepairCase,
    case_of,
    cases_won,
    groups_of,
    seeds_text,
    shared_seeds_text,
)
from raysweep.analysis.exhibits.program_repair.models import (
    HEADLINE_RULE,
    RepairExhibit,
    RepairModel,
    headline_metric,
    pairs_of,
    repair_sets,
)
from raysweep.analysis.exhibits.recipes.regimes import Regime
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.tables.table import Column, Row, Table
from raysweep.records import CLEAN
from raysweep.units import count

ALL = "all"


def cases_between(
    evidence: Evidence, pairs: Sequence[tuple[RepairModel, RepairModel]], tests: Sequence[str]
) -> list[RepairCase]:
    frame = evidence.frame
    places = [(name, test, headline_metric(frame, name)) for name in repair_sets(frame) for test in tests]
    found = [case_of(evidence, pair, (name, test), metric) for pair in pairs for name, test, metric in places]
    return [case for case in found if case is not None]


def sums_table(title: str, caption: str, label: str, stub: str, groups: Mapping[str, Sequence[RepairCase]]) -> Table:
    rows = [Row((name,), cases_won(cases).cells()) for name, cases in groups.items()]
    if len(groups) > 1:
        rows.append(Row((ALL,), cases_won([case for cases in groups.values() for case in cases]).cells()))
    return Table(title, caption, (stub,), tuple(map(Column, WON_COLUMNS)), tuple(rows), label=label)


def place_of(case: RepairCase) -> str:
    return case.problem_set if case.perturbation == CLEAN else f"{case.problem_set}, {case.perturbation}"


@EXHIBITS.register("regime-pairs")
class RegimePairs(RepairExhibit):
    """A table of the cases that a fine-tuning method won against another, and one with a row for each case."""

    regime: Regime
    """The fine-tuning method that is compared."""
    against: Regime
    """The one that it is compared with."""
    cases: Literal["all", "lower"] = "all"
    """Which cases have a row: all, or those in which the method is below the other one."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        tests = select_test_sets(frame, self.test_sets).names
        pairs, alone = pairs_of(self.models(evidence), self.against, self.regime)
        cases = cases_between(evidence, pairs, tests)
        if not cases:
            raise NothingToDraw(f"no base has verdicts after {self.regime} and {self.against}")
        left = f"{count(alone, 'model')} of {self.regime} left out, without a like one of {self.against}."
        sums = sums_table(
            self.titled(frame, "cases"),
            self.captioned(
                f"{self.regime} compared with {self.against}.",
                HEADLINE_RULE,
                WON_RULE,
                seeds_text(cases),
                left if alone else "",
            ),
            f"{self.id}-cases",
            "problem set",
            groups_of(cases, "problem_set"),
        )
        shown = [case for case in cases if self.cases == "all" or case.means[1] < case.means[0]]
        return Drawn((sums, self._table(evidence, shown)) if shown else (sums,))

    def _table(self, evidence: Evidence, cases: Sequence[RepairCase]) -> Table:
        only = f"Cases in which {self.regime} is below {self.against} only." if self.cases == "lower" else ""
        names = (f"{self.against} (%)", f"{self.regime} (%)", "difference (points)", "relative change (%)", "reads")
        rows = tuple(
            Row((case.second.family, case.second.cell.model, _label(case), place_of(case), case.metric), case.cells())
            for case in cases
        )
        return Table(
            title=self.titled(evidence.frame),
            caption=self.captioned(only, HEADLINE_RULE, READS, shared_seeds_text(cases)),
            stub=("family", "model", "regimes", "problem set", "number"),
            columns=tuple(map(Column, names)),
            rows=rows,
            label=self.id,
        )


def _label(case: RepairCase) -> str:
    return f"{case.second.label} against {case.first.label}"
