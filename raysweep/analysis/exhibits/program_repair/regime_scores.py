"""Kind ``regime-scores``: a table of exact matches and plausible patches by family, model and regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.program_repair.models import REGIMES, RepairExhibit, repair_sets
from raysweep.analysis.exhibits.selections import PERTURBED, select_test_sets
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.quantities import draws_sentence, quantity_of, score_cell
from raysweep.analysis.tables.table import Column, Row, Table
from raysweep.records import CLEAN


@EXHIBITS.register("regime-scores")
class RegimeScores(RepairExhibit):
    """A table with a row for each model and fine-tuning method, and columns for each problem set and number."""

    place: ClassVar[str] = "program_repair/01-regimes"

    id: Id = "repair-regimes"
    title: Text = "Exact matches and plausible patches by family, model and fine-tuning method"
    source: str = "repair study's table"
    caption: str = (
        "Plausible@k: the share of problems of which one of the first k patches passes all tests; plausible@1"
        " is what the study calls pass@1. Exact match: the patch is the published one but for comments and "
        "white space. Regime, the fine-tuning method: none is the model before fine-tuning, full trains all "
        "weights. Nothing here says that a patch is correct."
    )
    test_sets: Annotated[Sequence[Text], Field(min_length=1)] = (CLEAN, PERTURBED)
    quantities: Annotated[Mapping[str, Annotated[int, Field(ge=0, le=6)]], Field(min_length=1)] = {
        "exact match@1": 1,
        "exact match@10": 1,
        "plausible@1": 1,
        "plausible@10": 1,
    }
    """Metrics, each with its digits after the point; a problem set without tests has exact matches only."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        sets, models = repair_sets(frame), self.models(evidence)
        places = self._places(frame, sets)
        quantities = {metric: quantity_of(metric, digits) for metric, digits in self.quantities.items()}
        rows = tuple(
            Row(
                (model.family, model.cell.model, model.label),
                tuple(score_cell(frame, model.key(name, test), quantities[metric]) for name, test, metric in places),
            )
            for model in models
        )
        shown = tuple(row for row in rows if any(cell.state != "empty" for cell in row.cells))
        if not shown or not places:
            raise NothingToDraw(f"no model has {' or '.join(self.quantities)} yet")
        lacking = [regime for regime in REGIMES if all(model.regime != regime for model in models)]
        columns = tuple(
            Column(quantities[metric].heading, name if test == CLEAN else f"{name}, {frame.order.test_label(test)}")
            for name, test, metric in places
        )
        return Drawn(
            (
                Table(
                    title=self.titled(frame),
                    caption=self.captioned(
                        f"This sweep has no model of {' or '.join(lacking)}." if lacking else "", draws_sentence(frame)
                    ),
                    stub=("family", "model", "regime"),
                    columns=columns,
                    rows=shown,
                    label=self.id,
                ),
            )
        )

    def _places(self, frame: ScoreFrame, sets: Sequence[str]) -> list[tuple[str, str, str]]:
        """Return the columns that some model has a number for: (problem set, perturbation, metric)."""
        tests = select_test_sets(frame, self.test_sets).names
        return [
            (name, test, metric)
            for name in sets
            for test in tests
            for metric in self.quantities
            if frame.all_scores(name, test, metric)
        ]
