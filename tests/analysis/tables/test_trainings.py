from __future__ import annotations

import math

import pytest

from raysweep.analysis.tables.trainings import ReportedTraining, training_table
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
    assert shown(training_table(TRAININGS[case], ORDER)) == snapshot


@pytest.mark.parametrize("case", OVER_SEEDS)
def test_several_seeds_have_one_row(case, snapshot):
    assert shown(training_table(OVER_SEEDS[case], ORDER, over_seeds=True)) == snapshot
