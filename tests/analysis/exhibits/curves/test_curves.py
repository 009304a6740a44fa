"""Curves along ratios and sizes: points, draws, the hollow point, the best setting, and the figure's files."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.curves.settings import curve_of
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import RowChoice
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.errors import UnknownName
from tests.analysis.exhibits.examples import CURVES, EXHIBITS, curve_evidence, drawing


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


def few_settings() -> Evidence:
    """A curve of two settings only, whose clean scores tie."""
    evidence = curve_evidence()
    few = {name: rows for name, rows in CURVES.rows.items() if name in ("clean", "some-a", "some-b", "some-c")}
    order = replace(CURVES, rows=few, training_sets=tuple(few))
    scores = [score for score in evidence.frame.scores() if score.training_set in few]
    return Evidence(ScoreFrame.of(scores, order), evidence.rates)


def lacking() -> Evidence:
    """One draw of three has no number, and a setting failed."""
    scores = [one for one in curve_evidence(["one"]).frame.scores() if one.training_set not in ("some-c", "half")]
    return Evidence(ScoreFrame.of(scores, CURVES, [Failure("one", "full", "half", 42, "boom")]))


STEPS = [ReportedTraining("one", "quarter", "full", 42, 7, 0, {}, 250, (), 0.1)]
CASES = {
    "ratios, with draws": ("figure-3", curve_evidence()),
    "RD beside the perturbed pass rate": ("figure-4", curve_evidence(["one"])),
    "sizes, one of another ratio, with steps": ("figure-5", replace(curve_evidence(["one"]), trainings=STEPS)),
    "two settings": ("figure-3", few_settings()),
    "no number and no verdicts by problem": ("figure-3", lacking()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_curve_has_its_points_and_its_table_says_which_setting_is_best(case, snapshot):
    id, evidence = CASES[case]
    assert drawing(EXHIBITS[id].draw(evidence)) == snapshot


def test_points_are_means_over_draws_with_their_range():
    (figure,) = EXHIBITS["figure-3"].draw(curve_evidence()).figures
    _, perturbed = figure.panels[0].lines
    assert [point.value for point in perturbed.points] == pytest.approx([30, 45, 65, 55, 50])
    assert (perturbed.points[1].low, perturbed.points[1].high) == (40, 50)


@pytest.mark.parametrize(("gains", "words"), [((35, 30, 40), "beyond"), ((35, -20, 15), "within")])
def test_the_best_settings_gain_is_compared_with_the_noise_between_seeds_too(gains, words):
    """The gain of half the rows perturbed over none, in points: of a seed, 5 points are one of 20 problems."""
    evidence = curve_evidence(["one"])
    scores = [replace(one, seed=seed) for one in evidence.frame.scores() for seed in (42, 43, 44)]
    test, rates = ("humaneval", "typos"), {}
    for seed, gain in zip((42, 43, 44), gains, strict=True):
        for cell, by_test in evidence.rates.items():
            passed = 6 + gain // 5 if cell.training_set == "half" else 6
            own = {f"t{t:02}": float(t < passed) for t in range(20)}
            rates[replace(cell, seed=seed)] = {**by_test, test: replace(by_test[test], rates=own)}
    (table,) = EXHIBITS["figure-3"].draw(Evidence(ScoreFrame.of(scores, CURVES), rates)).tables
    note = next(row for row in table.rows if row.labels[:2] == ("one · seed 42", "typos")).cells[-1].note
    mean = sum(gains) / 3
    assert note.startswith("50 % is +35.0 points from 0 %") and f"over 3 seeds +{mean:.1f}, {words} noise: 2 SD" in note
    assert "between 3 seeds" in note


@pytest.mark.slow
def test_an_svg_has_its_words_as_text_and_a_pdf_no_date_and_both_are_the_same_each_time():
    (figure,) = EXHIBITS["figure-3"].draw(curve_evidence(["one"])).figures
    svg, pdf = (figure.render(format) for format in ("svg", "pdf"))
    assert (svg, pdf) == (figure.render("svg"), figure.render("pdf"))
    nodes = [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    texts = {"".join(node.itertext()).strip() for node in nodes}
    assert {"one", "clean prompts", "pass@1, %", "perturbed training rows, %", "0", "10", "100"} <= texts
    assert any(text.startswith("best on typos: 50 % [") for text in texts)
    assert pdf.startswith(b"%PDF") and b"CreationDate" not in pdf
    with pytest.raises(UnknownName, match="'pgn'"):
        figure.render("pgn")
