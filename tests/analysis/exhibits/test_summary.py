"""The trade-off between clean pass@1 and RD, the heat map, Friedman's test, and what the problems can show."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.stats import binom, friedmanchisquare

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.figures.scatter import OTHER_MARK, Dot, front_of
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.table import by_file_name
from raysweep.metrics.base import CellLabels
from raysweep.stats import pairs_needed, problems_needed
from tests.analysis.exhibits.examples import (
    CURVES,
    EXHIBITS,
    STUDY,
    cells,
    curve_evidence,
    passing,
    printed_scores,
    rated,
    score,
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


def power_of_mcnemar(problems: int, difference: float, apart: float) -> float:
    """The chance that the exact test at .05 finds a difference, summed over how many problems tell two models apart."""
    found, share = 0.0, (apart + difference) / 2 / apart
    for tell in range(1, problems + 1):
        chance = binom.pmf(tell, problems, apart)
        if chance > 1e-13:
            most = next(count for count in range(tell + 1) if 2 * binom.cdf(count, tell, 0.5) > 0.05) - 1
            found += chance * (binom.cdf(most, tell, share) + binom.cdf(most, tell, 1 - share))
    return float(found)


@pytest.mark.slow
def test_power_holds_against_a_plain_sum():
    test = ("humaneval", "typos")
    better = {f"t{t:03}": float(t % 5 != 0) for t in range(200)}
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passed, {}, 1, 1)}
        for name, passed in {
            "clean": {task: float(t % 3 != 0) for t, task in enumerate(better)},
            "typos": better,
        }.items()
    }
    asked = EXHIBITS["power"].model_copy(update={"difference": 20})
    (table,) = asked.draw(Evidence(curve_evidence().frame, rates)).tables
    problems, apart, shown, needed = (cell.value for cell in table.rows[0].cells)
    assert apart == pytest.approx(100 * sum((t % 5 != 0) != (t % 3 != 0) for t in range(200)) / 200)
    assert problems == 200 and power_of_mcnemar(200, shown / 100, apart / 100) == pytest.approx(0.8, abs=1e-6)
    enough, fewer = (power_of_mcnemar(int(needed) - less, 0.2, apart / 100) for less in (0, 1))
    assert enough >= 0.8 > fewer


def test_power_says_what_the_problems_can_show():
    test = ("humaneval", "typos")
    half = {f"t{t:02}": float(t % 2 == 0 or t < 3) for t in range(20)}
    rates = {
        CellLabels("one", "full", "clean", 42): {test: rated(10)},
        CellLabels("one", "full", "typos", 42): {test: ProblemRates(half, {}, 1, 1)},
        CellLabels("two", "full", "clean", 42): {test: rated(10)},
        CellLabels("two", "full", "typos", 42): {test: rated(10)},
    }
    (table,) = EXHIBITS["power"].draw(Evidence(curve_evidence().frame, rates)).tables
    first, second = table.rows
    apart = sum(half[task] != value for task, value in passing(10).items()) / 20
    assert first.labels == ("one", "typos") and first.cells[1].value == pytest.approx(100 * apart)
    assert first.cells[3].value == problems_needed(0.05, apart).n
    assert [cell.text for cell in second.cells] == ["20", "0.0", "–", "–"]
    assert "How many seeds would show 5 points, only a sweep with several seeds tells." in table.caption
    asked = EXHIBITS["power"].model_copy(update={"difference": 1e-4})
    tiny = asked.draw(Evidence(curve_evidence().frame, rates)).tables[0]
    assert tiny.rows[0].cells[3].text == "–" and "plan for a larger one" in tiny.rows[0].cells[3].note


def test_power_says_how_many_seeds_show_a_difference_where_the_sweep_has_several():
    test, gains = ("humaneval", "typos"), {"one": (1, 3, 2), "two": (2, 2, 2)}  # of 20 problems
    rates, scores = {}, []
    for model, by_seed in gains.items():
        for seed, gain in enumerate(by_seed):
            for name, passed in (("clean", 10), ("typos", 10 + gain)):
                rates[CellLabels(model, "full", name, seed)] = {test: rated(passed)}
                scores.append(score(model, name, "typos", "pass@1", passed / 20, seed=seed))
    (table,) = EXHIBITS["power"].draw(Evidence(ScoreFrame.of(scores, CURVES), rates)).tables
    shown = cells(table)
    needed = pairs_needed(5, 5).n  # 5, 15 and 10 points have a standard deviation of 5
    for seed in range(3):
        assert shown[f"one · seed {seed}", "typos"]["seeds for 5 points"] == str(needed)
        assert shown[f"two · seed {seed}", "typos"]["seeds for 5 points"] == "–"
    assert "SD of the difference between 3 seeds: 5 points" in table.footnotes
    assert "3 seeds gave the same difference" in table.footnotes
    assert "with the paired t test" in table.caption


def test_differences_of_seeds_that_are_equal_but_for_rounding_are_no_spread():
    test, rates, scores = ("humaneval", "typos"), {}, []
    for seed in range(2):
        for name, shift in (("clean", 0.0), ("typos", 1.0)):
            passed = {f"t{t:02}": (0.1 * ((t * (seed + 1)) % 7) + shift * 0.1 * (t < 3)) / 3 for t in range(20)}
            rates[CellLabels("one", "full", name, seed)] = {test: ProblemRates(passed, {}, 30, 1)}
            scores.append(score("one", name, "typos", "pass@1", 0.5, seed=seed))
    (table,) = EXHIBITS["power"].draw(Evidence(ScoreFrame.of(scores, CURVES), rates)).tables
    assert {row["seeds for 5 points"] for row in cells(table).values()} == {"–"}
    assert "2 seeds gave the same difference" in table.footnotes


def test_figures_of_equal_names_have_files_of_their_own():
    scores = [replace(one, problem_set=name) for one in printed_scores() for name in ("p p", "p-p")]
    frame = ScoreFrame.of(scores, replace(STUDY, problem_sets=("p p", "p-p")))
    figures = by_file_name(EXHIBITS["trade-off"].draw(Evidence(frame)).figures)
    assert list(figures) == ["trade-off-p-p", "trade-off-p-p-2"]
    assert [figure.label for figure in figures.values()] == ["trade-off-p p", "trade-off-p-p"]
