from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from raysweep.errors import RaysweepError, UsageError
from raysweep.models.loading import load_model
from raysweep.trainers.checks import (
    _in_its_precision,
    check_adapter_acts,
    check_eos,
    check_precision,
    check_saved,
    check_trainable,
)
from tests.models.tiny import is_same, state_of

ROW: dict[str, list[Any]] = {"input_ids": [5, 6, 7, 8], "weights": [0.0, 0.0, 0.5, 0.5]}


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


def test_an_adapter_that_acts_is_left_as_it_was_and_one_that_is_never_applied_refused(tiny):
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(load_model(tiny["llama"])[0], LoraConfig(r=2, target_modules=["q_proj"]))
    before = state_of(model)
    check_adapter_acts(model, ROW, "lora_B")
    assert is_same(state_of(model), before)
    for module in model.modules():
        if hasattr(module, "lora_B"):
            vars(module)["scaling"] = {"default": 0.0}
    with pytest.raises(RaysweepError, match="doesn't change the model's logits"):
        check_adapter_acts(model, ROW, "lora_B")


ONES = torch.ones(2, 2)
FINE = {"w": ONES, "final_logits_bias": torch.zeros(1, 3)}


@pytest.mark.parametrize(
    ("saved", "trained", "message"),
    [
        ({"w": torch.tensor([[1.0, float("nan")]])}, [{"w"}], "'w'.*not finite"),
        ({"w": torch.zeros(2, 2)}, [{"w"}], "'w'.*all zero"),
        ({"w": torch.zeros(0)}, [{"w"}], "'w'.*empty"),
        ({"w": ONES, "zeros": torch.zeros(1, 3)}, [{"w"}], "'zeros'.*all zero"),
        ({"embed": ONES}, [{"embed", "head"}, {"norm"}], "lacks 1 tensors, 'norm'"),
        (FINE, [{"w"}], None),  # no training changes its bias
        ({"embed": ONES}, [{"embed", "head"}], None),  # one name of a tied one is enough
    ],
)
def test_a_broken_or_missing_saved_tensor_is_refused(saved, trained, message, tmp_path):
    save_file({"b": torch.zeros(3), **saved}, tmp_path / "model.safetensors")
    with pytest.raises(RaysweepError, match=message) if message else contextlib.nullcontext():
        check_saved(tmp_path, trained, untrained={"final_logits_bias"})


def test_float32_weights_are_tried_in_16_bits_with_flash_attention_which_has_no_others(tiny):
    network, _ = load_model(tiny["llama"])
    for asked in ("sdpa", "eager", "flash_attention_2"):
        network.config._attn_implementation_internal = asked
        with _in_its_precision(network):
            assert torch.is_autocast_enabled("cpu") == (asked == "flash_attention_2")
