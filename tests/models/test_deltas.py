from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import RaysweepError
from raysweep.models.deltas import apply_delta, save_delta
from raysweep.models.loading import load_model
from raysweep.records import ModelRef
from tests.models.tiny import FAMILIES


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_delta_carries_an_edit_to_a_fresh_base_and_off_again(
    family: str, tiny: dict[str, ModelRef], tmp_path: Path
) -> None:
    edited, _ = load_model(tiny[family])
    before = state(edited)
    name = next(n for n, p in edited.named_parameters() if p.dim() == 2 and "mlp" in n)
    with torch.no_grad():
        edited.get_parameter(name).add_(0.123)
    assert save_delta(edited, before, tmp_path) == [name]
    assert list(load_file(tmp_path / "delta.safetensors")) == [name]

    fresh, _ = load_model(tiny[family])
    undo = apply_delta(fresh, tmp_path)
    assert same(state(fresh), state(edited))
    undo()
    assert same(state(fresh), before)


def test_a_tied_tensor_stays_tied_under_a_delta(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    edited, _ = load_model(tiny["llama"])
    before = state(edited)
    with torch.no_grad():
        edited.get_input_embeddings().weight.mul_(2)
    save_delta(edited, before, tmp_path)
    fresh, _ = load_model(tiny["llama"])
    undo = apply_delta(fresh, tmp_path / "delta.safetensors")
    assert torch.equal(fresh.lm_head.weight, edited.lm_head.weight)
    undo()
    assert same(state(fresh), before)


def test_a_model_that_equals_its_base_has_no_delta(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    model, _ = load_model(tiny["llama"])
    with pytest.raises(RaysweepError, match="every tensor equals"):
        save_delta(model, state(model), tmp_path)


def test_a_delta_of_another_model_is_refused_and_changes_nothing(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    model, _ = load_model(tiny["llama"])
    before = state(model)
    save_file({"lm_head.weight": torch.zeros(3, 3), "z": torch.zeros(1)}, tmp_path / "delta.safetensors")
    with pytest.raises(RaysweepError, match=r"'lm_head.weight' has shape \(3, 3\)"):
        apply_delta(model, tmp_path)
    assert same(state(model), before)
