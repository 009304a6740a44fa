"""Kind ``heat-map``: a quantity of every model, by training set and test set."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Exhibit, NothingToDraw, Text, unknown_metric
from raysweep.analysis.figures.heat import HeatFigure, HeatPanel
from raysweep.analysis.tables.frame import ModelVariant, ScoreBook, ScoreKey
from raysweep.analysis.tables.quantities import Quantity, draws_sentence, quantity_of
from raysweep.records import CLEAN


@EXHIBITS.register("heat-map")
class HeatMap(Exhibit):
    """A figure for each problem set, with a panel for each model. Its numbers are those of the tables of scores."""

    has_figure: ClassVar[bool] = True
    has_table: ClassVar[bool] = False

    quantity: Text
    digits: Annotated[int, Field(ge=0, le=3)] = 0

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        book, quantity = evidence.book, quantity_of(self.quantity, self.digits)
        figures = [self._figure(book, problems, quantity) for problems in book.problem_sets]
        drawn = tuple(figure for figure in figures if figure is not None)
        if not drawn:
            lacking = f"it needs {quantity.label} of two training sets on two test sets"
            raise NothingToDraw(unknown_metric(book, quantity.metric) or lacking)
        return Drawn(figures=drawn)

    def _figure(self, book: ScoreBook, problems: str, quantity: Quantity) -> HeatFigure | None:
        tests = (CLEAN, *book.perturbations)
        columns = [test for test in tests if book.all_scores(problems, test, quantity.metric)]
        panels = [
            panel
            for variant in book.variants
            if len((panel := _panel(book, variant, problems, columns, quantity)).rows) > 1
        ]
        if not panels or len(columns) < 2:
            return None
        caption = self.captioned(
            f"{quantity.heading} by training set (rows) and perturbation of the test prompts (columns).",
            draws_sentence(book),
        )
        head = (self.titled(book, problems), caption, f"{self.id}-{problems}")
        labels = ("training set", f"{quantity.label} on test prompts", quantity.unit)
        return HeatFigure(*head, tuple(columns), *labels, self.digits, tuple(panels))


def _panel(book: ScoreBook, variant: ModelVariant, problems: str, columns: list[str], quantity: Quantity) -> HeatPanel:
    rows = {}
    for training_set in book.training_sets:
        scores = [book.score(ScoreKey(variant, training_set, problems, test), quantity.metric) for test in columns]
        values = tuple(math.nan if score is None else 100 * score.value for score in scores)
        if not all(map(math.isnan, values)):
            rows[book.order.training_label(training_set)] = values
    return HeatPanel(variant.label, tuple(rows), tuple(rows.values()))
