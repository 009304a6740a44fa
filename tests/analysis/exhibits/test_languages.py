"""Scores by programming language, beside the language's share of the training rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order
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


def evidence(**order: object) -> Evidence:
    return Evidence(ScoreFrame.of(SCORES, replace(ORDER, **order)), languages=ROWS)


CLEAN = replace(ORDER, perturbations=("clean",), mixes=())
CASES = {
    "two languages": evidence(),
    "as texts write them": evidence(languages={"java": "cpp", "humaneval": "python"}),
    "no such training set in the store": Evidence(ScoreFrame.of(SCORES, ORDER)),
    "rows that say no language": replace(evidence(), languages={**ROWS, "clean": {"": 72}}),
    "no perturbations": Evidence(
        ScoreFrame.of([one for one in SCORES if one.perturbation == "clean"], CLEAN), languages=ROWS
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_language_has_its_scores_beside_its_share_of_the_rows(case, snapshot):
    assert drawing(EXHIBITS["languages"].draw(CASES[case])) == snapshot


def test_a_share_is_of_the_rows_whose_language_is_known():
    (table,) = EXHIBITS["languages"].draw(evidence()).tables
    shares = [row.cells[0].value for row in table.rows if row.labels[-1] != "base"]
    assert shares == pytest.approx([100 * 15 / 71, 0, 100 * 56 / 71, 100])


def test_a_sweep_in_one_language_has_no_such_table():
    drawn = draw([EXHIBITS["languages"]], evidence(languages={"java": "java", "humaneval": "java"}))
    assert [one.why for one in drawn.left_out] == ["its problems are all in one language"]
