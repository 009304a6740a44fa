"""Kind ``trade-off``: clean pass@1 against the size of RD, with the models that no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Exhibit, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.selections import select_test_sets, trained_with
from raysweep.analysis.figures.scatter import BASE_MARK, CLEAN_MARK, OTHER_MARK, Dot, ScatterFigure, front_of
from raysweep.analysis.tables.frame import ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import DROP, PASS, RD, draws_sentence, score_cell
from raysweep.analysis.tables.table import Column, Row, Table
from raysweep.records import BASE, CLEAN

_QUANTITIES = (PASS, RD, DROP)
FRONT = "Right and down is better. For each model off the line, some model on it is at least as good in both."
BELOW_0 = "The size of an RD below 0, where a perturbation made a model better, is how far it is from 0."


@EXHIBITS.register("trade-off")
class TradeOff(Exhibit):
    """A figure with a mark for each model of a problem set, and the table of those on the front."""

    has_figure: ClassVar[bool] = True
    place: ClassVar[str] = "summary/trade-off"

    id: Id = "trade-off"
    title: Text = "Clean pass@1 against the size of RD on {headline}"
    test_set: Text = "headline"

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        plots = [
            (problems, test, dots)
            for problems in frame.problem_sets
            for test in select_test_sets(frame, [self.test_set]).perturbed
            if len(dots := _dots(frame, problems, test)) > 1
        ]
        if not plots:
            raise NothingToDraw(f"it needs two models with clean pass@1 and RD on {self.test_set}")
        return Drawn(
            tuple(self._table(frame, problems, test, [key for key, _ in dots]) for problems, test, dots in plots),
            tuple(self._figure(frame, problems, test, dots) for problems, test, dots in plots),
        )

    def _figure(
        self, frame: ScoreFrame, problems: str, test: str, plotted: Sequence[tuple[ScoreKey, Dot]]
    ) -> ScatterFigure:
        title, dots = self.titled(frame, problems), [dot for _, dot in plotted]
        gains = any(frame.value(key, "RD") < 0 for key, _ in plotted)
        axes = ("clean pass@1, %", f"size of RD on {test}, %")
        caption = self.captioned(FRONT, BELOW_0 if gains else "", draws_sentence(frame))
        return ScatterFigure(title, caption, f"{self.id}-{problems}", *axes, tuple(dots))

    def _table(self, frame: ScoreFrame, problems: str, test: str, keys: Sequence[ScoreKey]) -> Table:
        dots = [_dot(frame, key) for key in keys]
        on_front = set(front_of(dots))
        front = [key for key, dot in zip(keys, dots, strict=True) if dot in on_front]
        front.sort(key=lambda key: -frame.value(replace(key, perturbation=CLEAN), PASS.metric))
        rows = []
        for key in front:
            clean = replace(key, perturbation=CLEAN)
            cells = (score_cell(frame, clean, PASS), *(score_cell(frame, key, quantity) for quantity in _QUANTITIES))
            rows.append(Row((key.variant.label, key.training_set), cells))
        headings = ("clean pass@1 (%)", *(quantity.heading for quantity in _QUANTITIES))
        return Table(
            title=self.titled(frame, problems),
            caption=self.captioned(
                "The models on the figure's line, by clean pass@1: no other is at least as good in both numbers, and "
                "better in one.",
                draws_sentence(frame),
            ),
            stub=("model", "training set"),
            columns=tuple(map(Column, headings)),
            rows=tuple(rows),
            row_words=frame.order.training_words,
            label=f"{self.id}-{problems}",
        )


def _dots(frame: ScoreFrame, problems: str, test: str) -> list[tuple[ScoreKey, Dot]]:
    dots: dict[tuple[str, ...], tuple[ScoreKey, Dot]] = {}
    for variant in frame.variants:
        for training_set in frame.training_sets:
            key = ScoreKey(variant, training_set, problems, test)
            if not math.isnan(frame.value(replace(key, perturbation=CLEAN), PASS.metric) - frame.value(key, "RD")):
                series = (variant.model,) if training_set == BASE else (variant.label, training_set)
                dots.setdefault(series, (key, _dot(frame, key)))
    return list(dots.values())


def _dot(frame: ScoreFrame, key: ScoreKey) -> Dot:
    perturbation = trained_with(frame, key.training_set)
    mark = {BASE: BASE_MARK, CLEAN: CLEAN_MARK}.get(perturbation, OTHER_MARK)
    name = frame.order.training_label(key.training_set)
    return Dot(
        100 * frame.value(replace(key, perturbation=CLEAN), PASS.metric),
        abs(100 * frame.value(key, "RD")),
        f"{key.variant.label}, {name}",
        mark,
    )
