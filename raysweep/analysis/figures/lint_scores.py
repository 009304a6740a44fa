"""Draws pylint's scores, the study's figure 7: a panel for each problem set, a row for each model and training set.

Each stroke is a file; the mark is the mean of the files that have a score, with a band for its 95 % interval. Files
without a score, such as those with a syntax error, are counted at the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from raysweep.analysis.figures.look import (
    CLEAN_COLOUR,
    INK,
    MUTED,
    PERTURBED_COLOUR,
    ReportFigure,
    make_plain,
    new_figure,
    plotting,
    rendered,
)
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.quality_tables import linted_models, problem_sets_of, training_groups
from raysweep.quality.reports import CellReports
from raysweep.quality.summary import SCORES, GroupSummary
from raysweep.records import BASE, CLEAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH_INCHES = 5.6
_ROW_INCHES = 0.27
_HEAD_INCHES = 1.0
_COLOURS = {BASE: MUTED, CLEAN: CLEAN_COLOUR}


@dataclass(frozen=True)
class QualityFigure(ReportFigure):
    """A figure with a panel for each problem set: its name, and its rows with their labels."""

    panels: tuple[tuple[str, tuple[tuple[str, GroupSummary], ...]], ...]

    @override
    def render(self, format: str = "svg") -> bytes:
        most = max(len(rows) for _, rows in self.panels)
        with plotting():
            figure = new_figure(_WIDTH_INCHES * len(self.panels), _HEAD_INCHES + _ROW_INCHES * most)
            for number, (name, rows) in enumerate(self.panels, 1):
                _panel(figure.add_subplot(1, len(self.panels), number), name, rows)
            figure.tight_layout(w_pad=3)
            return rendered(figure, format, self.signature)


def quality_figure(
    cells: Sequence[CellReports], order: Order, title: str, caption: str, label: str
) -> QualityFigure | None:
    panels = tuple((name, tuple(_rows(cells, order, name))) for name in problem_sets_of(cells, order))
    drawn = tuple((name, rows) for name, rows in panels if rows)
    return QualityFigure(title, caption, label, drawn) if drawn else None


def _rows(cells: Sequence[CellReports], order: Order, problems: str) -> list[tuple[str, GroupSummary]]:
    return [
        (f"{model.label}, {summary.group}", summary)
        for model in linted_models(cells, problems, order)
        for group in training_groups(order)
        if (summary := model.summary(group)).files
    ]


def _panel(axes: Axes, problems: str, rows: Sequence[tuple[str, GroupSummary]]) -> None:
    low, high = SCORES
    for place, (_, summary) in enumerate(rows):
        colour = _COLOURS.get(summary.group, PERTURBED_COLOUR)
        axes.plot(summary.scores, [place] * len(summary.scores), "|", color=colour, alpha=0.35, markersize=9, zorder=2)
        if not math.isnan(summary.interval.low):
            axes.plot(summary.interval, [place, place], color=colour, alpha=0.28, linewidth=7, zorder=3)
        if summary.scores:
            axes.plot([summary.mean_score], [place], "D", color=colour, markersize=5.5, zorder=4, clip_on=False)
        without = sum(summary.unscored.values())
        axes.text(high * 1.03, place, f"{without} of {summary.files}", va="center", ha="left", color=INK)
    axes.set_yticks(range(len(rows)), labels=[label for label, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.set_xlim(low, high)
    axes.set_xlabel("pylint's score, of 10", color=MUTED)
    axes.set_title(problems, loc="left", fontsize=12, fontweight="bold", pad=20)
    axes.text(high * 1.03, -0.75, "no score", color=MUTED, va="bottom", ha="left")
    make_plain(axes, "x")
    axes.tick_params(axis="y", pad=9)  # room for a mark at 0
