from __future__ import annotations

import math
from dataclasses import replace

from raysweep.analysis.tables.objective_numbers import ReportedNumber
from raysweep.analysis.tables.trainings import training_tables
from raysweep.analysis.tables.validation import ReportedValidation
from tests.analysis.examples import ORDER
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
WEIGHT = ReportedNumber("mean weight W", "", ((1, 1.25), (9, 1.5)), 12.0, 8.0)
ONE_SIDE = ReportedNumber("rows with marks on one side only", "rows", ((1, 0.0), (9, 0.5)), 2.0, 8.0)


def test_a_training_with_nothing_more_has_one_table():
    assert [table.title for table in training_tables([training()], ORDER)] == ["Trainings"]
    assert training_tables([], ORDER) == []


def test_measures_of_validation_rows_stand_before_and_after_training():
    _, table = training_tables([training(validation=MEASURED), training()], ORDER)
    assert [column.full_name for column in table.columns] == [
        "rows", "cross-entropy (nats) before", "cross-entropy (nats) after", "pairs", "reference preferred (%) before",
        "reference preferred (%) after", "margin (nats) before", "margin (nats) after",
    ]  # fmt: skip
    assert [cell.text for cell in table.rows[0].cells] == ["4", "1.25", "0.5", "4", "50", "75", "−0.5", "2"]
    assert table.rows[0].cells[-1].curve == ((0.0, -0.5), (9.0, 2.0)) and len(table.rows) == 1


def test_measures_after_training_are_those_of_the_epoch_that_is_the_model():
    measured = replace(MEASURED, cross_entropy=((0, 1.25), (3, 0.25), (9, 0.5)), kept=3, preferred=(), margin=())
    _, table = training_tables([training(validation=measured)], ORDER)
    assert [cell.text for cell in table.rows[0].cells] == ["4", "1.25", "0.25"]


def test_rows_that_were_not_measured_are_counted_with_their_reasons():
    dropped = {"over 64 tokens": 2, "rejected response over 64 tokens": 1}
    both = [training(validation=MEASURED), training(validation=replace(MEASURED, dropped=dropped))]
    _, table = training_tables(both, ORDER)
    assert [column.full_name for column in table.columns][:2] == ["rows", "left out"]
    assert [row.cells[1].text for row in table.rows] == ["0", "3"]
    assert table.footnotes == ("2 over 64 tokens, 1 rejected response over 64 tokens",)


def test_without_pairs_there_is_the_cross_entropy_alone():
    _, table = training_tables([training(validation=ReportedValidation(4, ((9, 0.5),)))], ORDER)
    assert [cell.text for cell in table.rows[0].cells] == ["4", "–", "0.5"]
    assert table.footnotes == ("this training did not measure it",)


def test_what_is_no_finite_number_is_told():
    measured = ReportedValidation(4, ((0, 1.25), (9, math.nan)))
    _, table = training_tables([training(validation=measured)], ORDER)
    assert [cell.text for cell in table.rows[0].cells] == ["4", "1.25", "–"]
    assert table.footnotes == ("the model's probabilities are no finite numbers",)


def test_numbers_of_an_objective_are_shown_with_their_words_counts_and_curves():
    _, table = training_tables([training(numbers=(WEIGHT, ONE_SIDE))], ORDER)
    assert [row.labels[-1] for row in table.rows] == ["mean weight W", "rows with marks on one side only"]
    assert [cell.text for cell in table.rows[0].cells] == ["1.25", "1.5", "1.5", ""]
    assert [cell.text for cell in table.rows[1].cells] == ["0 %", "50 %", "25 %", "2 of 8 rows"]
    assert table.rows[0].cells[0].curve == ((1.0, 1.25), (9.0, 1.5))


def test_what_was_never_there_has_no_number():
    _, table = training_tables([training(numbers=(ReportedNumber("mean weight W", "", (), 0.0, 0.0),))], ORDER)
    assert [cell.text for cell in table.rows[0].cells] == ["–", "–", "–", ""]


def test_several_seeds_have_one_row_in_each_table():
    other = replace(MEASURED, cross_entropy=((0, 1.25), (6, 2.0), (9, 1.0)), margin=((0, -0.5), (9, -2.0)))
    half = replace(ONE_SIDE, points=((1, 0.5), (9, 0.5)), total=4.0)
    both = [
        training(seed=seed, validation=measured, numbers=(WEIGHT, number))
        for seed, measured, number in ((42, MEASURED, ONE_SIDE), (43, other, half))
    ]
    _, validated, counted = training_tables(both, ORDER, over_seeds=True)
    (row,) = validated.rows
    assert [cell.text for cell in row.cells] == ["4", "1.25", "0.75", "4", "50", "75", "−0.5", "0"]
    assert (row.cells[2].spread, row.cells[2].curve) == ("SD 0.3536", ((0.0, 1.25), (9.0, 0.75)))
    assert [row.labels[-1] for row in counted.rows] == ["mean weight W", "rows with marks on one side only"]
    assert [cell.text for cell in counted.rows[1].cells] == ["25 %", "50 %", "37.5 %", "6 of 16 rows"]
    assert counted.rows[1].cells[2].spread == "SD 17.7" and "all seeds' together" in counted.caption
    assert [len(table.rows) for table in training_tables(both, ORDER)] == [2, 2, 4]
