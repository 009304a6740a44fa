from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
from safetensors.torch import load_file

from raysweep.models.loading import load_model, load_tokenizer
from raysweep.records import ModelKind, ModelRef
from raysweep.testing.services import FolderServices, Interrupted
from raysweep.trainers.base import TrainJob
from raysweep.trainers.full import load_for_training
from raysweep.trainers.lora import Lora
from tests.models.tiny import FAMILIES

pytestmark = pytest.mark.slow

Jobs = Callable[..., TrainJob]
SMALL = {"r": 4, "alpha": 8, "dropout": 0.1}


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def logits(ref: ModelRef, merged: bool = False) -> torch.Tensor:
    model, tokenizer = load_model(ref)
    model = model.merge_and_unload() if merged else model
    with torch.no_grad():
        out: torch.Tensor = model(input_ids=torch.tensor([tokenizer("def f3(xs):\n    return xs")["input_ids"]])).logits
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("train_embeddings", [False, True])
def test_the_adapter_reloads_merges_and_differs_from_its_base(
    family: str, train_embeddings: bool, make_job: Jobs
) -> None:
    job = make_job(family, steps=10, lora={**SMALL, "train_embeddings": train_embeddings})
    counts = Lora().train(job, FolderServices())
    ref = ModelRef(str(job.out), ModelKind.ADAPTER, job.base)
    tuned = logits(ref)
    assert not torch.allclose(tuned, logits(job.base), atol=1e-3)
    torch.testing.assert_close(logits(ref, merged=True), tuned, atol=2e-5, rtol=0)
    assert counts["trainable_weights"] == sum(tensor.numel() for tensor in adapter(job.out).values())
    assert counts["weights"] == load_model(job.base)[0].num_parameters()
    assert any("lm_head" in name for name in adapter(job.out)) == train_embeddings


@pytest.mark.filterwarnings("ignore:.*tie.*")
@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"train_embeddings": True},
        {"targets": ["q_proj", "embed_tokens"]},
        {"targets": ["embed_tokens"]},
        {"targets": "all-linear", "modules_to_save": ["lm_head"]},
        {"targets": ["v_proj", "lm_head"], "modules_to_save": ["embed_tokens"]},
    ],
)
def test_what_is_reloaded_is_what_was_trained(
    lora: dict[str, Any], make_job: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import peft

    trained: list[Any] = []
    real = peft.get_peft_model

    def remember(*args: Any) -> Any:
        trained.append(real(*args))
        return trained[-1]

    monkeypatch.setattr(peft, "get_peft_model", remember)
    job = make_job("llama", steps=10, lora={**SMALL, **lora})  # tied embeddings
    Lora().train(job, FolderServices())
    ids = torch.tensor([load_tokenizer(job.base)("def f3(xs):\n    return xs")["input_ids"]])
    with torch.no_grad():
        before = trained[0].eval()(input_ids=ids).logits
    ref = ModelRef(str(job.out), ModelKind.ADAPTER, job.base)
    torch.testing.assert_close(logits(ref), before, atol=0, rtol=0)
    torch.testing.assert_close(logits(ref, merged=True), before, atol=2e-5, rtol=1e-4)


def test_an_interrupted_training_ends_with_the_undisturbed_ones_adapter(make_job: Jobs, tmp_path: Path) -> None:
    fields = {"steps": 11, "checkpoint_every": 4, "lora": {**SMALL, "dropout": 0.3, "train_embeddings": True}}
    whole = make_job("gpt_bigcode", "whole", **fields)
    undisturbed = Lora().train(whole, FolderServices(tmp_path / "one"))
    broken = dataclasses.replace(whole, out=tmp_path / "broken")
    with pytest.raises(Interrupted):
        Lora().train(broken, FolderServices(tmp_path / "two", die_after=8))
    assert Lora().train(broken, FolderServices(tmp_path / "two")) == {
        **undisturbed,
        "resumed_from": 8,
        "memory_bytes": ANY,
    }
    assert adapter(whole.out).keys() == adapter(broken.out).keys()
    assert all(torch.equal(tensor, adapter(broken.out)[name]) for name, tensor in adapter(whole.out).items())


def test_without_settings_rank_scale_dropout_and_targets_are_the_studys(make_job: Jobs) -> None:
    job = make_job("llama")
    config = Lora().add_adapter(load_for_training(job.base)[0], job).peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout) == (16, 32, 0.1)
    assert config.target_modules == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert config.modules_to_save is None


def test_targets_of_the_recipe_come_first(make_job: Jobs) -> None:
    job = make_job("llama", lora={"targets": ["q_proj"]})
    assert Lora().add_adapter(load_for_training(job.base)[0], job).peft_config["default"].target_modules == {"q_proj"}


def test_training_and_saving_warn_of_nothing(make_job: Jobs) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Lora().train(make_job("gpt_bigcode", steps=2, lora=SMALL), FolderServices())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_studys_preset_updates_lm_head_too_and_merges_beside_tied_embeddings(family: str, make_job: Jobs) -> None:
    job = make_job(family, steps=5, lora={**SMALL, "preset": "study"})
    Lora().train(job, FolderServices())
    assert any("lm_head" in name for name in adapter(job.out))
    ref = ModelRef(str(job.out), ModelKind.ADAPTER, job.base)
    tuned = logits(ref)
    assert not torch.allclose(tuned, logits(job.base), atol=1e-3)
    torch.testing.assert_close(logits(ref, merged=True), tuned, atol=2e-5, rtol=0)


def test_pefts_preset_updates_what_peft_does(make_job: Jobs) -> None:
    job = make_job("llama", lora={**SMALL, "preset": "peft"})
    config = Lora().add_adapter(load_for_training(job.base)[0], job).peft_config["default"]
    assert config.target_modules == {"q_proj", "v_proj"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["bf16", "float16"])
@pytest.mark.parametrize("train_embeddings", [False, True])
def test_a_frozen_base_is_held_in_the_precision_of_the_computations(
    family: str, precision: str, train_embeddings: bool, make_job: Jobs
) -> None:
    job = make_job(family, precision=precision, steps=12, lora={**SMALL, "train_embeddings": train_embeddings})
    counts = Lora().train(job, FolderServices())
    assert counts["losses"][-1][1] < counts["losses"][0][1]
    assert {tensor.dtype for tensor in adapter(job.out).values()} == {torch.float32}
    model = Lora().add_adapter(load_for_training(job.base, "bfloat16")[0], job)
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    dtypes = {(parameter.dtype, parameter.requires_grad) for parameter in matrices}
    assert dtypes == {(torch.bfloat16, False), (torch.float32, True)}
