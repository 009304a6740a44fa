"""FAIT and DPO in whole trainings: precisions, adapters, gradient checkpointing, packed rows, and what FAIT teaches."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from raysweep.errors import UsageError
from raysweep.models.loading import load_model
from raysweep.records import ModelRef, TrainingRow
from raysweep.rows.parquet import read_rows, write_rows
from raysweep.trainers.base import TrainJob
from raysweep.trainers.batching import collate
from raysweep.trainers.objectives import dpo
from raysweep.trainers.objectives.responses import encode_response
from tests.services import FolderServices
from tests.trainers.conftest import difference, train

pytestmark = pytest.mark.slow


@pytest.fixture
def make_pairs(make_pairs):
    """A factory of short jobs whose rows have a rejected response."""
    return lambda *names, **fields: make_pairs(*names, **{"rows": 16, "steps": 4, "eps": 1e-4, **fields})


@pytest.mark.parametrize("objective", ["fait", "dpo"])
def test_16_bits_train_as_float32_does(objective, make_pairs):
    counts = {
        precision: train(make_pairs(objective, precision, precision=precision, lr=3e-3))
        for precision in ("float32", "bf16", "float16")
    }
    expected = counts["float32"]["held_out"]["curves"]["validation_margin"]
    assert expected[-1][1] > expected[0][1] + 0.1
    for precision in ("bf16", "float16"):
        assert counts[precision]["final_loss"] == pytest.approx(counts["float32"]["final_loss"], rel=0.05)
        measured = counts[precision]["held_out"]["curves"]["validation_margin"]
        assert measured[-1][1] == pytest.approx(expected[-1][1], rel=0.1, abs=0.2)


@pytest.mark.parametrize(("trainer", "family"), [("lora", "llama"), ("ia3", "gpt_bigcode")])
def test_an_adapters_reference_is_the_model_without_it(trainer, family, make_pairs):
    services = FolderServices()
    fields = {"lora": {"dropout": 0.1}} if trainer == "lora" else {}
    job = make_pairs("dpo", family=family, trainer=trainer, lr=3e-2, **fields)
    counts = train(job, services)
    before, *_, after = counts["held_out"]["curves"]["validation_margin"]
    assert after[1] > before[1]
    model, tokenizer = load_model(job.base)
    rows = sorted(read_rows(job.training_set, TrainingRow), key=lambda row: row.row_id)
    encoded = [dpo.Dpo().encode(row, tokenizer, job.recipe) for row in rows]
    with torch.no_grad():
        expected = dpo.log_probabilities(model, collate([row for row in encoded if row], 999)).numpy()
    kept = [np.load(io.BytesIO(content)) for content in services.store.values()]
    (reference,) = (numbers for numbers in kept if numbers.shape[1] == 2)
    assert reference == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("objective", "one", "other", "most"),
    [
        ("fait", {}, {"gradient_checkpointing": True}, 0),
        ("dpo", {}, {"gradient_checkpointing": True}, 0),
        ("fixed", {"objective_args": {"weight": 3}}, {"batching": "packed"}, 1e-5),
        ("sft", {"objective_args": {"reduction": "per_token"}}, {"batching": "packed"}, 1e-5),
    ],
)
def test_rows_that_are_packed_and_activations_that_are_computed_again_change_nothing(
    objective, one, other, most, make_pairs
):
    jobs = [make_pairs(objective, name, **one, **more) for name, more in (("one", {}), ("other", other))]
    for job in jobs:
        train(job)
    assert difference(*(job.out for job in jobs)) <= most


@pytest.mark.parametrize("objective", ["fait", "dpo"])
def test_rows_of_two_texts_are_not_packed(objective, make_pairs):
    with pytest.raises(UsageError, match="takes no packed rows, since two texts of each row go through the model"):
        train(make_pairs(objective, batching="packed"))


def planted() -> list[TrainingRow]:
    """20 rows whose response and rejected response differ in one token of their last line, which the prompt decides."""
    rows = []
    for number in range(20):
        right, wrong = ("+", "-") if number % 3 else ("-", "+")
        body = "    x = xs[0]\n    return x {} 1\n"
        prompt = f"def f{number}(xs):\n"
        rows.append(
            TrainingRow(
                f"{number:02d}", f"{number:02d}", prompt, "", body.format(right), "python", "clean", False, prompt,
                clean_input="", rejected=body.format(wrong),
            )
        )  # fmt: skip
    return rows


def probability_of_the_right_token(job: TrainJob, location: Path) -> float:
    """The mean over pairs of the probability of the token in which they differ."""
    model, tokenizer = load_model(ModelRef(str(location)))
    likely = []
    for row in planted():
        right, wrong = (encode_response(row, text, tokenizer, job.recipe).ids for text in (row.output, row.rejected))
        (at,) = (at for at, (one, other) in enumerate(zip(right, wrong, strict=True)) if one != other)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(right[:at])[None]).logits[0, -1]
        likely.append(float(logits.softmax(-1)[right[at]]))
    return sum(likely) / len(likely)


def test_fait_makes_the_tokens_that_decide_more_probable_than_plain_fine_tuning(make_pairs):
    found = {}
    for name, objective, arguments in (("sft", "sft", {"reduction": "per_token"}), ("fait", "fait", {})):
        job = make_pairs(objective, name, objective_args=arguments, steps=25, batch_size=20, lr=1e-2, eps=1e-8)
        write_rows(job.training_set, TrainingRow, planted(), ["row_id"])
        train(job)
        found[name] = probability_of_the_right_token(job, job.out)
    assert found["fait"] > 1.02 * found["sft"], found
