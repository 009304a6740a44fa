"""Draws figures of marks in a plane: a mark for each model, and the front of those that no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASE_MARK, CLEAN_MARK, OTHER_MARK = range(3)
_STYLES = (("not fine-tuned", MUTED, "s"), ("fine-tuned on clean prompts", CLEAN_COLOUR, "o"),
           ("fine-tuned on perturbed prompts", PERTURBED_COLOUR, "D"))  # fmt: skip
_INCHES = (8.6, 4.4)
_MOST_LABELS = 20
"""Places on the front that are numbered, from the right; a list beside the axes names them."""


@dataclass(frozen=True)
class Dot:
    """One model: more is better along x, less along y."""

    x: float
    y: float
    label: str
    mark: int


@dataclass(frozen=True)
class ScatterFigure(ReportFigure):
    """A figure of dots, in the units of its axes."""

    x_label: str
    y_label: str
    dots: tuple[Dot, ...]

    @override
    def render(self, format: str = "svg") -> bytes:
        with plotting():
            drawn = new_figure(*_INCHES)
            axes = drawn.add_subplot()
            for mark, (label, colour, shape) in enumerate(_STYLES):
                dots = [dot for dot in self.dots if dot.mark == mark]
                if dots:
                    axes.plot([dot.x for dot in dots], [dot.y for dot in dots], shape, color=colour, markersize=5.5,
                              alpha=0.75, label=label, clip_on=False, zorder=3)  # fmt: skip
            self._front(axes)
            axes.set_xlabel(self.x_label, color=MUTED)
            axes.set_ylabel(self.y_label, color=MUTED)
            axes.margins(0.08)
            make_plain(axes, "both")
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, frameon=False, fontsize=9,
                        labelcolor=MUTED, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
            drawn.tight_layout()
            return rendered(drawn, format, self.signature)

    def _front(self, axes: Axes) -> None:
        front = front_of(self.dots)
        axes.plot([dot.x for dot in front], [dot.y for dot in front], color=INK, linewidth=1, zorder=2)
        places = [(place, list(same)) for place, same in groupby(front, key=attrgetter("x", "y"))][::-1][:_MOST_LABELS]
        for number, ((x, y), dots) in enumerate(places, 1):
            label = dots[0].label + (f" and {len(dots) - 1} more" if len(dots) > 1 else "")
            axes.annotate(str(number), xy=(x, y), xytext=(0, 7), textcoords="offset points", fontsize=8, color=INK,
                          ha="center", zorder=4)  # fmt: skip
            axes.annotate(f"{number}  {label}", xy=(1.02, 1), xytext=(0, -13 * number), xycoords="axes fraction",
                          textcoords="offset points", fontsize=8, color=INK)  # fmt: skip


def front_of(dots: Sequence[Dot]) -> list[Dot]:
    """Return the dots that no other beats, from the left: none is as good in both directions, and better in one."""
    beaten = (any(o.x >= dot.x and o.y <= dot.y and (o.x, o.y) != (dot.x, dot.y) for o in dots) for dot in dots)
    front = (dot for dot, is_beaten in zip(dots, beaten, strict=True) if not is_beaten)
    return sorted(front, key=lambda dot: (dot.x, -dot.y))
