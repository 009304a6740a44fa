"""Kind ``heat-map``: a quantity of every model, by training set and test set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    EXHIBITS,
    Counted,
    Drawn,
    Evidence,
    Exhibit,
    Id,
    NothingToDraw,
    Text,
    unknown_metric,
)
from raysweep.analysis.figures.heat import HeatFigure, HeatPanel
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import Quantity, draws_sentence, quantity_of
from raysweep.records import CLEAN


@EXHIBITS.register("heat-map")
class HeatMap(Exhibit):
    """A figure for each problem set, with a panel for each model. Its numbers are those of the tables of scores."""

    has_figure: ClassVar[bool] = True
    has_table: ClassVar[bool] = False
    place: ClassVar[str] = "summary/heat-map"

    id: Id = "heat-map"
    title: Text = "pass@1 by training set and test set"
    at_least: Mapping[Counted, Annotated[int, Field(ge=1)]] = {"perturbation": 2}
    quantity: Text = "pass@1"
    digits: Annotated[int, Field(ge=0, le=3)] = 1

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame, quantity = evidence.frame, quantity_of(self.quantity, self.digits)
        figures = [self._figure(frame, problems, quantity) for problems in frame.problem_sets]
        drawn = tuple(figure for figure in figures if figure is not None)
        if not drawn:
            lacking = f"it needs {quantity.label} of two training sets on two test sets"
            raise NothingToDraw(unknown_metric(frame, quantity.metric) or lacking)
        return Drawn(figures=drawn)

    def _figure(self, frame: ScoreFrame, problems: str, quantity: Quantity) -> HeatFigure | None:
        tests = (CLEAN, *frame.perturbations)
        columns = [test for test in tests if frame.all_scores(problems, test, quantity.metric)]
        panels = [
            panel
            for variant in frame.variants
            if len((panel := _panel(frame, variant, problems, columns, quantity)).rows) > 1
        ]
        if not panels or len(columns) < 2:
            return None
        caption = self.captioned(
            f"{quantity.heading} by training set (rows) and perturbation of the test prompts (columns).",
            draws_sentence(frame),
        )
        head = (self.titled(frame, problems), caption, f"{self.id}-{problems}")
        labels = ("training set", f"{quantity.label} on test prompts", quantity.unit)
        return HeatFigure(*head, tuple(columns), *labels, self.digits, tuple(panels))


def _panel(
    frame: ScoreFrame, variant: ModelVariant, problems: str, columns: list[str], quantity: Quantity
) -> HeatPanel:
    rows = {
        frame.order.training_label(name): tuple(
            100 * frame.value(ScoreKey(variant, name, problems, test), quantity.metric) for test in columns
        )
        for name in frame.training_sets
    }
    shown = {label: values for label, values in rows.items() if not all(map(math.isnan, values))}
    return HeatPanel(variant.label, tuple(shown), tuple(shown.values()))
