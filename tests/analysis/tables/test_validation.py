from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.tables.objective_numbers import ReportedNumber
from raysweep.analysis.tables.trainings import training_tables
from raysweep.analysis.tables.validation import ReportedValidation
from tests.analysis.examples import ORDER, shown
from tests.analysis.tables.test_trainings import training

MEASURED = ReportedValidation(
    4,
    cross_entropy=((0, 1.25), (9, 0.5)),
    preferred=((0, 0.5), (9, 0.75)),
    margin=((0, -0.5), (9, 2.0)),
    pairs="a",
    margins_before=(-1.0, 0.0, 0.0, 1.0),
    margins=(1.0, 2.0, 3.0, 2.0),
)
DROPPED = {"over 64 tokens": 2, "rejected response over 64 tokens": 1}
EPOCHS = replace(MEASURED, cross_entropy=((0, 1.25), (3, 0.25), (9, 0.5)), kept=3, preferred=(), margin=())
WEIGHT = ReportedNumber("mean weight W", "", ((1, 1.25), (9, 1.5)), 12.0, 8.0)
ONE_SIDE = ReportedNumber("rows with marks on one side only", "rows", ((1, 0.0), (9, 0.5)), 2.0, 8.0)
NEVER = ReportedNumber("mean weight W", "", (), 0.0, 0.0)
CASES = {
    "before and after training": [training(validation=MEASURED), training()],
    "after training it is the epoch that is the model": [training(validation=EPOCHS)],
    "rows left out": [training(validation=MEASURED), training(validation=replace(MEASURED, dropped=DROPPED))],
    "no pairs, and nothing before": [training(validation=ReportedValidation(4, ((9, 0.5),)))],
    "no finite number": [training(validation=ReportedValidation(4, ((0, 1.25), (9, math.nan))))],
    "numbers of an objective": [training(numbers=(WEIGHT, ONE_SIDE))],
    "a number that was never there": [training(numbers=(NEVER,))],
}


@pytest.mark.parametrize("case", CASES)
def test_measures_of_validation_rows_and_of_objectives_have_a_table_each(case, snapshot):
    assert shown(*training_tables(CASES[case], ORDER)[1:]) == snapshot


def test_a_training_with_nothing_more_has_one_table():
    assert [table.title for table in training_tables([training()], ORDER)] == ["Trainings"]
    assert training_tables([], ORDER) == []


def test_several_seeds_have_one_row_in_each_table(snapshot):
    other = replace(MEASURED, cross_entropy=((0, 1.25), (6, 2.0), (9, 1.0)), margin=((0, -0.5), (9, -2.0)))
    half = replace(ONE_SIDE, points=((1, 0.5), (9, 0.5)), total=4.0)
    both = [
        training(seed=seed, validation=measured, numbers=(WEIGHT, number))
        for seed, measured, number in ((42, MEASURED, ONE_SIDE), (43, other, half))
    ]
    assert shown(*training_tables(both, ORDER, over_seeds=True)[1:]) == snapshot
    assert [len(table.rows) for table in training_tables(both, ORDER)] == [2, 2, 4]
