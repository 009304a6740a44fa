"""Scores by programming language, beside the language's share of the training rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.catalogue import draw
from raysweep.analysis.tables.frame import ScoreFrame
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


def test_a_sweep_in_one_language_has_no_such_table():
    drawn = draw([EXHIBITS["languages"]], evidence(languages={"java": "java", "humaneval": "java"}))
    assert [one.why for one in drawn.left_out] == ["its problems are all in one language"]
