"""Draws clean and perturbed pass@1 per training set, one panel per model variant.

Each row is a training set: a disc for clean prompts, a diamond for the headline's perturbation, both with a band for
the 95 % interval, a grey mark for each other perturbation, and the headline's RD in a column at the right. Equal scores
give equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.analysis.figures.look import (
    CLEAN_COLOUR,
    MUTED,
    PERTURBED_COLOUR,
    ReportFigure,
    make_plain,
    new_figure,
    plotting,
    rendered,
)
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import problems_text
from raysweep.records import CLEAN, Score
from raysweep.units import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "figure"
"""Names its files."""
TITLE = "pass@1 with clean prompts and under each perturbation, by training set"
_UNCUT: dict[str, Any] = {"clip_on": False}  # marks at 0 and 100 % are whole
_OTHER: dict[str, Any] = {"color": MUTED, "markerfacecolor": "none", "markersize": 5.5, "markeredgewidth": 1.1}
_PANEL_INCHES = 4.6
_ROW_INCHES = 0.36
_LEGEND_INCHES = 0.19  # a line of the legend
_SHAPES = "^svph<>X"  # of the perturbations beside the headline's; where there are more, all have a stroke
_SHORT_ROW, _LONG_ROW = 9, 20  # characters of a row's label; a longer one pushes axes to the right, or has two lines
_LONGEST_LINE = 25  # characters of a line of a row's label
_LONG_LABEL = 30  # characters; longer ones have a line of the legend for themselves


def all_panels(frame: ScoreFrame) -> list[tuple[ModelVariant, str]]:
    problem_sets = frame.problem_sets if frame.headline else ()
    return [(variant, problems) for problems in problem_sets for variant in frame.variants]


@dataclass(frozen=True)
class Effects(ReportFigure):
    """A figure with a panel for each (variant, problem set), two side by side."""

    frame: ScoreFrame
    panels: Sequence[tuple[ModelVariant, str]]

    @classmethod
    def of(cls, frame: ScoreFrame, panels: Sequence[tuple[ModelVariant, str]], signature: str = "") -> Effects:
        """Return the figure of a sweep in which something is perturbed; `panels`: one at least."""
        return cls(TITLE, "", NAME, frame, panels, signature=signature)

    @override
    def render(self, format: str = "svg") -> bytes:
        columns = min(2, len(self.panels))
        rows = math.ceil(len(self.panels) / columns)
        frame = self.frame
        panel_height = _ROW_INCHES * len(frame.training_sets) + 1.14 + _LEGEND_INCHES * _legend_lines(frame)
        with plotting():
            figure = new_figure(_PANEL_INCHES * columns, panel_height * rows)
            for number, (variant, problems) in enumerate(self.panels, 1):
                axes = figure.add_subplot(rows, columns, number)
                _panel(axes, frame, variant, problems)
                _legend(figure, axes, frame, (number - 1) % columns / columns)
            figure.tight_layout(w_pad=3, h_pad=2)
            return rendered(figure, format, self.signature)


def _panel(axes: Axes, frame: ScoreFrame, variant: ModelVariant, problems: str) -> None:
    tests = (CLEAN, *frame.perturbations)
    shown = [s for p in frame.problem_sets for name in tests for s in frame.all_scores(p, name, "pass@1")]
    highest = max((v for s in shown for v in (s.value, s.high) if not math.isnan(v)), default=1.0)
    limit = min(100.0, 20.0 * max(1, math.ceil(highest * 5)))
    keys = [ScoreKey(variant, name, problems, frame.headline) for name in frame.training_sets]
    keys = [key for key in keys if frame.is_asked(key)]
    _marks(axes, frame, keys)
    for row, key in enumerate(keys):
        _words(axes, frame, key, row, limit)
    labels = [_row_label(frame, key.training_set) for key in keys]
    axes.set_yticks(range(len(keys)), labels=labels)
    axes.set_ylim(len(keys) - 0.5, -0.6)
    axes.set_xlim(0, limit)
    axes.set_xlabel(f"pass@1 on {problems}, %{_sizes(frame, variant, problems)}", color=MUTED)
    pad = 26 + 72 * _LEGEND_INCHES * _legend_lines(frame)
    axes.set_title(variant.label, loc="left", fontsize=12, fontweight="bold", pad=pad)
    axes.text(limit * 1.05, -0.85, "RD", color=MUTED, va="bottom", ha="left")
    make_plain(axes, "x")
    axes.tick_params(axis="y", pad=9)  # room for a mark at 0 %


def _row_label(frame: ScoreFrame, training_set: str) -> str:
    """Two lines where it is long; without any words where those of one set would leave little room for marks."""
    labels = {name: frame.order.training_label(name) for name in frame.training_sets}
    for name, label in labels.items():
        if len(label) > _LONG_ROW:
            labels[name] = label.replace(f" ({name})", f"\n({name})")
    longest = max(len(line) for label in labels.values() for line in label.splitlines())
    return labels[training_set] if longest <= _LONGEST_LINE else training_set


def _sizes(frame: ScoreFrame, variant: ModelVariant, problems: str) -> str:
    keys = [
        ScoreKey(variant, training_set, problems, name)
        for training_set in frame.training_sets
        for name in (CLEAN, *frame.perturbations)
    ]
    sizes = {score.n for key in keys if (score := frame.score(key, "pass@1")) is not None}
    return f" ({problems_text(sizes)})" if sizes else ""


def _marks(axes: Axes, frame: ScoreFrame, keys: Sequence[ScoreKey]) -> None:
    """Draw all rows' marks, those of one kind at once: thousands of single ones would take seconds."""
    clean = [_score(frame, key, CLEAN) for key in keys]
    perturbed = [_score(frame, key, frame.headline) for key in keys]
    others = [(marker, [_score(frame, key, name) for key in keys]) for name, marker in _others(frame)]
    spans = []
    for row, of_row in enumerate(zip(clean, perturbed, *(of for _, of in others), strict=True)):
        values = [score.value for score in of_row if score is not None]
        if len(values) > 1:
            spans.append((row, 100 * min(values), 100 * max(values)))
    if spans:
        axes.hlines(*zip(*spans, strict=True), color=MUTED, linewidth=1, zorder=2, **_UNCUT)
    for marker, scores in others:
        _points(axes, scores, marker, zorder=3.5, **_OTHER)
    for marker, size, colour, scores in (("o", 7, CLEAN_COLOUR, clean), ("D", 6, PERTURBED_COLOUR, perturbed)):
        known = [(row, score) for row, score in enumerate(scores) if score is not None]
        bands = [(row, 100 * s.low, 100 * s.high) for row, s in known if not (math.isnan(s.low) or math.isnan(s.high))]
        if bands:
            axes.hlines(*zip(*bands, strict=True), color=colour, alpha=0.28, linewidth=7, zorder=3, **_UNCUT)
        _points(axes, scores, marker, color=colour, markersize=size, zorder=4)


