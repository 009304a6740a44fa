"""`keep: best`: the epoch with the lowest validation loss is the model, whatever happens to the training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import HopelessError, UsageError
from raysweep.trainers.base import TrainJob
from raysweep.trainers.loop import TrainingLoop
from tests.models.tiny import cases
from tests.trainers.conftest import difference, train, train_and_resume
from tests.trainers.test_distributed import COUNTS, train_together
from tests.trainers.test_validation import loss_of_single_rows, validated

pytestmark = pytest.mark.slow

Jobs = Callable[..., TrainJob]
OVERFITS = {"steps": None, "epochs": 6, "rows": 16, "schedule": "constant"}
"""Six epochs of two steps."""
RATES = {"full": 1e-2, "lora": 0.2, "ia3": 1.0}
"""So high, beside validation rows with an answer that is never trained on, that a middle epoch is the best."""


def job_of(make_job: Jobs, folder: Path, name: str = "best", **fields: Any) -> TrainJob:
    lr = RATES[fields.get("trainer", "full")]
    job = validated(
        make_job("llama", name, **{**OVERFITS, "lr": lr, "keep": "best", **fields}), folder, output="    pass\n"
    )
    return dataclasses.replace(job, out=folder / name)


@pytest.mark.parametrize("trainer", cases(RATES, ("full", "lora")))
def test_the_model_is_that_of_the_epoch_with_the_lowest_loss(make_job, tmp_path, trainer):
    job = job_of(make_job, tmp_path, trainer=trainer)
    counts = train(job)
    losses = dict(map(tuple, counts["validation_losses"]))
    assert len(losses) == 6 and counts["kept_step"] == min(losses, key=lambda step: losses[step])
    assert 0 < counts["kept_step"] < 12, "the settings are meant to overfit"
    last = job_of(make_job, tmp_path, "last", trainer=trainer, keep="last")
    of_last = train(last)
    assert of_last["validation_losses"] == counts["validation_losses"] and "kept_step" not in of_last
    short = job_of(make_job, tmp_path, "short", trainer=trainer, keep="last", epochs=counts["kept_step"] / 2)
    train(short)
    assert difference(job.out, short.out) == 0, "a constant rate makes the short one equal"
    if trainer == "full":
        assert losses[counts["kept_step"]] == pytest.approx(loss_of_single_rows(job), rel=1e-5)


DEATHS = [("full", 3), ("full", 6), ("full", 9), ("lora", 3), ("lora", 6), ("lora", 9)]


@pytest.mark.parametrize(("trainer", "die_after"), cases(DEATHS, DEATHS[:1]))
def test_a_killed_training_makes_the_same_choice(make_job, tmp_path, trainer, die_after):
    train_and_resume(job_of(make_job, tmp_path, "whole", trainer=trainer, checkpoint_every=3), tmp_path, die_after)


def test_an_epoch_whose_validation_was_cut_off_counts_too(make_job, tmp_path):
    """A checkpoint is saved before the best epoch's validation, and the machine goes."""
    whole = job_of(make_job, tmp_path, "whole", checkpoint_every=100)
    kept = train(whole)["kept_step"]
    train_and_resume(whole, tmp_path, kept, asked_for=True)


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["ddp", "zero2"])
def test_two_workers_choose_as_one_does(make_job, tmp_path, parallel):
    """In small, with one worker: test_the_model_is_that_of_the_epoch_with_the_lowest_loss."""
    if parallel != "ddp":
        pytest.importorskip("deepspeed")
    alone = job_of(make_job, tmp_path, "alone")
    counts = train(alone)
    recipe = dataclasses.replace(alone.recipe, workers=2, parallel=parallel)
    both = dataclasses.replace(alone, out=tmp_path / "both", recipe=recipe, checkpoint_every=9)
    train_together(2, [(both, 9)], tmp_path / "work")
    theirs = json.loads((both.out / COUNTS).read_text())
    assert (theirs["kept_step"], theirs["resumed_from"]) == (counts["kept_step"], 9)
    assert difference(alone.out, both.out) < 2e-4


def test_the_margins_are_those_of_the_model(make_job, tmp_path):
    best = job_of(make_job, tmp_path)
    best = validated(best, tmp_path, output="    pass\n", rejected="    return xs\n")
    counts = train(best)
    margins, curve = counts["held_out"]["margins"], dict(counts["held_out"]["curves"]["validation_margin"])
    assert sum(margins) / len(margins) == pytest.approx(curve[counts["kept_step"]], abs=1e-3)


def test_without_validation_rows_there_is_nothing_to_choose_by(make_job):
    with pytest.raises(UsageError, match="`keep: best` chooses an epoch by validation rows, and there are none"):
        train(make_job("llama", keep="best"))


def test_losses_that_are_no_numbers_choose_no_epoch(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingLoop, "_validate", lambda self, done: float("nan"))
    with pytest.raises(HopelessError, match="llama C2: no epoch has a finite validation loss"):
        train(job_of(make_job, tmp_path))
