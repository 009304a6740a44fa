"""Draws figures of lines: a panel for each model, with a line for each test set along a setting of training.

Bars are spreads between draws, hollow marks are points that differ from the others in more than the setting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL_INCHES = (3.5, 2.5)  # of the axes with their labels
_NOTE_INCHES = 0.17  # a line of a panel's notes
_HEAD_INCHES = 0.45  # the legend above all panels
_MOST_COLUMNS = 3
_STYLES = ((CLEAN_COLOUR, "o", 6.0), (PERTURBED_COLOUR, "D", 5.2), (INK, "^", 6.0), (MUTED, "s", 5.0), (INK, "v", 6.0))

_DASHES: Final[Sequence[Any]] = ("--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)))
"""Styles of level lines, in their order."""


@dataclass(frozen=True)
class Point:
    """One mark.

    Attributes:
        x: its place along the setting, as in `Tick`.
        value: in the unit of the figure.
        low, high: the smallest and the largest of the numbers behind it; NaN: there is one.
        hollow: whether it differs from the others in more than the setting.
    """

    x: float
    value: float
    low: float = math.nan
    high: float = math.nan
    hollow: bool = False


@dataclass(frozen=True)
class Line:
    """Points that belong together. `style`: 0 for clean prompts, 1 for the headline's, more for others."""

    label: str
    style: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Tick:
    """A value of the setting: its place, and its name, which may have two lines."""

    x: float
    label: str


@dataclass(frozen=True)
class LevelLine:
    """A level line across a panel, such as the score of a model without the setting; `value` in the figure's unit."""

    label: str
    value: float


@dataclass(frozen=True)
class Panel:
    """The lines of one model. `notes`: short sentences below its title."""

    title: str
    ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    levels: tuple[LevelLine, ...] = ()


@dataclass(frozen=True)
class LineFigure(ReportFigure):
    """A figure with a panel for each model."""

    x_label: str
    y_label: str
    panels: tuple[Panel, ...]

    @override
    def render(self, format: str = "svg") -> bytes:
        panels = self.panels
        columns = min(_MOST_COLUMNS, len(panels))
        rows = math.ceil(len(panels) / columns)
        width, height = _PANEL_INCHES
        height += _NOTE_INCHES * max(len(panel.notes) for panel in panels)
        height += _NOTE_INCHES * max(tick.label.count("\n") for panel in panels for tick in panel.ticks)
        total = height * rows + _HEAD_INCHES
        low, high = _limits(panels)
        with plotting():
            drawn = new_figure(max(width * columns, 4.6), total)
            for number, panel in enumerate(panels):
                axes = drawn.add_subplot(rows, columns, number + 1)
                _panel(axes, panel, low, high)
                is_last = number + columns >= len(panels)
                axes.set_xlabel(self.x_label if is_last else "", color=MUTED)
                axes.set_ylabel(self.y_label if number % columns == 0 else "", color=MUTED)
            drawn.legend(
                handles=_legend(panels), loc="upper left", ncols=3, frameon=False, fontsize=9, labelcolor=MUTED,
                handletextpad=0.4, columnspacing=1.6, borderaxespad=0.4,
            )  # fmt: skip
            drawn.tight_layout(rect=(0, 0, 1, 1 - _HEAD_INCHES / total), w_pad=2, h_pad=1.6)
            return rendered(drawn, format, self.signature)


def _panel(axes: Axes, panel: Panel, low: float, high: float) -> None:
    for number, level in enumerate(panel.levels):
        axes.axhline(level.value, color=INK, linewidth=1.1, linestyle=_DASHES[number % len(_DASHES)], zorder=2)
    for line in panel.lines:
        _line(axes, line)
    axes.set_xticks([tick.x for tick in panel.ticks], labels=[tick.label for tick in panel.ticks], fontsize=8.5)
    axes.set_ylim(low, high)
    margin = 0.04 * (panel.ticks[-1].x - panel.ticks[0].x) or 0.5
    axes.set_xlim(panel.ticks[0].x - margin, panel.ticks[-1].x + margin)
    axes.set_title(
        panel.title, loc="left", fontsize=11, fontweight="bold", pad=8 + 72 * _NOTE_INCHES * len(panel.notes)
    )
    for number, note in enumerate(reversed(panel.notes)):
        axes.annotate(
            note, xy=(0, 1), xytext=(0, 5 + 72 * _NOTE_INCHES * number), xycoords="axes fraction",
            textcoords="offset points", fontsize=8, color=MUTED,
        )  # fmt: skip
    make_plain(axes, "y")
    if low < 0 < high:
        axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)


def _line(axes: Axes, line: Line) -> None:
    colour, marker, size = _STYLES[min(line.style, len(_STYLES) - 1)]
    solid = [point for point in line.points if not point.hollow]
    axes.plot([p.x for p in solid], [p.value for p in solid], color=colour, linewidth=1.4, zorder=3)
    for point in line.points:
        if not math.isnan(point.low):
            axes.plot([point.x, point.x], [point.low, point.high], color=colour, linewidth=5, alpha=0.28, zorder=2,
                      solid_capstyle="butt")  # fmt: skip
        face: dict[str, Any] = {"markerfacecolor": "none"} if point.hollow else {}
        axes.plot([point.x], [point.value], marker, color=colour, markersize=size, zorder=4, clip_on=False, **face)


def _legend(panels: Sequence[Panel]) -> list[Any]:
    from matplotlib.lines import Line2D

    dashes = {level.label: _DASHES[n % len(_DASHES)] for panel in panels for n, level in enumerate(panel.levels)}
    styles = {line.label: line.style for panel in panels for line in panel.lines}
    marks = [(label, *_STYLES[min(style, len(_STYLES) - 1)]) for label, style in styles.items()]
    return [
        Line2D([], [], color=colour, marker=marker, markersize=size, linewidth=1.4, label=label)
        for label, colour, marker, size in marks
    ] + [Line2D([], [], color=INK, linewidth=1.1, linestyle=style, label=label) for label, style in dashes.items()]


def _limits(panels: Sequence[Panel]) -> tuple[float, float]:
    points = [point for panel in panels for line in panel.lines for point in line.points]
    ends = [v for point in points for v in (point.value, point.low, point.high) if not math.isnan(v)]
    ends += [level.value for panel in panels for level in panel.levels]
    room = 0.08 * max(max(ends) - min(ends), 1.0)
    return min(ends) - room, max(ends) + room
