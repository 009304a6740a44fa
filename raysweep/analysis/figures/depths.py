"""Draws where in models something lies: small histograms over blocks, a column for each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from raysweep.analysis.figures.look import (
    CLEAN_COLOUR,
    MUTED,
    RULE,
    ReportFigure,
    make_plain,
    new_figure,
    plotting,
    rendered,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMN_INCHES, _ROW_INCHES = 2.7, 0.62
_LABEL_INCHES, _HEAD_INCHES = 1.4, 0.8


@dataclass(frozen=True)
class DepthPanel:
    """How often each block of a model was found; `counts`: by block, from the first. Empty: nothing was."""

    row: str
    column: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class DepthFigure(ReportFigure):
    """A figure of histograms in rows and columns; the bars of a model with few blocks are wider.

    `rows`, `columns`: the labels, in order. `depth_label`: of the shared axis, the blocks' relative depth.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    depth_label: str
    panels: tuple[DepthPanel, ...]

    @override
    def render(self, format: str = "svg") -> bytes:
        by_place = {(panel.row, panel.column): panel for panel in self.panels}
        down, across = len(self.rows), len(self.columns)
        with plotting():
            drawn = new_figure(_LABEL_INCHES + _COLUMN_INCHES * across, _HEAD_INCHES + _ROW_INCHES * down)
            for at, row in enumerate(self.rows):
                for number, column in enumerate(self.columns):
                    axes = drawn.add_subplot(down, across, at * across + number + 1)
                    panel = by_place.get((row, column), DepthPanel(row, column, ()))
                    _draw(axes, panel)
                    if not at:
                        axes.set_title(column, loc="left", fontsize=10.5, fontweight="bold", pad=8)
                    if not number:
                        axes.set_ylabel(row, color=MUTED, fontsize=8, rotation=0, ha="right", va="center")
                    if at == down - 1:
                        axes.set_xticks([0, 0.5, 1], labels=["0", "½", "1"], fontsize=7.5)
                        axes.set_xlabel(self.depth_label, color=MUTED, fontsize=8)
            drawn.tight_layout(h_pad=0.4, w_pad=1.2)
            return rendered(drawn, format, self.signature)


def _draw(axes: Axes, panel: DepthPanel) -> None:
    counts = panel.counts
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    make_plain(axes, None)
    axes.axhline(0, color=RULE, linewidth=0.8)
    if not sum(counts):
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.4, "none found", ha="center", va="center", fontsize=7.5, color=MUTED)
        return
    width = 1 / len(counts)
    places = [width * (block + 0.5) for block in range(len(counts))]
    axes.bar(places, counts, width=0.86 * width, color=CLEAN_COLOUR)
    axes.set_ylim(0, 1.45 * max(counts))
    for place, number in zip(places, counts, strict=True):
        if number:
            axes.text(place, number, str(number), ha="center", va="bottom", fontsize=6.5, color=MUTED)
