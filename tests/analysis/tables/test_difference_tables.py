"""Tables of differences: the baseline, the rows, and what stands where."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.records import Difference
from tests.analysis.examples import ORDER, scores

BOOK = ScoreBook.of(scores(), ORDER)


def difference(training_set: str, against: str, perturbation: str, metric: str, value: float) -> Difference:
    ends = (value - 0.05, value + 0.05)
    return Difference("llama", "full", training_set, 42, against, "minicode", perturbation, metric, value, *ends, 240)


DIFFERENCES = [
    difference("clean", "base", "clean", "pass@1_difference", 0.033),
    difference("C", "base", "clean", "pass@1_difference", 0.0),
    difference("C", "clean", "clean", "pass@1_difference", -0.033),
    difference("C", "clean", "C3", "pass@1_difference", 0.309),
    difference("C", "clean", "C3", "RD_change", -0.37),
    difference("C", "clean", "C3", "RD_change_perturbed", -0.35),
    difference("C", "clean", "C3", "RD_change_clean", math.nan),
]


def test_the_baseline_is_clean_fine_tuning_and_rd_stands_beside_pass_at_1():
    (table,) = difference_tables(DIFFERENCES, BOOK)
    assert table.title == "Against fine-tuning on clean prompts, minicode"
    assert [column.name for column in table.columns] == ["C"]
    assert [row.labels for row in table.rows] == [
        ("clean", "llama", "pass@1 (points)"),
        ("C3", "llama", "pass@1 (points)"),
        ("C3", "llama", "RD (points)"),
        ("C3", "llama", "RD, from perturbed pass@1 (points)"),
        ("C3", "llama", "RD, from clean pass@1 (points)"),
    ]
    assert [row.cells[0].text for row in table.rows] == ["−3.3", "+30.9", "−37.0", "−35.0", "–"]
    assert table.rows[0].cells[0].interval == "[−8.3, +1.7]"


def test_without_models_fine_tuned_on_clean_prompts_the_baseline_is_the_base_model():
    (table,) = difference_tables([one for one in DIFFERENCES if one.against == "base"], BOOK)
    assert table.title == "Against the base model, minicode"
    assert [column.name for column in table.columns] == ["clean", "C"]


def test_p_values_stand_below_the_difference_raw_and_adjusted_over_the_table():
    raw = {("C", "clean"): 0.01, ("C", "C3"): 0.04, ("C1", "C3"): 0.03}
    tested = [
        replace(difference(name, "clean", test, metric, p), low=math.nan, high=math.nan)
        for metric in ("mcnemar_p", "bootstrap_p")
        for (name, test), p in raw.items()
    ]
    others = [
        difference("C", "base", "C3", "mcnemar_p", 0.5),
        difference("C1", "clean", "C3", "pass@1_difference", 0.1),
    ]
    (table,) = difference_tables([*DIFFERENCES, *tested, *others], BOOK)
    names = [column.name for column in table.columns]
    found = {row.labels: {name: cell.value for name, cell in zip(names, row.cells, strict=True)} for row in table.rows}
    for test in ("McNemar", "bootstrap"):
        assert found["clean", "llama", f"p ({test})"]["C"] == 0.01
        assert found["clean", "llama", f"p ({test}, Holm)"]["C"] == pytest.approx(0.03)
        assert found["C3", "llama", f"p ({test})"] == {"C": 0.04, "C1": 0.03}
        assert found["C3", "llama", f"p ({test}, Holm)"] == pytest.approx({"C": 0.06, "C1": 0.06})
    headings = [labels[2] for labels in found if labels[0] == "C3"]
    assert headings[:3] == ["pass@1 (points)", "p (McNemar)", "p (McNemar, Holm)"] and headings[5] == "RD (points)"


def test_without_differences_there_is_no_table():
    assert difference_tables([], BOOK) == []
