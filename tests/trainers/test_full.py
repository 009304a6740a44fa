from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from raysweep.errors import RaysweepError
from raysweep.hashing import describe
from raysweep.models.scratch import prepare_scratch
from raysweep.records import ModelKind, ModelRef
from raysweep.testing import no_global_generator
from raysweep.trainers.full import Full
from tests.models.tiny import FIRST
from tests.services import FolderServices, Interrupted
from tests.tiny import SIZES, make_tiny, pairs
from tests.trainers.conftest import difference, tensors_of, train, train_and_resume

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", FIRST)
def test_the_saved_model_loads_without_raysweep_and_learned_its_rows(family, make_job):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    job = make_job(family, steps=150, rows=8)
    counts = train(job)
    assert (counts["rows"], counts["rows_dropped"], counts["steps"]) == (8, 0, 150)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(job.out), AutoTokenizer.from_pretrained(job.out)
    prompt, body = pairs()[2]
    ids = torch.tensor([tokenizer(prompt.replace("Return", "Retrun"))["input_ids"]])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False, pad_token_id=0)
    assert tokenizer.decode(out[0, ids.shape[1] :]) == body + tokenizer.eos_token


@pytest.mark.parametrize("precision", ["float32", pytest.param("bf16", marks=pytest.mark.long)])
def test_an_interrupted_training_ends_with_the_undisturbed_ones_weights(precision, make_job, tmp_path):
    """In small: with float32. Dropout's random numbers, the schedule, Adam's moments and the row order all go on."""
    dropout = make_tiny("gpt_bigcode", tmp_path / "base", resid_pdrop=0.2, attn_pdrop=0.2)
    fields = {"steps": 11, "checkpoint_every": 4, "warmup": 0.2, "length_buckets": 2, "precision": precision}
    whole = dataclasses.replace(make_job("gpt_bigcode", "whole", **fields), base=dropout)
    train_and_resume(whole, tmp_path, 4, 8)


@pytest.mark.parametrize("trainer", ["full", "lora", "ia3"])
def test_what_a_process_did_before_changes_no_byte_and_no_other_file(trainer, make_job, tmp_path):
    """Cells follow one another in a process, and other trainings use the same base and rows."""
    first, again = (make_job("llama", out, steps=3, trainer=trainer) for out in ("first", "again"))
    base, rows = describe(Path(first.base.location)), first.training_set.read_bytes()
    with no_global_generator():
        train(first)
    train(dataclasses.replace(first, out=tmp_path / "other", seed=8))
    train(again)
    assert describe(again.out) == describe(first.out) != describe(tmp_path / "other")
    assert (describe(Path(first.base.location)), first.training_set.read_bytes()) == (base, rows)


def test_a_checkpoint_of_another_training_is_refused(make_job, tmp_path):
    with pytest.raises(Interrupted):
        Full().train(make_job("llama", checkpoint_every=2), FolderServices(tmp_path / "state", die_after=2))
    with pytest.raises(RaysweepError, match="of another training"):
        Full().train(make_job("codegen"), FolderServices(tmp_path / "state"))


@pytest.mark.parametrize("scratch", [True, False])
def test_the_seed_decides_on_the_weights_and_on_those_that_a_training_begins_with(scratch, make_job, tmp_path):
    base = make_job("llama").base
    if scratch:
        prepare_scratch("llama", [p + o for p, o in pairs()], 320, SIZES["llama"], tmp_path / "scratch")
        base = ModelRef(str(tmp_path / "scratch"))
    jobs = [
        dataclasses.replace(make_job("llama", name, steps=2), base=base, scratch=scratch, seed=seed)
        for name, seed in (("one", 1), ("two", 1), ("three", 2))
    ]
    for job in jobs:
        train(job)
    assert difference(jobs[0].out, jobs[1].out) == 0 < difference(jobs[0].out, jobs[2].out)
    assert {tensor.dtype for tensor in tensors_of(jobs[0].out).values()} == {torch.float32}


def test_a_half_precision_base_is_trained_in_float32(make_job):
    job = make_job("llama", steps=2)
    train(dataclasses.replace(job, base=dataclasses.replace(job.base, dtype="float16")))
    assert {tensor.dtype for tensor in tensors_of(job.out).values()} == {torch.float32}


def test_an_adapter_is_no_base_to_train(make_job):
    job = make_job("llama")
    adapter = ModelRef("somewhere", ModelKind.ADAPTER, job.base)
    with pytest.raises(RaysweepError, match="merge it"):
        Full().train(dataclasses.replace(job, base=adapter), FolderServices())
