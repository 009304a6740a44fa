"""Scores by programming language, beside the language's share of the training rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence, NothingToDraw
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.exhibits.scores.grid import ScoreGrid
from raysweep.analysis.page.report import row_blocks
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.sweep.report.languages import language_shares
from tests.analysis.exhibits.examples import EXHIBITS, drawing, score

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


def evidence(scores=SCORES, **order: object) -> Evidence:
    names = replace(ORDER, **order)
    return Evidence(ScoreFrame.of([*scores, *language_shares(scores, names, ROWS)], names))


CASES = {
    "two languages": evidence(),
    "no perturbations": evidence(
        [one for one in SCORES if one.perturbation == "clean"], perturbations=("clean",), mixes=()
    ),
    "two recipes": evidence([*SCORES, *(replace(one, recipe="lora") for one in SCORES if one.training_set == "clean")]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_language_has_its_scores_beside_its_share_of_the_rows(case, snapshot):
    assert drawing(EXHIBITS["languages"].draw(CASES[case])) == snapshot


def test_the_number_of_training_rows_is_not_said_to_be_one_of_problems():
    shares = {"id": "mine", "title": "Mine, {language}", "rows": ["model"], "columns": ["quantity"],
              "training_sets": ["mix_all"], "test_sets": ["clean"], "quantities": {"rows in language": 1}}  # fmt: skip
    alone = ScoreGrid.model_validate(shares).draw(evidence()).tables
    assert [(table.title, table.problems) for table in alone] == [
        ("Mine, Java, java", "n = 4 training rows"),
        ("Mine, Python, humaneval", "n = 4 training rows"),
    ]
    (table, _) = (
        ScoreGrid.model_validate({**shares, "quantities": {"rows in language": 1, "pass@1": 1}})
        .draw(evidence([replace(one, n=4) for one in SCORES]))
        .tables
    )
    assert table.problems == "" and [table.size(cell) for cell in table.rows[0].cells] == [
        "n = 4 training rows",
        "n = 4",
    ]
    assert {block.size for block in row_blocks(replace(table, stub=("model", "x")))} == {""}


def test_a_model_without_a_score_of_the_table_has_no_row_and_a_sweep_of_failed_models_no_table():
    elsewhere = [replace(one, model="two", perturbation="C1") for one in SCORES if one.metric == "pass@1"]
    order = {"models": ("one", "two"), "perturbations": ("clean", "mix_all", "C1")}
    (table,) = EXHIBITS["languages"].draw(evidence([*SCORES, *elsewhere], **order)).tables
    assert {row.labels[2] for row in table.rows} == {"one"}
    failures = [Failure("one", "none", "base", 42, "boom"), Failure("one", "full", "clean", 42, "boom")]
    with pytest.raises(NothingToDraw, match="no model has rows in language or pass@1"):
        EXHIBITS["languages"].draw(Evidence(ScoreFrame.of([], ORDER, failures)))


def test_a_sweep_in_one_language_has_no_such_table():
    drawn = draw([EXHIBITS["languages"]], evidence(languages={"java": "java", "humaneval": "java"}))
    assert [one.why for one in drawn.left_out] == ["its problems are all in one language"]
