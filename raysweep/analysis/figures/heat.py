"""Draws heat maps: a panel for each model, with a row for each training set and a column for each test set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from raysweep.analysis.figures.look import MUTED, ReportFigure, make_plain, new_figure, plotting, rendered
from raysweep.units import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMALL, _LARGE = (0.44, 0.2, 6.5, 7.5), (0.72, 0.3, 9.5, 9.0)
"""Of cells: width and height in inches, and the size of their numbers and of the labels beside them in points."""
_FEW_COLUMNS = 8
"""Up to so many columns have large cells."""
_LABEL_INCHES, _HEAD_INCHES = 1.3, 0.75
_LETTER = 0.6  # the width of a letter, in its size
_AXIS_INCHES = 0.5  # at the left of the rows' labels
_MOST_WIDTH = 15.0
_FEWEST_ROWS = 3  # for which there is room
_SCALE_INCHES = 0.7
_MAP = "cividis"  # equally readable with a colour vision deficiency, and light to dark in grey
_SIGNED_MAP = "PuOr"  # so is this one, for numbers below and above zero


@dataclass(frozen=True)
class HeatPanel:
    """The numbers of one model. `values`: (rows, columns); NaN: there is none."""

    title: str
    rows: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class HeatFigure(ReportFigure):
    """A figure of panels with the same columns.

    `unit`: of the numbers; `digits`: after the point. `full`: the number, or a larger one among those shown, that has
    the full colour; then zero is white, numbers below it have another colour, and a bar shows the scale. None: colours
    go from the smallest to the largest number.
    """

    columns: tuple[str, ...]
    row_label: str
    column_label: str
    unit: str
    digits: int
    panels: tuple[HeatPanel, ...]
    full: float | None = None

    @override
    def render(self, format: str = "svg") -> bytes:
        column, row, *_ = self._sizes
        longest = max(len(name) for panel in self.panels for name in panel.rows)
        beside = max(_LABEL_INCHES, _AXIS_INCHES + _LETTER * self._sizes[-1] / 72 * longest)
        width = beside + column * len(self.columns)
        across = max(1, min(len(self.panels), int(_MOST_WIDTH // width)))
        down = math.ceil(len(self.panels) / across)
        most = max(len(panel.rows) for panel in self.panels)
        height = _HEAD_INCHES + row * max(most, _FEWEST_ROWS)
        numbers = [v for panel in self.panels for row in panel.values for v in row if not math.isnan(v)]
        limits = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
        if self.full is not None:
            largest = max([self.full, *map(abs, numbers)])
            limits, width = (-largest, largest), width + _SCALE_INCHES
        with plotting():
            drawn = new_figure(width * across, height * down)
            for number, panel in enumerate(self.panels, 1):
                axes = drawn.add_subplot(down, across, number)
                self._panel(axes, panel, limits)
                axes.set_ylim(most, 0)  # rows of all panels are as high
            drawn.tight_layout(w_pad=1.5, h_pad=1.5)
            return rendered(drawn, format, self.signature)

    @property
    def _sizes(self) -> tuple[float, float, float, float]:
        return _LARGE if len(self.columns) <= _FEW_COLUMNS else _SMALL

    def _panel(self, axes: Axes, panel: HeatPanel, limits: tuple[float, float]) -> None:
        import matplotlib
        import numpy as np

        low, high = limits
        *_, of_numbers, of_labels = self._sizes
        colours = matplotlib.colormaps[_MAP if self.full is None else _SIGNED_MAP]
        mesh = axes.pcolormesh(np.array(panel.values), cmap=colours, vmin=low, vmax=max(high, low + 1e-9),
                               linewidth=0.5, edgecolors="white")  # fmt: skip
        if self.full is not None:
            axes.figure.colorbar(mesh, ax=axes).ax.tick_params(labelsize=of_labels)
        for row, values in enumerate(panel.values):
            for column, value in enumerate(values):
                if not math.isnan(value):
                    shade = sum(colours((value - low) / max(high - low, 1e-9))[:3]) / 3
                    text = decimal(value, self.digits)
                    number = axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=of_numbers,
                                       color="#000000" if shade > 0.45 else "#ffffff")  # fmt: skip
                    number.set_in_layout(False)  # it lies inside the axes, and there are thousands
        axes.set_xticks([n + 0.5 for n in range(len(self.columns))], labels=self.columns, rotation=45, ha="left",
                        rotation_mode="anchor", fontsize=of_labels)  # fmt: skip
        axes.xaxis.tick_top()
        axes.set_yticks([n + 0.5 for n in range(len(panel.rows))], labels=panel.rows, fontsize=of_labels)
        make_plain(axes, None)
        axes.set_title(panel.title, loc="left", fontsize=10.5, fontweight="bold", pad=8)
        axes.set_xlabel(f"{self.column_label} ({self.unit})", color=MUTED, fontsize=of_labels + 0.5)
        axes.set_ylabel(self.row_label, color=MUTED, fontsize=of_labels + 0.5)
