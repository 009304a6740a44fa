"""Scores by programming language, beside the language's share of the training rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.tables.score_book import Order, ScoreBook
from tests.analysis.exhibits.examples import EXHIBITS, cells, score

ORDER = Order(
    models=("one",),
    training_sets=("base", "clean", "mix_all"),
    problem_sets=("java", "humaneval"),
    perturbations=("clean", "mix_all"),
    mixes=("mix_all",),
    trained_with={"clean": "clean", "mix_all": "mix_all"},
    languages={"java": "java", "humaneval": "python"},
)
SCORES = [
    score("one", training_set, test, metric, value, problem_set=problems)
    for problems, value in (("java", 0.25), ("humaneval", 0.5))
    for training_set in ("base", "clean", "mix_all")
    for test, metric in (("clean", "pass@1"), ("mix_all", "pass@1"), ("mix_all", "RD"), ("mix_all", "drop"))
]
ROWS = {"clean": {"python": 56, "Java": 14, "java": 1, "": 29}, "mix_all": {"py": 4}}


def evidence(**order: object) -> Evidence:
    return Evidence(ScoreBook.of(SCORES, replace(ORDER, **order)), languages=ROWS)


def test_each_language_has_its_scores_beside_its_share_of_the_rows():
    (table,) = EXHIBITS["languages"].draw(evidence()).tables
    rows = cells(table)
    assert list(rows) == [
        (language, problems, "one", training_set)
        for language, problems in (("Java", "java"), ("Python", "humaneval"))
        for training_set in ("base", "clean", "mix_all")
    ]
    shares = [row["rows (%)"] for row in rows.values()]
    assert shares == ["–", "21.1", "0.0", "–", "78.9", "100.0"]
    notes = [row.cells[0].note for row in table.rows]
    assert notes == ["not fine-tuned", "of 29 of the 100 rows the language is not known", ""] * 2
    assert rows["Java", "java", "one", "clean"]["clean pass@1 (%)"] == "25.0"
    assert rows["Python", "humaneval", "one", "mix_all"]["RD (%)"] == "50.0"


def test_languages_are_named_as_texts_write_them():
    (table,) = EXHIBITS["languages"].draw(evidence(languages={"java": "cpp", "humaneval": "python"})).tables
    assert {row[0] for row in cells(table)} == {"C++", "Python"}


def test_a_share_that_is_not_known_has_a_reason():
    found = EXHIBITS["languages"].draw(Evidence(ScoreBook.of(SCORES, ORDER)))
    notes = [row.cells[0].note for row in found.tables[0].rows]
    assert notes[:2] == ["not fine-tuned", "the store has no such training set"]


def test_rows_that_say_no_language_have_no_share():
    found = EXHIBITS["languages"].draw(replace(evidence(), languages={**ROWS, "clean": {"": 72}}))
    cell = found.tables[0].rows[1].cells[0]
    assert (cell.text, cell.note) == ("–", "no row says its language (72 rows)")


def test_a_sweep_without_perturbations_has_clean_scores_alone():
    order = replace(ORDER, perturbations=("clean",), mixes=())
    scores = [score for score in SCORES if score.perturbation == "clean"]
    (table,) = EXHIBITS["languages"].draw(Evidence(ScoreBook.of(scores, order), languages=ROWS)).tables
    assert [column.name for column in table.columns] == ["rows (%)", "clean pass@1 (%)"]
    assert cells(table)["Python", "humaneval", "one", "clean"]["clean pass@1 (%)"] == "50.0"
    assert "perturb" not in table.caption and "clean prompts. Rows: " in table.caption


def test_a_sweep_in_one_language_has_no_such_table():
    with pytest.raises(NothingToDraw, match="its problems are all in one language"):
        EXHIBITS["languages"].draw(evidence(languages={"java": "java", "humaneval": "java"}))
