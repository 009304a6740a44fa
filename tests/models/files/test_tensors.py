"""Tensors without numbers, of an adapter within a full model, or without a place are named before work."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import UnfitModel
from raysweep.models.adapters import put_adapter_on
from raysweep.models.loadable import require_whole
from raysweep.models.loading import adapter_misfit, load_model
from tests.models.configs import make_random
from tests.models.test_adapters import lora, make, renamed
from tests.models.test_traits import rewrite
from tests.models.tiny import TRANSFORMERS_4, logits_of

ADAPTER, MODEL = "adapter_model.safetensors", "model.safetensors"


def emptied(file: Path, part: str) -> None:
    """Have the tensors with a part in their name hold nothing, as on ZeRO-3's workers."""
    tensors = {name: torch.empty(0) if part in name else tensor for name, tensor in load_file(file).items()}
    if file.suffix == ".bin":
        torch.save(tensors, file)
    else:
        save_file(tensors, file, {"format": "pt"})


@pytest.mark.parametrize("name", ["{}", "{}.default"], ids=["PEFT's names", "DeepSpeed's names"])
def test_an_adapter_without_numbers_is_told_and_a_gathered_one_is_taken(name, tiny, tmp_path):
    saved = make(tiny["llama"], lora(target_modules=["q_proj"]), tmp_path / "saved")
    adapter = renamed(saved, lambda own: name.format(own.removesuffix(".weight")) + ".weight", tmp_path / "adapter")
    assert adapter_misfit(adapter) == ""  # gathered
    assert torch.equal(logits_of(load_model(adapter)[0]), logits_of(load_model(saved)[0]))
    emptied(tmp_path / "adapter" / ADAPTER, "lora_A")
    told = adapter_misfit(adapter)
    assert told.startswith(f"the adapter {tmp_path / 'adapter'} is empty: 2 of its 4 tensors have no numbers, such as ")
    assert "of shape (0,), as when DeepSpeed's ZeRO-3" in told and "zero_to_fp32.py" in told
    with pytest.raises(UnfitModel, match=r"^the adapter .* is empty: .*stage3_gather_16bit_weights_on_model_save"):
        put_adapter_on(load_model(tiny["llama"])[0], adapter)


@pytest.mark.parametrize("is_pickled", [False, True])
def test_a_full_model_without_numbers_is_told(is_pickled, tmp_path):
    ref = make_random("llama", tmp_path)
    if is_pickled:
        tensors = load_file(tmp_path / MODEL)
        (tmp_path / MODEL).unlink()
        torch.save({name: torch.empty(0) if "mlp" in name else t for name, t in tensors.items()}, tmp_path / BIN)
    else:
        emptied(tmp_path / MODEL, "mlp")
    for load in (require_whole, load_model):
        with pytest.raises(UnfitModel, match=r"^the model .* is empty: 6 of its \d+ tensors .*mlp.* of shape \(0,\)"):
            load(ref)


BIN = "pytorch_model.bin"


@pytest.mark.parametrize("keeps_base_names", [False, True])
def test_a_full_model_with_an_adapter_in_it_is_told_and_a_merged_one_is_taken(keeps_base_names, tmp_path):
    """`keeps_base_names`: as PEFT once named them, so that no weight of the base is missing."""
    from peft import get_peft_model

    ref = make_random("llama", tmp_path)
    adapted = get_peft_model(load_model(ref)[0], lora(target_modules=["q_proj"], init_lora_weights=False))
    state = {name.removeprefix("base_model.model."): tensor for name, tensor in adapted.state_dict().items()}
    if keeps_base_names:
        state = {name.replace(".base_layer", ""): tensor for name, tensor in state.items()}
    save_file(state, tmp_path / MODEL, {"format": "pt"})
    told = r"holds 4 tensors of an adapter, such as .*\.lora_A\.default\.weight, .*merge_and_unload"
    for load in (require_whole, load_model):
        with pytest.raises(UnfitModel, match=told):
            load(ref)
    adapted.merge_and_unload().save_pretrained(tmp_path)
    require_whole(ref)


@pytest.mark.parametrize("is_pickled", [False, True])
def test_different_tensors_of_tied_embeddings_are_told_and_never_another_model(is_pickled, tmp_path):
    ref = make_random("llama", tmp_path, tie_word_embeddings=False)
    own = logits_of(load_model(ref)[0])
    tensors = load_file(tmp_path / MODEL)
    rewrite(tmp_path / "config.json", tie_word_embeddings=True)
    if is_pickled:
        (tmp_path / MODEL).unlink()
        torch.save(tensors, tmp_path / BIN)
    for load in (require_whole, load_model):
        told = r"different tensors .*lm_head.weight.*\(`tie_word_embeddings`\).*`\"tie_word_embeddings\": false` into"
        with pytest.raises(UnfitModel, match=told) if TRANSFORMERS_4 else contextlib.nullcontext():
            load(ref)
    if not TRANSFORMERS_4:
        assert torch.equal(logits_of(load_model(ref)[0]), own)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    torch.save(tensors, tmp_path / BIN) if is_pickled else save_file(tensors, tmp_path / MODEL, {"format": "pt"})
    assert require_whole(ref) == ""
    load_model(ref)
    rewrite(tmp_path / "config.json", tie_word_embeddings=False)
    load_model(ref)


@pytest.mark.parametrize(
    ("model_type", "names", "told"),
    [
        ("llama", ["score.weight", "v_head.summary.bias", "model.layers.0.self_attn.rotary_emb.inv_freq"], 2),
        ("llama", ["model.layers.0.self_attn.rotary_emb.inv_freq", "model.embeddings.position_ids"], 0),
        ("gpt2", ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"], 0),
        ("codegen", ["transformer.h.0.attn.causal_mask", "transformer.h.0.attn.masked_bias"], 0),
    ],
)
def test_tensors_without_a_place_are_told_but_for_what_models_compute_themselves(model_type, names, told, tmp_path):
    ref = make_random(model_type, tmp_path)
    assert require_whole(ref) == ""
    tensors = load_file(tmp_path / MODEL)
    save_file({**tensors, **{name: torch.ones(2) for name in names}}, tmp_path / MODEL, {"format": "pt"})
    words = "its files hold 2 tensors, such as score.weight, without a place in transformers' LlamaForCausalLM"
    assert require_whole(ref).partition(":")[0] == (words if told else "")
    load_model(ref)
