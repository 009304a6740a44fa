"""The loss of rows that are not trained on: what it is, and that it changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.errors import UsageError
from raysweep.models.loading import load_model
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import read_rows, write_rows
from raysweep.trainers import loop as loop_module
from raysweep.trainers import reports
from raysweep.trainers.base import Recipe, TrainJob
from raysweep.trainers.objectives.responses import encode_response
from raysweep.trainers.validation import CROSS_ENTROPY, MARGIN, PREFERRED, HeldOut, hold_out
from tests.clock import Clock
from tests.services import FolderServices
from tests.tiny import training_rows
from tests.trainers.conftest import difference, encoded, own_loss, train, train_and_resume, with_rejected

pytestmark = pytest.mark.slow


def validated(job: TrainJob, folder: Path, **changes: str) -> TrainJob:
    """A job with 5 validation rows, in a folder for its model."""
    rows = [dataclasses.replace(row, row_id=f"v{row.row_id}", **changes) for row in training_rows(45)[40:]]
    write_rows(folder / "validation.parquet", TrainingRow, rows, ["row_id"])
    return dataclasses.replace(job, validation=folder / "validation.parquet")


def loss_of_single_rows(job: TrainJob) -> float:
    """The mean loss of the trained model on the validation rows, by transformers' own loss."""
    model, data = encoded(dataclasses.replace(job, base=dataclasses.replace(job.base, location=str(job.out))))
    rows = data.validation.rows
    with torch.no_grad():
        return sum(float(own_loss(model, row)) for row in rows) / len(rows)


@pytest.mark.parametrize("parallel", ["ddp", pytest.param("zero2", marks=pytest.mark.long)])
def test_each_epoch_ends_with_the_mean_loss_of_the_rows(make_job, tmp_path, parallel):
    if parallel != "ddp":
        pytest.importorskip("deepspeed")
    job = validated(make_job("llama", steps=None, epochs=2.4, parallel=parallel), tmp_path)  # 12 steps, 5 an epoch
    services = FolderServices()
    counts = train(job, services)
    assert [step for step, _ in counts["validation_losses"]] == [5, 10, 12]
    assert counts["validation_rows"] == 5 and counts["validation_dropped"] == {}
    assert counts["validation_losses"][-1][1] == pytest.approx(loss_of_single_rows(job), rel=1e-5)
    told = {report.step: report.validation_loss for report in services.reports if report.validation_loss is not None}
    assert [[step, loss] for step, loss in told.items()] == counts["validation_losses"]


@pytest.mark.parametrize("trainer", [pytest.param("full", marks=pytest.mark.long), "lora"])  # LoRA has dropout
def test_it_changes_no_weight_and_is_resumed(make_job, tmp_path, trainer):
    plain = make_job("llama", "plain", trainer=trainer, steps=10, checkpoint_every=6, rows=32)  # 4 steps an epoch
    train(plain, FolderServices(tmp_path / "plain-state"))
    job = validated(dataclasses.replace(plain, out=tmp_path / "with"), tmp_path, rejected="    pass\n")
    counts = train_and_resume(job, tmp_path, 6)
    assert counts["held_out"]["pairs"] and [step for step, _ in counts["validation_losses"]] == [4, 8, 10]
    assert difference(plain.out, job.out) == 0


def paired(job: TrainJob, folder: Path) -> TrainJob:
    """A job with 5 validation rows, of which 4 have a rejected response, and training rows that have one."""
    job = with_rejected(validated(job, folder))
    first, *others = (dataclasses.replace(row, row_id=f"v{row.row_id}") for row in training_rows(45)[40:])
    rows = [first, *(dataclasses.replace(row, rejected=row.output.replace("x", "xs")) for row in others)]
    write_rows(folder / "validation.parquet", TrainingRow, rows, ["row_id"])
    return dataclasses.replace(job, validation=folder / "validation.parquet")


def by_single_texts(location: Path, folder: Path, recipe: Recipe) -> tuple[float, list[float]]:
    """The cross-entropy and the margins of the validation rows, text by text."""
    model, tokenizer = load_model(ModelRef(str(location)))
    total, tokens, margins = 0.0, 0, []
    for row in read_rows(folder / "validation.parquet", TrainingRow):
        likely = []
        for text in filter(None, (row.output, row.rejected)):
            encoded = encode_response(row, text, tokenizer, recipe)
            ids = torch.tensor(encoded.ids)
            with torch.no_grad():
                logs = model(input_ids=ids[None]).logits[0, :-1].double().log_softmax(-1)
            likely.append(float(logs[torch.arange(len(ids) - 1), ids[1:]][encoded.start - 1 :].sum()))
            tokens += (len(ids) - encoded.start) * (text is row.output)
        total -= likely[0]
        margins += [likely[0] - each for each in likely[1:]]
    return total / tokens, margins


