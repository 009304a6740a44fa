"""The figure of a sweep as SVG: clean and perturbed pass@1 of every training set, one panel per base model.

Each row is a training set: a disc for clean prompts, a diamond for perturbed ones, a band for each 95 % interval, RD in
a column beside them. The two colours are Okabe and Ito's, told apart by shape as well. Colours are CSS variables
with fallbacks, so the same text follows a light or a dark page. Equal scores give equal bytes.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raysweep.analysis.layout import CLEAN, Failure, Line, Order, Place, ScoreBook
from raysweep.records import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {  # CSS variable -> (light, dark); the light one is what matplotlib draws with
    "--rs-ink": ("#1c1b1a", "#e8e6e1"),
    "--rs-muted": ("#66635e", "#a5a29b"),
    "--rs-rule": ("#dcd8d0", "#3b3a37"),
    "--rs-clean": ("#0072b2", "#56b4e9"),
    "--rs-perturbed": ("#c2410c", "#f0894e"),
}
_INK, _MUTED, _RULE, _CLEAN, _PERTURBED = (light for light, _ in _COLOURS.values())
_PANEL_INCHES = 4.6
_ROW_INCHES = 0.36


def effect_figure(scores: Sequence[Score], order: Order, failures: Sequence[Failure] = ()) -> str:
    """Return the whole figure: a panel per model, a row of panels per problem set, on `order.headline`."""
    book = ScoreBook.of(scores, order, failures)
    return draw(book, [(line, problems) for problems in book.problem_sets for line in book.lines])


def draw(book: ScoreBook, panels: Sequence[tuple[Line, str]]) -> str:
    """Return an SVG with one panel per (line, problem set), two side by side; empty text where there are none."""
    if not panels or not book.headline:
        return ""
    import matplotlib
    from matplotlib.figure import Figure

    wide = min(2, len(panels))
    high = math.ceil(len(panels) / wide)
    panel_height = _ROW_INCHES * len(book.training_sets) + 1.15
    settings: dict[Any, Any] = {
        "svg.hashsalt": "raysweep",
        "svg.fonttype": "none",  # text stays text
        "text.parse_math": False,  # names may hold a dollar sign
        "text.color": _INK,
        "font.family": "DejaVu Sans",
        "font.size": 10,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(_PANEL_INCHES * wide, panel_height * high))
        for number, (line, problems) in enumerate(panels, 1):
            _panel(figure.add_subplot(high, wide, number), book, line, problems)
        figure.tight_layout(w_pad=3, h_pad=2)
        return _svg(figure)


def _panel(axes: Axes, book: ScoreBook, line: Line, problems: str) -> None:
    limit = _upper_limit(book)
    for row, training_set in enumerate(book.training_sets):
        _dumbbell(axes, book, Place(line, training_set, problems, book.headline), row, limit)
    axes.set_yticks(range(len(book.training_sets)), labels=list(book.training_sets))
    axes.set_ylim(len(book.training_sets) - 0.5, -0.6)
    axes.set_xlim(0, limit)
    axes.set_xlabel(f"pass@1 on {problems}, %", color=_MUTED)
    axes.set_title(line.label, loc="left", fontsize=12, fontweight="bold", pad=26)
    axes.text(limit * 1.05, -0.85, "RD", color=_MUTED, va="bottom", ha="left")
    axes.grid(axis="x", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_INK)
    axes.spines[:].set_visible(False)
    _legend(axes, book.headline)


def _dumbbell(axes: Axes, book: ScoreBook, place: Place, row: int, limit: float) -> None:
    clean = book.score(Place(place.line, place.training_set, place.problem_set, CLEAN), "pass@1")
    perturbed, rd = book.score(place, "pass@1"), book.score(place, "RD")
    if clean is not None and perturbed is not None:
        axes.plot([100 * clean.value, 100 * perturbed.value], [row, row], color=_MUTED, linewidth=1.2, zorder=2)
    _point(axes, clean, row, _CLEAN, "o")
    _point(axes, perturbed, row, _PERTURBED, "D")
    if rd is not None:
        text = "–" if math.isnan(rd.value) else f"{100 * rd.value:.0f} %".replace("-", "−")
        axes.text(limit * 1.05, row, text, va="center", ha="left", fontweight="bold")
    elif clean is None and perturbed is None:
        reason = "failed" if book.failure(place) else ("missing" if book.is_missing(place) else "not evaluated")
        axes.text(limit * 0.02, row, reason, va="center", color=_MUTED, fontstyle="italic")


def _point(axes: Axes, score: Score | None, row: int, colour: str, marker: str) -> None:
    if score is None or math.isnan(score.value):
        return
    if not (math.isnan(score.low) or math.isnan(score.high)):
        ends = [100 * score.low, 100 * score.high]
        axes.plot(ends, [row, row], color=colour, alpha=0.28, linewidth=7, solid_capstyle="butt", zorder=3)
    axes.plot([100 * score.value], [row], marker, color=colour, markersize=7 if marker == "o" else 6, zorder=4)


def _legend(axes: Axes, headline: str) -> None:
    from matplotlib.lines import Line2D

    names = (("clean prompts", "o", _CLEAN), (f"perturbed prompts ({headline})", "D", _PERTURBED))
    handles = [Line2D([], [], marker=m, color=c, linestyle="none", markersize=6, label=name) for name, m, c in names]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, frameon=False, fontsize=9,
        labelcolor=_MUTED, handletextpad=0.2, columnspacing=1.2, borderpad=0,
    )  # fmt: skip


def _upper_limit(book: ScoreBook) -> float:
    """The common right end of all panels: the highest interval, rounded up to 20 %."""
    shown = [
        s for p in book.problem_sets for name in (CLEAN, book.headline) for s in book.everywhere(p, name, "pass@1")
    ]
    highest = max((v for s in shown for v in (s.value, s.high) if not math.isnan(v)), default=1.0)
    return min(100.0, 20.0 * max(1, math.ceil(highest * 5)))


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # no time and no version: equal bytes every time
    figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    svg = out.getvalue()
    for name, (light, _) in _COLOURS.items():
        svg = svg.replace(light, f"var({name}, {light})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, 'DejaVu Sans', sans-serif", svg)
    dark = "; ".join(f"{name}: {dark}" for name, (_, dark) in _COLOURS.items())
    style = f"<style>@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>"
    return re.sub(r"(<svg [^>]*>)", lambda match: match[1] + "\n " + style, svg, count=1)
