"""What an objective needs of the untrained model: computed once, kept, and the same after a restart."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.errors import RaysweepError
from raysweep.trainers import loop
from raysweep.trainers.objectives import dpo
from tests.services import FolderServices
from tests.trainers.conftest import encoded, train, train_and_resume

pytestmark = pytest.mark.slow


@pytest.fixture
def passes(monkeypatch):
    """The rows of each forward pass in which log-probabilities are computed without a gradient."""
    seen, compute = [], dpo.log_probabilities

    def counted(model: Any, batch: Any) -> Any:
        if not torch.is_grad_enabled() and "reference" not in batch:
            seen.append(len(batch["input_ids"]))
        return compute(model, batch)

    monkeypatch.setattr(dpo, "log_probabilities", counted)
    return seen


def with_memory_for(most: int, compute: Any) -> Any:
    """Return a function that has memory for so many texts only."""

    def computed(model: Any, batch: Any) -> Any:
        if len(batch["input_ids"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(model, batch)

    return computed


@pytest.mark.parametrize("trainer", ["full", "lora"])
def test_an_interrupted_training_has_the_reference_of_its_start(trainer, make_pairs, tmp_path):
    """It keeps nothing here, so that the reference is computed again, of the base."""
    train_and_resume(make_pairs("dpo", out="whole", trainer=trainer, checkpoint_every=3, steps=6), tmp_path, 3)


def test_another_beta_or_seed_computes_no_reference(make_pairs, tmp_path, passes):
    services = FolderServices(tmp_path / "state")
    train(make_pairs("dpo", out="first"), services)
    assert sum(passes) == 40  # the validation rows are the same ones
    kept = set(services.store)
    assert len(kept) == 2  # and the measures of the base model on them
    second = make_pairs("dpo", out="second", objective_args={"beta": 0.5})
    train(dataclasses.replace(second, seed=8), services)
    assert sum(passes) == 40 and set(services.store) == kept


def test_a_damaged_reference_and_one_of_another_base_are_computed(make_pairs, tmp_path, passes):
    services = FolderServices(tmp_path / "state")
    job = make_pairs("dpo")
    train(job, services)
    services.store = {key: content[:-9] for key, content in services.store.items()}
    train(job, services)
    assert sum(passes) == 80
    train(dataclasses.replace(job, base_key="another"), services)
    train(dataclasses.replace(job, base_key=""), services)  # not kept: of each set, again
    assert sum(passes) == 80 + 40 + 80 and len(services.store) == 4


def test_memory_that_runs_out_before_the_first_step_makes_passes_smaller(make_pairs, passes, monkeypatch):
    train(make_pairs("dpo", out="whole"))
    largest, compute = max(passes), dpo.log_probabilities
    passes.clear()
    monkeypatch.setattr(dpo, "log_probabilities", with_memory_for(largest // 2, compute))
    train(make_pairs("dpo", out="limited"))
    assert largest > 1 and max(passes) <= largest // 2
    monkeypatch.setattr(dpo, "log_probabilities", with_memory_for(0, compute))
    with pytest.raises(RaysweepError, match="memory ran out before the first step in a forward pass of one row"):
        train(make_pairs("dpo", out="none"))


def test_memory_that_runs_out_in_the_measures_before_training_makes_passes_smaller(make_pairs, monkeypatch):
    whole = train(make_pairs("sft", out="whole"))
    limited = with_memory_for(2, loop.log_probabilities_of_texts)
    monkeypatch.setattr(loop, "log_probabilities_of_texts", limited)
    found = train(make_pairs("sft", out="limited"))
    assert found["batching"] != whole["batching"]
    assert found["held_out"]["margins_before"] == pytest.approx(whole["held_out"]["margins_before"], abs=1e-3)


def test_what_rounds_otherwise_in_16_bits_shares_no_reference(make_pairs, tmp_path):
    services = FolderServices(tmp_path / "state")
    for trainer, kernels in (
        ("full", "plain"),
        ("lora", "plain"),
        ("lora", "fused"),
    ):  # weights in float32, and in bf16
        job = make_pairs("dpo", out=f"{trainer} {kernels}", trainer=trainer, precision="bf16", steps=1, kernels=kernels)
        train(job, services)
    assert len(services.store) == 6  # the reference, and what validation begins with


def test_numbers_of_an_objective_are_reported_and_kept(make_pairs, tmp_path):
    services = FolderServices(tmp_path / "state")
    counts = train(make_pairs("dpo", lr=1e-3, steps=8), services)
    first, last = services.reports[0].numbers, services.reports[-1].numbers
    assert first == {"margin": pytest.approx(0, abs=1e-4), "preferred": pytest.approx(0.5, abs=0.5)}
    assert last["margin"] > 0 and last["preferred"] > 0.5
    assert [step for step, _ in counts["numbers"]["margin"]] == [report.step for report in services.reports]
    assert counts["number_totals"]["preferred"][1] == 8 * 8
    fait = FolderServices(tmp_path / "state of fait")
    train(make_pairs("fait", out="fait"), fait)
    assert 1 <= fait.reports[-1].numbers["fait_weight"] <= 2
    assert 0 < fait.reports[-1].numbers["emphasised_tokens"] < 1


def test_encoded_rows_are_small(make_pairs):
    rows = encoded(make_pairs("fait"))[1].rows
    tokens = sum(len(row["input_ids"]) + len(row["rejected_ids"]) for row in rows)
    assert sum(array.nbytes for row in rows for array in row.values()) <= 8 * tokens
    assert all(isinstance(array, np.ndarray) for row in rows for array in row.values())
