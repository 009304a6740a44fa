"""The trade-off between clean pass@1 and RD, the heat map, Friedman's test, and what the problems can show."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.stats import friedmanchisquare

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.figures.scatter import OTHER_MARK, Dot, front_of
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.table import by_file_name
from raysweep.metrics.base import CellLabels
from tests.analysis.exhibits.examples import (
    EXHIBITS,
    STUDY,
    cells,
    curve_evidence,
    printed_scores,
    rated,
    study,
    tables,
)


def test_the_front_holds_the_models_that_no_other_beats_in_both():
    dots = [Dot(x, y, f"{x}", OTHER_MARK) for x, y in ((1, 1), (2, 2), (3, 1.5), (3, 4), (0, 0.5), (3, 1.5))]
    assert [(dot.x, dot.y) for dot in front_of(dots)] == [(0, 0.5), (1, 1), (3, 1.5), (3, 1.5)]


def test_the_printed_numbers_have_their_trade_off_as_figure_and_table():
    drawn = EXHIBITS["trade-off"].draw(study())
    (figure,), (table,) = drawn.figures, drawn.tables
    assert len(figure.dots) == 21 and figure.label == table.label == "trade-off-humaneval"
    front = cells(table)
    values = [(float(row["clean pass@1 (%)"]), abs(float(row["RD (%)"].replace("−", "-")))) for row in front.values()]
    assert values == sorted(values, reverse=True) and len(values) > 1
    assert all(any(math.isclose(dot.x, x, abs_tol=0.06) for dot in figure.dots) for x, _ in values)
    assert figure.caption.startswith("Right and down is better.") and "below 0" in figure.caption
    assert b"size of RD on mix_all" in figure.render()


def test_the_heat_map_has_a_panel_for_each_model_and_a_number_for_each_score():
    drawn = EXHIBITS["heat-map"].draw(curve_evidence())
    (figure,) = drawn.figures
    assert [panel.title for panel in figure.panels] == ["one", "two"] and figure.columns == ("clean", "typos")
    panel = dict(zip(figure.panels[0].rows, figure.panels[0].values, strict=True))
    assert panel["most"] == pytest.approx((50, 55)) and "base" not in panel
    svg = figure.render().decode()
    assert svg.count(">55.0</text>") == 4 and tables("heat-map", curve_evidence()) == []


def test_friedmans_test_names_the_hardest_method_of_a_level():
    rates = {("humaneval", name): rated(n) for name, n in (("C1", 15), ("C2", 4), ("C3", 14))}
    rates |= {("humaneval", name): rated(9) for name in ("S1", "S2", "S3")}
    frame = study().frame
    evidence = Evidence(frame, {CellLabels("codegen-2b", "none", "base", 42): rates})
    (table,) = EXHIBITS["friedman"].draw(evidence).tables
    shown = cells(table)
    assert list(shown) == [("codegen-2b", "base", "C"), ("codegen-2b", "base", "S")]
    reference = friedmanchisquare(*([float(t < n) for t in range(20)] for n in (15, 4, 14)))
    row = table.rows[0]
    assert (row.cells[2].value, row.cells[3].value) == pytest.approx(tuple(reference))
    assert (row.cells[-1].text, table.rows[1].cells[-1].text) == ("C2", "none")
    assert table.rows[1].cells[3].value == 1.0


def test_figures_of_equal_names_have_files_of_their_own():
    scores = [replace(one, problem_set=name) for one in printed_scores() for name in ("p p", "p-p")]
    frame = ScoreFrame.of(scores, replace(STUDY, problem_sets=("p p", "p-p")))
    figures = by_file_name(EXHIBITS["trade-off"].draw(Evidence(frame)).figures)
    assert list(figures) == ["trade-off-p-p", "trade-off-p-p-2"]
    assert [figure.label for figure in figures.values()] == ["trade-off-p p", "trade-off-p-p"]
