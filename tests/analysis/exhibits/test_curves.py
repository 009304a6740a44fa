"""Curves along ratios and sizes: points, draws, the hollow point, the best setting, and the figure's files."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.exhibits.settings import curve_of
from raysweep.analysis.tables.score_book import Failure, RowChoice, ScoreBook
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.errors import UnknownName
from tests.analysis.exhibits.examples import CURVES, EXHIBITS, cells, curve_evidence

RATIO_POINTS = [0.0, 10.0, 50.0, 70.0, 100.0]


def test_settings_come_from_the_training_sets_ratios_and_sizes_not_from_their_names():
    ratios, sizes = curve_of(CURVES, "ratio"), curve_of(CURVES, "size")
    assert [(s.value, s.training_sets) for s in ratios.settings] == [
        (0.0, ("clean",)), (0.1, ("some-a", "some-b", "some-c")), (0.5, ("half",)), (0.7, ("most",)), (1.0, ("typos",)),
    ]  # fmt: skip
    assert [(s.value, s.training_sets, s.other_ratio) for s in sizes.settings] == [
        (0.25, ("quarter",), None), (1.0, ("half",), 0.5), (2.0, ("twice",), None),
    ]  # fmt: skip


def test_a_set_of_the_sizes_own_ratio_is_the_curves_point_at_the_sources_size():
    rows = {**CURVES.rows, "most": RowChoice(ratio=0.6)}
    sizes = curve_of(replace(CURVES, rows=rows), "size")
    assert [(s.value, s.training_sets, s.other_ratio) for s in sizes.settings][1] == (1.0, ("most",), None)


def test_points_are_means_over_draws_with_their_range():
    (figure,) = EXHIBITS["figure-3"].draw(curve_evidence()).figures
    clean, perturbed = figure.panels[0].lines
    assert (clean.label, perturbed.label) == ("clean prompts", "typos of three kinds (typos)")
    assert [point.x for point in perturbed.points] == RATIO_POINTS
    assert [point.value for point in perturbed.points] == pytest.approx([30, 45, 65, 55, 50])
    assert (perturbed.points[1].low, perturbed.points[1].high) == (40, 50)
    assert perturbed.points[2].low != perturbed.points[2].low  # NaN: one draw
    assert "up to 3; a bar goes from the smallest to the largest" in figure.caption


def test_the_point_of_another_ratio_is_hollow_and_said():
    (figure,) = EXHIBITS["figure-5"].draw(curve_evidence()).figures
    assert [point.hollow for point in figure.panels[0].lines[0].points] == [False, True, False]
    assert "At ×1 50 % of the rows are perturbed, since no set of this size has 60 %; that point is hollow" in (
        figure.caption
    )


def test_the_table_has_the_figures_numbers_and_the_best_setting():
    (table,) = EXHIBITS["figure-3"].draw(curve_evidence()).tables
    found = cells(table)["one", "typos", "pass@1 (%)"]
    assert found == {
        "perturbed rows 0 %": "30.0", "perturbed rows 10 %": "45.0", "perturbed rows 50 %": "65.0",
        "perturbed rows 70 %": "55.0", "perturbed rows 100 %": "50.0", "best": "50 %",
    }  # fmt: skip
    best = table.rows[1].cells[-1]
    assert (best.value, best.low <= 50 <= best.high) == (50, True)
    assert best.note == "50 % is +35.0 points from 0 %, beyond noise: 2 SD between 3 draws are 10, of 10 %"


def test_an_effect_below_two_sds_between_draws_is_called_within_noise():
    evidence = curve_evidence()
    few = {name: rows for name, rows in CURVES.rows.items() if name in ("clean", "some-a", "some-b", "some-c")}
    order = replace(CURVES, rows=few, training_sets=tuple(few))
    scores = [score for score in evidence.book._scores.values() if score.training_set in few]
    drawn = EXHIBITS["figure-3"].draw(Evidence(ScoreBook.of(scores, order), evidence.rates))
    clean, perturbed = (row.cells[-1] for row in drawn.tables[0].rows[:2])
    assert clean.note == "0 % and 10 % tie"
    assert perturbed.note == "10 % is +15.0 points from 0 %, beyond noise: 2 SD between 3 draws are 10"


@pytest.mark.parametrize(("gains", "words"), [((35, 30, 40), "beyond"), ((35, -20, 15), "within")])
def test_the_best_settings_gain_is_compared_with_the_noise_between_seeds_too(gains, words):
    """The gain of half the rows perturbed over none, in points: of a seed, 5 points are one of 20 problems."""
    evidence = curve_evidence(["one"])
    scores = [replace(one, seed=seed) for one in evidence.book._scores.values() for seed in (42, 43, 44)]
    test, rates = ("humaneval", "typos"), {}
    for seed, gain in zip((42, 43, 44), gains, strict=True):
        for cell, by_test in evidence.rates.items():
            passed = 6 + gain // 5 if cell.training_set == "half" else 6
            own = {f"t{t:02}": float(t < passed) for t in range(20)}
            rates[replace(cell, seed=seed)] = {**by_test, test: replace(by_test[test], rates=own)}
    (table,) = EXHIBITS["figure-3"].draw(Evidence(ScoreBook.of(scores, CURVES), rates)).tables
    note = next(row for row in table.rows if row.labels[:2] == ("one · seed 42", "typos")).cells[-1].note
    mean = sum(gains) / 3
    assert note.startswith("50 % is +35.0 points from 0 %") and f"over 3 seeds +{mean:.1f}, {words} noise: 2 SD" in note
    assert "between 3 seeds" in note


def test_beside_an_rd_stand_the_perturbed_pass_rate_and_its_difference():
    drawn = EXHIBITS["figure-4"].draw(curve_evidence())
    assert [labels[1:] for labels in cells(drawn.tables[0])][:3] == [
        ("typos", "RD (%)"), ("typos", "pass@1 (%)"), ("typos", "difference (points)"),
    ]  # fmt: skip
    (line,) = drawn.figures[0].panels[0].lines
    assert line.points[0].value == pytest.approx(50)


def test_steps_stand_beside_sizes():
    steps = [ReportedTraining("one", "quarter", "full", 42, 7, 0, {}, 250, (), 0.1)]
    drawn = EXHIBITS["figure-5"].draw(replace(curve_evidence(), trainings=steps))
    assert [tick.label for tick in drawn.figures[0].panels[0].ticks] == ["×0.25\n250", "×1", "×2"]
    assert list(cells(drawn.tables[0])["one", "", "optimizer steps"].values())[:2] == ["250", ""]


def test_draws_without_a_number_are_counted_and_failed_settings_say_so():
    evidence = curve_evidence(("one",))
    scores = [one for one in evidence.book._scores.values() if one.training_set not in ("some-c", "half")]
    failures = [Failure("one", "full", "half", 42, "boom")]
    (table,) = EXHIBITS["figure-3"].draw(Evidence(ScoreBook.of(scores, CURVES, failures))).tables
    row = cells(table)["one", "clean", "pass@1 (%)"]
    assert (row["perturbed rows 10 %"], row["perturbed rows 50 %"]) == ("57.5", "failed")
    assert table.footnotes == ("2 of 3 draws have a number",)


def test_without_verdicts_by_problem_no_setting_is_called_the_best():
    (table,) = EXHIBITS["figure-3"].draw(replace(curve_evidence(), rates={})).tables
    assert "best" not in [column.name for column in table.columns] and "Best" not in table.caption


@pytest.mark.parametrize(("id", "reason"), [("figure-3", "only a part is perturbed"), ("figure-5", "number of rows")])
def test_a_sweep_without_ratios_or_sizes_has_no_curve(id, reason):
    with pytest.raises(NothingToDraw, match=reason):
        EXHIBITS[id].draw(curve_evidence(rows={name: RowChoice() for name in CURVES.rows}))


def test_an_svg_has_its_words_as_text_and_a_pdf_no_date_and_both_are_the_same_each_time():
    (figure,) = EXHIBITS["figure-3"].draw(curve_evidence()).figures
    svg, pdf = (figure.render(format) for format in ("svg", "pdf"))
    assert (svg, pdf) == (figure.render("svg"), figure.render("pdf"))
    nodes = [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    texts = {"".join(node.itertext()).strip() for node in nodes}
    assert {"one", "two", "clean prompts", "pass@1, %", "perturbed training rows, %", "0", "10", "100"} <= texts
    assert any(text.startswith("best on typos: 50 % [") for text in texts)
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf
    with pytest.raises(UnknownName, match="'pgn'"):
        figure.render("pgn")
