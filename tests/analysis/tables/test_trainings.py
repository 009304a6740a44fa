from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raysweep.analysis.tables.trainings import ReportedNumber, ReportedTraining, ReportedValidation, training_tables
from tests.analysis.examples import ORDER, shown


def training(**fields: object) -> ReportedTraining:
    values = {
        "model": "llama", "training_set": "C", "recipe": "full", "seed": 42, "rows": 90, "dropped": 0, "reasons": {},
        "steps": 9, "losses": ((1, 3.0), (9, 0.5)), "final_loss": 0.5,
    }  # fmt: skip
    return ReportedTraining(**(values | fields))


def seeds_of(*seeds: dict[str, object]) -> list[ReportedTraining]:
    base = training(training_set="pre-training", recipe="scratch", seed=None)
    return [base, *(training(seed=seed, **fields) for seed, fields in enumerate(seeds, 42))]


EPOCHS = ((3, 0.5), (6, 0.75), (9, 0.625))
NO_LOSS = {"losses": (), "final_loss": math.nan}
TRAININGS = {
    "a loss that stays what it was, but of one step alone": [
        training(losses=((1, 3.0), (9, 3.001)), final_loss=3.001),
        training(),
        training(steps=1, losses=((1, 3.0),), final_loss=3.0),
    ],
    "a validation loss of one training": [training(validation_losses=((3, 0.75), (9, 0.625))), training()],
    "the model is that of an earlier epoch": [training(validation_losses=EPOCHS, kept=kept) for kept in (3, 9)],
    "dropped rows": [training(dropped=3, reasons={"over 64 tokens": 2, "no prompt": 1})],
    "truncated rows": [training(truncated=4), training()],
    "what an older version recorded": [
        training(dropped=3, losses=(), final_loss=0.25),
        training(rows=None, **NO_LOSS),
    ],
    "each seed": seeds_of({}, {}),
}
OVER_SEEDS = {
    "means and spread, and the base once": seeds_of({}, {"losses": ((1, 4.0), (9, 1.5)), "final_loss": 1.5}),
    "losses below 0": seeds_of(
        *({"losses": ((1, loss), (9, loss - 1)), "final_loss": loss - 1} for loss in (-0.5, -0.25))
    ),
    "counts that differ": seeds_of({"steps": 9}, {"steps": 12, "dropped": 3, "reasons": {"no prompt": 3}}),
    "a seed without a loss": seeds_of({}, NO_LOSS, {"final_loss": 1.5}),
}


@pytest.mark.parametrize("case", TRAININGS)
def test_trainings_have_rows_losses_and_footnotes(case, snapshot):
    assert shown(training_tables(TRAININGS[case], ORDER)[0]) == snapshot


@pytest.mark.parametrize("case", OVER_SEEDS)
def test_several_seeds_have_one_row(case, snapshot):
    assert shown(training_tables(OVER_SEEDS[case], ORDER, over_seeds=True)[0]) == snapshot


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
KEPT = replace(MEASURED, cross_entropy=((0, 1.25), (3, 0.25), (9, 0.5)), kept=3, preferred=(), margin=())
WEIGHT = ReportedNumber("mean weight W", "", ((1, 1.25), (9, 1.5)), 12.0, 8.0)
ONE_SIDE = ReportedNumber("rows with marks on one side only", "rows", ((1, 0.0), (9, 0.5)), 2.0, 8.0)
NEVER = ReportedNumber("mean weight W", "", (), 0.0, 0.0)
CASES = {
    "before and after training": [training(validation=MEASURED), training()],
    "after training it is the epoch that is the model": [training(validation=KEPT)],
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
