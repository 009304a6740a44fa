"""Tables of differences: the baseline, the rows, and what stands where."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import RowChoice
from raysweep.analysis.tables.table import to_markdown
from raysweep.records import Difference
from tests.analysis.examples import ORDER, scores, with_differences

FRAME = ScoreFrame.of(scores(), ORDER)


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


@pytest.mark.parametrize("differences", [DIFFERENCES, DIFFERENCES[:2]], ids=["after clean fine-tuning", "to the base"])
def test_the_baseline_is_clean_fine_tuning_if_there_is_any_and_rd_stands_beside_pass_at_1(differences, snapshot):
    (table,) = difference_tables(with_differences(FRAME, differences))
    assert to_markdown(table) == snapshot


def test_p_values_stand_below_the_difference_raw_and_adjusted_over_the_table():
    raw = {("C", "clean"): 0.01, ("C", "C3"): 0.04, ("C1", "C3"): 0.03}
    tested = [
        replace(difference(name, "clean", test, "pass@1_difference_p", p), low=math.nan, high=math.nan)
        for (name, test), p in raw.items()
    ]
    others = [
        difference("C", "base", "C3", "pass@1_difference_p", 0.5),
        difference("C1", "clean", "C3", "pass@1_difference", 0.1),
    ]
    (table,) = difference_tables(with_differences(FRAME, [*DIFFERENCES, *tested, *others]))
    names = [column.name for column in table.columns]
    found = {row.labels: {name: cell.value for name, cell in zip(names, row.cells, strict=True)} for row in table.rows}
    assert found["clean", "llama", "p"]["C"] == 0.01
    assert found["clean", "llama", "p (Holm)"]["C"] == pytest.approx(0.03)
    assert found["C3", "llama", "p"] == {"C": 0.04, "C1": 0.03}
    assert found["C3", "llama", "p (Holm)"] == pytest.approx({"C": 0.06, "C1": 0.06})
    headings = [labels[2] for labels in found if labels[0] == "C3"]
    assert headings[:4] == ["pass@1 (points)", "p", "p (Holm)", "RD (points)"]
    assert "this table's 3 tests, a family: what fine-tuning on each perturbation changes" in table.caption


def test_each_question_has_a_table_and_p_is_adjusted_over_its_tests():
    sets = ("clean", "C", "half", "half-twice")
    rows = {"half": RowChoice(0.5), "half-twice": RowChoice(0.5, 2.0)}
    tested = [difference(name, "clean", "C3", "pass@1_difference_p", 0.03) for name in sets[1:]]
    first, last = difference_tables(with_differences(book_of(sets, rows), tested))
    assert first.title == "Against fine-tuning on clean prompts by perturbation, minicode"
    assert last.title == "Against fine-tuning on clean prompts by number of rows, minicode"
    assert [column.name for column in last.columns] == ["half", "half-twice"], "the share at both sizes"
    of_first, of_last = (
        [[cell.value for cell in row.cells] for row in table.rows if row.labels[2] in ("p", "p (Holm)")]
        for table in (first, last)
    )
    assert of_last == [[0.03, 0.03], [0.12, 0.12]] and of_first == [[0.03], [0.06]], "twice, for there are two families"
    assert "this table's 1 test, a family: what fine-tuning on each perturbation changes" in first.caption
    assert "this table's 2 tests, a family: what the number of rows changes (RQ3 of the study)" in last.caption
    assert last.caption.endswith("on each test set; and times 2, the families on these problems.")
    by_share, _ = difference_tables(
        with_differences(book_of(sets, {**rows, "half-twice": RowChoice(0.6, 2.0)}), tested)
    )[1:]
    assert by_share.title == "Against fine-tuning on clean prompts by share of perturbed rows, minicode"


def book_of(sets: tuple[str, ...], rows: dict[str, RowChoice]) -> ScoreFrame:
    return ScoreFrame.of(scores(), replace(ORDER, training_sets=("base", *sets), rows=rows))


def test_without_differences_there_is_no_table():
    assert difference_tables(with_differences(FRAME, [])) == []
