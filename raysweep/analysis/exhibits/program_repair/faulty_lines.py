"""Kind ``faulty-lines``: prompts that show the faulty lines against prompts without them, model by model.

Two models are compared that have the same weights and the same form of prompts, but for the faulty lines: in a config
they are two entries with one `path` and two templates, such as `repair_buggy_line` and `repair_plain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.program_repair.cases import READS, WON_RULE, RepairCase, seeds_text, shared_seeds_text
from raysweep.analysis.exhibits.program_repair.models import HEADLINE_RULE, RepairExhibit, RepairModel
from raysweep.analysis.exhibits.program_repair.regime_pairs import cases_between, place_of, sums_table
from raysweep.analysis.exhibits.recipes.regimes import NONE
from raysweep.analysis.exhibits.selections import select_test_sets
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.table import Column, Row, Table

COLUMNS = ("without them (%)", "with them (%)", "difference (points)", "relative change (%)", "reads")


def shows_fault(order: Order, model: RepairModel) -> bool | None:
    """Return whether a model's prompts show the faulty lines; None where that is not known."""
    shown = order.faults.get(model.cell.model)
    if shown is None:
        return None
    return shown.before if model.regime == NONE else shown.after


def pairs_by_fault(order: Order, models: Sequence[RepairModel]) -> list[tuple[RepairModel, RepairModel]]:
    def alike(model: RepairModel) -> tuple[object, ...]:
        cell = model.cell
        tuned = () if model.regime == NONE else (cell.recipe, cell.training_set, cell.seed)
        return order.weights.get(cell.model, cell.model), order.faults[cell.model].form, model.regime, tuned

    found: dict[tuple[object, ...], dict[bool, RepairModel]] = {}
    for model in models:
        if (shows := shows_fault(order, model)) is not None:
            found.setdefault(alike(model), {}).setdefault(shows, model)
    return [(both[False], both[True]) for both in found.values() if len(both) > 1]


def cases_by_fault(evidence: Evidence, models: Sequence[RepairModel], tests: Sequence[str]) -> list[RepairCase]:
    return cases_between(evidence, pairs_by_fault(evidence.frame.order, models), tests)


@EXHIBITS.register("faulty-lines")
class FaultyLines(RepairExhibit):
    """A table of the cases in which the faulty lines help, by fine-tuning method, and one with a row for each case."""

    place: ClassVar[str] = "program_repair/05-faulty-lines"

    id: Id = "repair-faulty-lines"
    title: Text = "Prompts with the faulty lines, and without them"
    source: str = "repair study's comparison"

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        cases = cases_by_fault(evidence, self.models(evidence), select_test_sets(frame, self.test_sets).names)
        if not cases:
            raise NothingToDraw("it has no two models that differ in the faulty lines of their prompts alone")
        groups: dict[str, list[RepairCase]] = {}
        for case in cases:
            groups.setdefault(case.second.regime, []).append(case)
        sums = sums_table(
            self.titled(frame, "cases"),
            self.captioned(
                "With the faulty lines compared with prompts without them.", HEADLINE_RULE, WON_RULE, seeds_text(cases)
            ),
            f"{self.id}-cases",
            "regime",
            groups,
        )
        rows = tuple(
            Row(
                (case.second.family, case.second.cell.model, case.second.label, place_of(case), case.metric),
                case.cells(),
            )
            for case in cases
        )
        stub = ("family", "model", "regime", "problem set", "number")
        caption = self.captioned(HEADLINE_RULE, READS, shared_seeds_text(cases))
        return Drawn((sums, Table(self.titled(frame), caption, stub, tuple(map(Column, COLUMNS)), rows, label=self.id)))
