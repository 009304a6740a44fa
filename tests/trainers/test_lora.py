from __future__ import annotations

import itertools
import warnings

import pytest
import torch

from raysweep.models.loading import load_model
from raysweep.records import ModelKind, ModelRef
from raysweep.trainers.adapters import SETTINGS
from raysweep.trainers.full import load_for_training
from raysweep.trainers.lora import Lora
from tests.models.tiny import cases, logits_of
from tests.trainers.conftest import difference, tensors_of, train, train_and_resume

pytestmark = pytest.mark.slow

SMALL = {"r": 4, "alpha": 8, "dropout": 0.1}


def logits(ref: ModelRef, merged: bool = False) -> torch.Tensor:
    model, _ = load_model(ref)
    return logits_of(model.merge_and_unload() if merged else model)


EMBEDDINGS, STUDY = {"train_embeddings": True}, {"preset": "study"}


@pytest.mark.parametrize(
    ("family", "lora"),
    cases(
        itertools.product(("llama", "gpt_bigcode", "codegen"), ({}, EMBEDDINGS, STUDY)),
        [("llama", {}), ("llama", STUDY), ("gpt_bigcode", EMBEDDINGS)],
    ),
    ids=str,
)
def test_the_adapter_reloads_merges_and_differs_from_its_base(family, lora, make_job):
    job = make_job(family, steps=5, trainer="lora", lora={**SMALL, **lora})
    counts = train(job)
    ref = ModelRef(str(job.out), ModelKind.ADAPTER, job.base)
    tuned = logits(ref)
    assert not torch.allclose(tuned, logits(job.base), atol=1e-3)
    torch.testing.assert_close(logits(ref, merged=True), tuned, atol=2e-5, rtol=0)
    assert counts["trainable_weights"] == sum(tensor.numel() for tensor in tensors_of(job.out).values())
    assert counts["weights"] == load_model(job.base)[0].num_parameters()
    assert any("lm_head" in name for name in tensors_of(job.out)) == bool(lora)


@pytest.mark.parametrize(
    ("lora", "targets", "numbers"),
    [
        ({}, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, (16, 32, 0.1)),
        ({"targets": ["q_proj"]}, {"q_proj"}, (16, 32, 0.1)),
        ({**SMALL, "preset": "peft"}, {"q_proj", "v_proj"}, (4, 8, 0.1)),
    ],
)
def test_rank_scale_dropout_and_targets_are_the_recipes_or_the_studys(lora, targets, numbers, make_job):
    job = make_job("llama", trainer="lora", lora=lora)
    config = Lora().add_adapter(load_for_training(job.base)[0], job).peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == numbers
    assert config.target_modules == targets and config.modules_to_save is None


def test_fused_kernels_train_the_same_adapter_but_for_rounding(make_job, tmp_path):
    """In bf16, with memory saved, and interrupted; what is saved is PEFT's."""
    fields = {"trainer": "lora", "lora": SMALL, "precision": "bf16", "eps": 1e-4, "gradient_checkpointing": True}
    plain = make_job("llama", "plain", **fields)
    fused = make_job("llama", "fused", kernels="fused", checkpoint_every=3, **fields)
    expected, found = train(plain), train_and_resume(fused, tmp_path, 3)
    assert found["losses"][-1][1] < found["losses"][0][1]
    assert found["losses"] == [[step, pytest.approx(loss, rel=2e-3)] for step, loss in expected["losses"]]
    assert 0 < difference(fused.out, plain.out) < 2e-2
    assert {tensor.dtype for tensor in tensors_of(fused.out).values()} == {torch.float32}
    assert (fused.out / SETTINGS).read_bytes() == (plain.out / SETTINGS).read_bytes()


@pytest.mark.filterwarnings("ignore:.*tie.*")
@pytest.mark.parametrize(
    "lora",
    [
        EMBEDDINGS,
        {"targets": ["q_proj", "embed_tokens"]},
        {"targets": "all-linear", "modules_to_save": ["lm_head"]},
        {"targets": ["v_proj", "lm_head"], "modules_to_save": ["embed_tokens"]},
    ],
)
def test_what_is_reloaded_is_what_was_trained(lora, make_job, monkeypatch):
    import peft

    trained, real = [], peft.get_peft_model
    monkeypatch.setattr(peft, "get_peft_model", lambda *args: trained.append(real(*args)) or trained[-1])
    job = make_job("llama", steps=3, trainer="lora", lora={**SMALL, **lora})  # tied embeddings
    train(job)
    before = logits_of(trained[0].eval())
    ref = ModelRef(str(job.out), ModelKind.ADAPTER, job.base)
    torch.testing.assert_close(logits(ref), before, atol=0, rtol=0)
    torch.testing.assert_close(logits(ref, merged=True), before, atol=2e-5, rtol=1e-4)


def test_training_and_saving_warn_of_nothing(make_job):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(make_job("gpt_bigcode", steps=2, trainer="lora", lora=SMALL))


@pytest.mark.parametrize(
    ("family", "precision", "train_embeddings"),
    cases([("codegen", "bf16", False)], [("llama", "bf16", False), ("gpt_bigcode", "float16", True)]),
)
def test_a_frozen_base_is_held_in_the_precision_of_the_computations(family, precision, train_embeddings, make_job):
    lora, batching = {**SMALL, "train_embeddings": train_embeddings}, "padded" if family == "codegen" else "packed"
    job = make_job(family, precision=precision, batching=batching, steps=12, trainer="lora", lora=lora)
    counts = train(job)
    assert counts["losses"][-1][1] < counts["losses"][0][1]
    assert {tensor.dtype for tensor in tensors_of(job.out).values()} == {torch.float32}
    model = Lora().add_adapter(load_for_training(job.base, "bfloat16")[0], job)
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    dtypes = {(parameter.dtype, parameter.requires_grad) for parameter in matrices}
    assert dtypes == {(torch.bfloat16, False), (torch.float32, True)}
