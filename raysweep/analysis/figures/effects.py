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
from raysweep.analysis.tables.frame import ModelVariant, ScoreBook, ScoreKey
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


def all_panels(book: ScoreBook) -> list[tuple[ModelVariant, str]]:
    problem_sets = book.problem_sets if book.headline else ()
    return [(variant, problems) for problems in problem_sets for variant in book.variants]


@dataclass(frozen=True)
class Effects(ReportFigure):
    """A figure with a panel for each (variant, problem set), two side by side."""

    book: ScoreBook
    panels: Sequence[tuple[ModelVariant, str]]

    @classmethod
    def of(cls, book: ScoreBook, panels: Sequence[tuple[ModelVariant, str]], signature: str = "") -> Effects:
        """Return the figure of a sweep in which something is perturbed; `panels`: one at least."""
        return cls(TITLE, "", NAME, book, panels, signature=signature)

    @override
    def render(self, format: str = "svg") -> bytes:
        columns = min(2, len(self.panels))
        rows = math.ceil(len(self.panels) / columns)
        book = self.book
        panel_height = _ROW_INCHES * len(book.training_sets) + 1.14 + _LEGEND_INCHES * _legend_lines(book)
        with plotting():
            figure = new_figure(_PANEL_INCHES * columns, panel_height * rows)
            for number, (variant, problems) in enumerate(self.panels, 1):
                axes = figure.add_subplot(rows, columns, number)
                _panel(axes, book, variant, problems)
                _legend(figure, axes, book, (number - 1) % columns / columns)
            figure.tight_layout(w_pad=3, h_pad=2)
            return rendered(figure, format, self.signature)


def _panel(axes: Axes, book: ScoreBook, variant: ModelVariant, problems: str) -> None:
    tests = (CLEAN, *book.perturbations)
    shown = [s for p in book.problem_sets for name in tests for s in book.all_scores(p, name, "pass@1")]
    highest = max((v for s in shown for v in (s.value, s.high) if not math.isnan(v)), default=1.0)
    limit = min(100.0, 20.0 * max(1, math.ceil(highest * 5)))
    keys = [ScoreKey(variant, name, problems, book.headline) for name in book.training_sets]
    keys = [key for key in keys if book.is_asked(key)]
    _marks(axes, book, keys)
    for row, key in enumerate(keys):
        _words(axes, book, key, row, limit)
    labels = [_row_label(book, key.training_set) for key in keys]
    axes.set_yticks(range(len(keys)), labels=labels)
    axes.set_ylim(len(keys) - 0.5, -0.6)
    axes.set_xlim(0, limit)
    axes.set_xlabel(f"pass@1 on {problems}, %{_sizes(book, variant, problems)}", color=MUTED)
    pad = 26 + 72 * _LEGEND_INCHES * _legend_lines(book)
    axes.set_title(variant.label, loc="left", fontsize=12, fontweight="bold", pad=pad)
    axes.text(limit * 1.05, -0.85, "RD", color=MUTED, va="bottom", ha="left")
    make_plain(axes, "x")
    axes.tick_params(axis="y", pad=9)  # room for a mark at 0 %


def _row_label(book: ScoreBook, training_set: str) -> str:
    """Two lines where it is long; without any words where those of one set would leave little room for marks."""
    labels = {name: book.order.training_label(name) for name in book.training_sets}
    for name, label in labels.items():
        if len(label) > _LONG_ROW:
            labels[name] = label.replace(f" ({name})", f"\n({name})")
    longest = max(len(line) for label in labels.values() for line in label.splitlines())
    return labels[training_set] if longest <= _LONGEST_LINE else training_set


def _sizes(book: ScoreBook, variant: ModelVariant, problems: str) -> str:
    keys = [
        ScoreKey(variant, training_set, problems, name)
        for training_set in book.training_sets
        for name in (CLEAN, *book.perturbations)
    ]
    sizes = {score.n for key in keys if (score := book.score(key, "pass@1")) is not None}
    return f" ({problems_text(sizes)})" if sizes else ""