@pytest.mark.parametrize(
    ("objective", "fields"),
    [("sft", {"batching": "packed"}), ("fait", {}), pytest.param("fixed", {}, marks=pytest.mark.long)],
    ids=["sft", "fait", "fixed"],
)
def test_all_objectives_measure_the_same_of_the_rows(objective, fields, make_job, tmp_path):
    job = paired(make_job("llama", objective=objective, lr=1e-3, **fields), tmp_path)
    services = FolderServices()
    counts = train(job, services)
    held_out = counts["held_out"]
    for location, which, name in ((Path(job.base.location), 0, "margins_before"), (job.out, -1, "margins")):
        entropy, margins = by_single_texts(location, tmp_path, job.recipe)
        curves = {measure: curve[which] for measure, curve in held_out["curves"].items()}
        assert curves[CROSS_ENTROPY] == [6 * -which, pytest.approx(entropy, rel=1e-5)]
        assert held_out[name] == pytest.approx(margins, abs=1e-3) and len(margins) == 4
        assert curves[PREFERRED][1] == sum(margin > 0 for margin in margins) / 4
        assert curves[MARGIN][1] == pytest.approx(sum(margins) / 4, abs=1e-3)
    assert held_out["rows"] == 5 and held_out["pairs"]
    assert services.reports[-1].held_out == {name: curve[-1][1] for name, curve in held_out["curves"].items()}


def test_equal_responses_are_no_pair(make_job):
    job = make_job("llama")
    _, tokenizer = load_model(job.base)
    one, other = training_rows(2)
    rows = [dataclasses.replace(one, rejected=one.output), dataclasses.replace(other, rejected=other.output + "\n")]
    held_out = hold_out(rows, tokenizer, job.recipe)
    assert (held_out.responses, held_out.paired) == (2, [1])
    assert held_out.dropped == {"rejected response equal": 1}


def test_a_share_of_pairs_without_probabilities_is_no_number():
    text = {"input_ids": np.array([1, 2]), "weights": np.array([0.0, 1.0])}
    held_out = HeldOut([text] * 4, 2, [0, 1], "pairs", {})
    assert held_out.measure(np.array([-1.0, -2.0, -3.0, -1.0]))[0][PREFERRED] == 0.5
    assert np.isnan(held_out.measure(np.array([-1.0, np.nan, -3.0, -1.0]))[0][PREFERRED])


def test_the_speed_leaves_out_what_validation_takes(make_job, tmp_path, monkeypatch):
    real, clock = loop_module.TrainingLoop._loss, Clock()
    for module in (loop_module, reports):
        monkeypatch.setattr(module, "time", clock)

    def slow(self: Any, data: Any, *args: Any) -> torch.Tensor:
        clock.sleep(100 if data is self.data.validation else 1)
        return real(self, data, *args)

    monkeypatch.setattr(loop_module.TrainingLoop, "_loss", slow)
    job = validated(make_job("llama", steps=None, epochs=3), tmp_path)
    services = FolderServices()
    train(job, services)
    speeds = [report.tokens_per_second for report in services.reports[1:]]
    assert min(speeds) > 0.3 * sorted(speeds)[len(speeds) // 2]
    assert sum(report.new_tokens for report in services.reports) == services.reports[-1].tokens > 0
    assert all(report.memory_bytes > 0 for report in services.reports)


def test_rows_of_which_none_can_be_used_are_told(make_job, tmp_path):
    job = validated(make_job("llama", max_tokens=100), tmp_path, instruction="word " * 200)
    with pytest.raises(UsageError, match="none of 5 validation rows can be used"):
        train(job)


def test_utilisation_is_told_where_the_accelerators_peak_is_known(make_job, monkeypatch):
    services, known = FolderServices(), FolderServices()
    train(make_job("llama", steps=2), services)
    assert {report.mfu for report in services.reports} == {None}
    monkeypatch.setattr(reports, "accelerator_in_use", lambda: "NVIDIA H100 80GB HBM3")
    counts, last = train(make_job("llama", steps=2), known), known.reports[-1]
    dense = 6 * counts["trainable_weights"] * last.tokens_per_second / 66.9e12
    assert dense < last.mfu < 2 * dense  # attention counts too