def _score(frame: ScoreFrame, key: ScoreKey, perturbation: str) -> Score | None:
    score = frame.score(replace(key, perturbation=perturbation), "pass@1")
    return None if score is None or math.isnan(score.value) else score


def _points(axes: Axes, scores: Sequence[Score | None], marker: str, **style: Any) -> None:
    places = [(100 * score.value, row) for row, score in enumerate(scores) if score is not None]
    if places:
        axes.plot(*zip(*places, strict=True), marker, **style, **_UNCUT)


def _words(axes: Axes, frame: ScoreFrame, key: ScoreKey, row: int, limit: float) -> None:
    rd = frame.score(key, "RD")
    if rd is not None:
        text = "–" if math.isnan(rd.value) else f"{decimal(100 * rd.value, 0)} %"
        axes.text(limit * 1.05, row, text, va="center", ha="left", fontweight="bold")
    elif all(_score(frame, key, name) is None for name in (CLEAN, *frame.perturbations)):
        reason = "failed" if frame.failure(key) else ("missing" if frame.is_missing(key) else "not evaluated")
        axes.text(limit * 0.02, row, reason, va="center", color=MUTED, fontstyle="italic")


def _others(frame: ScoreFrame) -> list[tuple[str, str]]:
    names = [name for name in frame.perturbations if name != frame.headline]
    return list(zip(names, _SHAPES if len(names) <= len(_SHAPES) else "|" * len(names), strict=False))


def _legend_entries(frame: ScoreFrame) -> list[tuple[str, str, dict[str, Any]]]:
    others, label = dict(_others(frame)), frame.order.test_label
    clean = ("clean prompts", "o", {"color": CLEAN_COLOUR, "markersize": 6})
    headline = (label(frame.headline), "D", {"color": PERTURBED_COLOUR, "markersize": 6})
    if len(others) > len(_SHAPES):
        return [clean, headline, (f"each of the {len(others)} other perturbations", "|", _OTHER)]
    marks = (
        headline if name == frame.headline else (label(name), others[name], _OTHER) for name in frame.perturbations
    )
    return [clean, *marks]


def _legend_columns(frame: ScoreFrame) -> int:
    return 2 if all(len(label) <= _LONG_LABEL for label, _, _ in _legend_entries(frame)) else 1


def _legend_lines(frame: ScoreFrame) -> int:
    return math.ceil(len(_legend_entries(frame)) / _legend_columns(frame))


def _legend(figure: Figure, axes: Axes, frame: ScoreFrame, left: float) -> None:
    """By rows; matplotlib fills a legend column by column. `left`: as a share of the figure's width."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    columns, entries = _legend_columns(frame), _legend_entries(frame)
    handles = [Line2D([], [], marker=m, linestyle="none", label=label, **style) for label, m, style in entries]
    is_pushed = any(len(_row_label(frame, name)) > _SHORT_ROW for name in frame.training_sets)
    across = figure.transFigure if is_pushed else axes.transAxes
    legend = axes.legend(
        handles=[handle for column in range(columns) for handle in handles[column::columns]],
        loc="lower left", bbox_to_anchor=(left if is_pushed else -0.07, 1.0), ncols=columns, frameon=False, fontsize=9,
        bbox_transform=blended_transform_factory(across, axes.transAxes),
        labelcolor=MUTED, handletextpad=0.2, columnspacing=1.2, borderpad=0, labelspacing=0.35, borderaxespad=1.5,
    )  # fmt: skip
    legend.set_in_layout(not is_pushed)
