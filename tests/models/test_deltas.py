from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import RaysweepError, UnfitModel
from raysweep.models import deltas
from raysweep.models.deltas import apply_delta, save_delta, write_delta
from raysweep.models.loading import load_model
from raysweep.records import ModelRef
from tests.models.tiny import FAMILIES, is_same, state_of


@pytest.mark.parametrize("family", FAMILIES)
def test_a_delta_carries_an_edit_to_a_fresh_base_and_off_again(family, tiny, tmp_path):
    edited, _ = load_model(tiny[family])
    before = state_of(edited)
    name = next(n for n, p in edited.named_parameters() if p.dim() == 2 and "mlp" in n)
    with torch.no_grad():
        edited.get_parameter(name).add_(0.123)
    assert save_delta(edited, before, tmp_path) == [name]
    assert list(load_file(tmp_path / "delta.safetensors")) == [name]

    fresh, _ = load_model(tiny[family])
    undo = apply_delta(fresh, tmp_path)
    assert is_same(state_of(fresh), state_of(edited))
    undo()
    assert is_same(state_of(fresh), before)


def test_a_delta_is_the_same_file_each_time_it_is_written(tmp_path):
    base = {name: torch.zeros(3, 2) for name in "cab"}
    changed = {name: torch.full((3, 2), float(number)) for number, name in enumerate("bca", 1)}
    files = []
    for number in range(8):  # safetensors writes the metadata in another order each time
        (tmp_path / str(number)).mkdir()
        assert write_delta(changed, base, tmp_path / str(number)) == ["a", "b", "c"]
        files.append((tmp_path / str(number) / "delta.safetensors").read_bytes())
    assert len(set(files)) == 1
    assert is_same(load_file(tmp_path / "0" / "delta.safetensors"), changed)


def test_a_tied_tensor_stays_tied_under_a_delta(tiny, tmp_path):
    edited, _ = load_model(tiny["llama"])
    before = state_of(edited)
    with torch.no_grad():
        edited.get_input_embeddings().weight.mul_(2)
    save_delta(edited, before, tmp_path)
    fresh, _ = load_model(tiny["llama"])
    undo = apply_delta(fresh, tmp_path / "delta.safetensors")
    assert torch.equal(fresh.lm_head.weight, edited.lm_head.weight)
    undo()
    assert is_same(state_of(fresh), before)


def test_a_model_that_equals_its_base_has_no_delta(tiny, tmp_path):
    model, _ = load_model(tiny["llama"])
    with pytest.raises(RaysweepError, match="every tensor equals"):
        save_delta(model, state_of(model), tmp_path)


def half_of(ref: ModelRef, out: Path) -> Path:
    """Save the delta that halves a matrix of a model."""
    edited, _ = load_model(ref)
    before = state_of(edited)
    with torch.no_grad():
        next(parameter for parameter in edited.parameters() if parameter.dim() == 2).mul_(0.5)
    save_delta(edited, before, out)
    return out


@pytest.mark.parametrize("change", ["a layer", "all", "one vector"])
def test_a_delta_of_another_base_is_refused_by_both_fingerprints(change, tiny, tmp_path):
    delta = half_of(tiny["llama"], tmp_path)
    other, _ = load_model(tiny["llama"])
    parts = {"a layer": "layers.1", "all": "", "one vector": "model.norm"}
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if parts[change] in name:
                parameter.add_(torch.rand_like(parameter))
    before = state_of(other)
    with pytest.raises(
        UnfitModel, match=r"delta of another base: .* fingerprint ([0-9a-f]{16}), .* (?!\1)[0-9a-f]{16};"
    ):
        apply_delta(other, delta)
    assert is_same(state_of(other), before)


