from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from raysweep.errors import RaysweepError, UsageError
from raysweep.models.loading import load_model
from raysweep.trainers.checks import check_adapter_acts, check_eos, check_precision, check_saved, check_trainable

ROW: dict[str, list[Any]] = {"input_ids": [5, 6, 7, 8], "weights": [0.0, 0.0, 0.5, 0.5]}


def adapted(tiny):
    """Return a tiny model with LoRA matrices."""
    from peft import LoraConfig, get_peft_model

    return get_peft_model(load_model(tiny["llama"])[0], LoraConfig(r=2, target_modules=["q_proj"]))


def test_a_model_without_trainable_tensors_is_refused(tiny):
    model, _ = load_model(tiny["llama"])
    assert check_trainable(model) == sum(p.numel() for p in model.parameters())
    with pytest.raises(RaysweepError, match="trainable"):
        check_trainable(model.requires_grad_(False))


def test_bf16_on_an_accelerator_without_it_is_refused(monkeypatch):
    check_precision("bf16")  # CPUs compute in it
    monkeypatch.setattr("raysweep.machine._may_have_accelerators", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100-SXM2-32GB")
    check_precision("float16")
    with pytest.raises(UsageError, match="and this is a Tesla V100-SXM2-32GB; use `precision: float16`"):
        check_precision("bf16")


@pytest.mark.parametrize("row", [{**ROW, "weights": [0.0, 0.0, 1.0, 0.0]}, {**ROW, "input_ids": [5, 6, 8, 7]}])
def test_an_end_of_text_without_loss_is_refused(row):
    check_eos([ROW], {8})
    with pytest.raises(RaysweepError, match="row 1"):
        check_eos([ROW, row], {8})


def test_an_adapter_that_acts_passes_and_is_left_as_it_was(tiny):
    model = adapted(tiny)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_adapter_acts(model, ROW, "lora_B")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_an_adapter_that_is_never_applied_is_refused(tiny):
    model = adapted(tiny)
    for module in model.modules():
        if hasattr(module, "lora_B"):
            vars(module)["scaling"] = {"default": 0.0}
    with pytest.raises(RaysweepError, match="doesn't change the model's logits"):
        check_adapter_acts(model, ROW, "lora_B")


@pytest.mark.parametrize(
    ("tensor", "message"),
    [(torch.tensor([[1.0, float("nan")]]), "not finite"), (torch.zeros(2, 2), "all zero"), (torch.zeros(0), "empty")],
)
def test_a_broken_saved_tensor_is_refused(tensor, message, tmp_path):
    save_file({"w": tensor, "b": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(RaysweepError, match=f"'w'.*{message}"):
        check_saved(tmp_path, [{"w"}])


def test_a_tensor_that_no_training_changes_may_be_zero(tmp_path):
    save_file({"w": torch.ones(2, 2), "final_logits_bias": torch.zeros(1, 3)}, tmp_path / "model.safetensors")
    check_saved(tmp_path, [{"w"}], untrained={"final_logits_bias"})
    with pytest.raises(RaysweepError, match=r"'final_logits_bias'.*all zero"):
        check_saved(tmp_path, [{"w"}])


def test_a_missing_tensor_is_refused_but_one_name_of_a_tied_one_is_enough(tmp_path):
    save_file({"embed": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    check_saved(tmp_path, [{"embed", "head"}])
    with pytest.raises(RaysweepError, match="lacks 1 tensors, 'norm'"):
        check_saved(tmp_path, [{"embed", "head"}, {"norm"}])