def _marks(axes: Axes, book: ScoreBook, keys: Sequence[ScoreKey]) -> None:
    """Draw all rows' marks, those of one kind at once: thousands of single ones would take seconds."""
    clean = [_score(book, key, CLEAN) for key in keys]
    perturbed = [_score(book, key, book.headline) for key in keys]
    others = [(marker, [_score(book, key, name) for key in keys]) for name, marker in _others(book)]
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


def _score(book: ScoreBook, key: ScoreKey, perturbation: str) -> Score | None:
    score = book.score(replace(key, perturbation=perturbation), "pass@1")
    return None if score is None or math.isnan(score.value) else score


def _points(axes: Axes, scores: Sequence[Score | None], marker: str, **style: Any) -> None:
    places = [(100 * score.value, row) for row, score in enumerate(scores) if score is not None]
    if places:
        axes.plot(*zip(*places, strict=True), marker, **style, **_UNCUT)


def _words(axes: Axes, book: ScoreBook, key: ScoreKey, row: int, limit: float) -> None:
    rd = book.score(key, "RD")
    if rd is not None:
        text = "–" if math.isnan(rd.value) else f"{decimal(100 * rd.value, 0)} %"
        axes.text(limit * 1.05, row, text, va="center", ha="left", fontweight="bold")
    elif all(_score(book, key, name) is None for name in (CLEAN, *book.perturbations)):
        reason = "failed" if book.failure(key) else ("missing" if book.is_missing(key) else "not evaluated")
        axes.text(limit * 0.02, row, reason, va="center", color=MUTED, fontstyle="italic")


def _others(book: ScoreBook) -> list[tuple[str, str]]:
    names = [name for name in book.perturbations if name != book.headline]
    return list(zip(names, _SHAPES if len(names) <= len(_SHAPES) else "|" * len(names), strict=False))


def _legend_entries(book: ScoreBook) -> list[tuple[str, str, dict[str, Any]]]:
    others, label = dict(_others(book)), book.order.test_label
    clean = ("clean prompts", "o", {"color": CLEAN_COLOUR, "markersize": 6})
    headline = (label(book.headline), "D", {"color": PERTURBED_COLOUR, "markersize": 6})
    if len(others) > len(_SHAPES):
        return [clean, headline, (f"each of the {len(others)} other perturbations", "|", _OTHER)]
    marks = (headline if name == book.headline else (label(name), others[name], _OTHER) for name in book.perturbations)
    return [clean, *marks]


def _legend_columns(book: ScoreBook) -> int:
    return 2 if all(len(label) <= _LONG_LABEL for label, _, _ in _legend_entries(book)) else 1


def _legend_lines(book: ScoreBook) -> int:
    return math.ceil(len(_legend_entries(book)) / _legend_columns(book))


def _legend(figure: Figure, axes: Axes, book: ScoreBook, left: float) -> None:
    """By rows; matplotlib fills a legend column by column. `left`: as a share of the figure's width."""
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    columns, entries = _legend_columns(book), _legend_entries(book)
    handles = [Line2D([], [], marker=m, linestyle="none", label=label, **style) for label, m, style in entries]
    is_pushed = any(len(_row_label(book, name)) > _SHORT_ROW for name in book.training_sets)
    across = figure.transFigure if is_pushed else axes.transAxes
    legend = axes.legend(
        handles=[handle for column in range(columns) for handle in handles[column::columns]],
        loc="lower left", bbox_to_anchor=(left if is_pushed else -0.07, 1.0), ncols=columns, frameon=False, fontsize=9,
        bbox_transform=blended_transform_factory(across, axes.transAxes),
        labelcolor=MUTED, handletextpad=0.2, columnspacing=1.2, borderpad=0, labelspacing=0.35, borderaxespad=1.5,
    )  # fmt: skip
    legend.set_in_layout(not is_pushed)
