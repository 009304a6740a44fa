from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from raysweep.models.loading import load_model, load_tokenizer
from raysweep.records import ModelKind, ModelRef
from raysweep.testing.services import FolderServices
from raysweep.trainers.full import load_for_training
from raysweep.trainers.lora import Lora
from tests.models.tiny import FAMILIES
from tests.trainers.conftest import tensors_of

pytestmark = pytest.mark.slow

SMALL = {"r": 4, "alpha": 8, "dropout": 0.1}


def logits(ref: ModelRef, merged: bool = False) -> torch.Tensor:
    model, tokenizer = load_model(ref)
    model = model.merge_and_unload() if merged else model
    with torch.no_grad():
        out: torch.Tensor = model(input_ids=torch.tensor([tokenizer("def f3(xs):\n    return xs")["input_ids"]])).logits
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("lora", [{}, {"train_embeddings": True}, {"preset": "study"}], ids=str)
def test_the_adapter_reloads_merges_and_differs_from_its_base(family, lora, make_job):
    job = make_job(family, steps=5, lora={**SMALL, **lora})
    counts = Lora().train(job, FolderServices())
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
    job = make_job("llama", lora=lora)
    config = Lora().add_adapter(load_for_training(job.base)[0], job).peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == numbers
    assert config.target_modules == targets and config.modules_to_save is None


@pytest.mark.filterwarnings("ignore:.*tie.*")
@pytest.mark.parametrize(
    "lora",
    [
        {"train_embeddings": True},
        {"targets": ["q_proj", "embed_tokens"]},
        {"targets": "all-linear", "modules_to_save": ["lm_head"]},
        {"targets": ["v_proj", "lm_head"], "modules_to_save": ["embed_tokens"]},
    ],
)
def test_what_is_reloaded_is_what_was_trained(lora, make_job, monkeypatch):
    import peft

    trained: list[Any] = []
    real = peft.get_peft_model

    def remember(*args: Any) -> Any:
        trained.append(real(*args))
        return trained[-1]

    monkeypatch.setattr(peft, "get_peft_model", remember)
    job = make_job("llama", steps=3, lora={**SMALL, **lora})  # tied embeddings
    Lora().train(job, FolderServices())
    ids = torch.tensor([load_tokenizer(job.base)("def f3(xs):\n    return xs")["input_ids"]])
    with torch.no_grad():
        before = trained[0].eval()(input_ids=ids).logits
    ref = ModelRef(str(job.out), ModelKind.ADAPTER, job.base)
    torch.testing.assert_close(logits(ref), before, atol=0, rtol=0)
    torch.testing.assert_close(logits(ref, merged=True), before, atol=2e-5, rtol=1e-4)


def test_training_and_saving_warn_of_nothing(make_job):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Lora().train(make_job("gpt_bigcode", steps=2, lora=SMALL), FolderServices())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("precision", "train_embeddings"), [("bf16", False), ("float16", True)])
def test_a_frozen_base_is_held_in_the_precision_of_the_computations(family, precision, train_embeddings, make_job):
    job = make_job(family, precision=precision, steps=12, lora={**SMALL, "train_embeddings": train_embeddings})
    counts = Lora().train(job, FolderServices())
    assert counts["losses"][-1][1] < counts["losses"][0][1]
    assert {tensor.dtype for tensor in tensors_of(job.out).values()} == {torch.float32}
    model = Lora().add_adapter(load_for_training(job.base, "bfloat16")[0], job)
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    dtypes = {(parameter.dtype, parameter.requires_grad) for parameter in matrices}
    assert dtypes == {(torch.bfloat16, False), (torch.float32, True)}