@pytest.mark.parametrize("made_in", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("loaded_in", ["float32", "bfloat16", "float16"])
def test_a_base_is_known_in_every_dtype_that_tells_it_and_refused_in_others(made_in, loaded_in, tiny, tmp_path):
    delta = half_of(dataclasses.replace(tiny["llama"], dtype=made_in), tmp_path)
    base = load_model(dataclasses.replace(tiny["llama"], dtype=loaded_in))[0]
    if made_in == loaded_in or "float32" in (made_in, loaded_in):
        apply_delta(base, delta)
        return
    before = state_of(base)
    with pytest.raises(UnfitModel, match=f"was made from a base in {made_in}, and this one is in {loaded_in}, so .*"):
        apply_delta(base, delta)
    assert is_same(state_of(base), before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_one_other_number_is_another_base(dtype, tiny, tmp_path):
    ref = dataclasses.replace(tiny["llama"], dtype=dtype)
    delta, base = half_of(ref, tmp_path), load_model(ref)[0]
    numbers = max((parameter for parameter in base.parameters()), key=torch.numel).data.view(-1)
    numbers[1] = torch.nextafter(numbers[1], torch.ones_like(numbers[1])) if dtype == "float32" else numbers[1] * 1.5
    with pytest.raises(UnfitModel, match="delta of another base"):
        apply_delta(base, delta)


def test_a_base_is_read_once_and_then_only_what_was_written_to(tiny, tmp_path, monkeypatch):
    delta, (base, _) = half_of(tiny["llama"], tmp_path), load_model(tiny["llama"])
    calls: list[int] = []
    of_bits = deltas.bit_sums
    monkeypatch.setattr(deltas, "bit_sums", lambda tensor: (calls.append(1), of_bits(tensor))[1])
    read = []
    for _ in range(3):
        calls.clear()
        apply_delta(base, delta)()
        read.append(len(calls))
    assert read == [len(base.state_dict()), 2, 2]  # the embeddings, under both of their names
    with torch.no_grad():
        base.model.norm.weight.add_(1)
    with pytest.raises(UnfitModel, match="delta of another base"):
        apply_delta(base, delta)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (5, 3), (4, 8), (3, 4, 2), (0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_sums_of_bits_change_with_any_number_and_not_with_where_it_lies(shape, dtype):
    tensor = torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    sums = deltas.bit_sums(tensor).tolist()
    moved = torch.empty(tensor.numel() + 1, dtype=dtype)[1:].view(shape)  # doesn't begin at a multiple of 8 bytes
    assert deltas.bit_sums(moved.copy_(tensor)).tolist() == sums
    for at in range(tensor.numel()):
        other = tensor.clone()
        other.view(-1)[at] = 1 - other.view(-1)[at].int()
        assert deltas.bit_sums(other).tolist() != sums


def test_a_delta_that_names_no_base_loads(tiny, tmp_path):
    file = half_of(tiny["llama"], tmp_path) / "delta.safetensors"
    save_file(load_file(file), file, metadata={"format": "pt"})
    apply_delta(load_model(tiny["llama"])[0], tmp_path)


def test_a_delta_that_changes_nothing_is_refused(tiny, tmp_path):
    file = half_of(tiny["llama"], tmp_path) / "delta.safetensors"
    in_16_bits = load_model(dataclasses.replace(tiny["llama"], dtype="bfloat16"))[0]
    base = state_of(in_16_bits)
    save_file({name: base[name].float() * (1 + 2**-12) for name in load_file(file)}, file, metadata={"format": "pt"})
    apply_delta(load_model(tiny["llama"])[0], tmp_path)
    with pytest.raises(UnfitModel, match=r"changes nothing: each of its \d tensors equals the base's in bfloat16"):
        apply_delta(in_16_bits, tmp_path)


def test_a_delta_of_another_model_is_refused_and_changes_nothing(tiny, tmp_path):
    model, _ = load_model(tiny["llama"])
    before = state_of(model)
    save_file({"lm_head.weight": torch.zeros(3, 3), "z": torch.zeros(1)}, tmp_path / "delta.safetensors")
    with pytest.raises(RaysweepError, match=r"'lm_head.weight' has shape \(3, 3\)"):
        apply_delta(model, tmp_path)
    assert is_same(state_of(model), before)
