"""Adapters are put on their bases whole, or refused before work; ties are cut where an adapter changes an end."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import UnfitModel
from raysweep.models.adapters import put_adapter_on
from raysweep.models.loading import adapter_misfit, load_model
from raysweep.models.versions import ModelVersions
from raysweep.records import ModelKind, ModelRef
from tests.models.tiny import cases, logits_of

pytestmark = pytest.mark.filterwarnings("ignore:.*tie.*", "ignore:Setting `save_embedding_layers`")

WRAPPERS = {
    "language_model": lambda name: name.replace("model.layers", "model.language_model.layers"),
    "compiled": lambda name: name.replace("base_model.model.", "base_model.model._orig_mod."),
    "one model too few": lambda name: name.replace("model.model.layers", "model.layers"),
}
KINDS: dict[str, Callable[[], Any]] = {
    "lora": lambda: lora(target_modules=["q_proj", "down_proj"]),
    "dora": lambda: lora(target_modules=["q_proj"], use_dora=True),
    "ranks": lambda: lora(target_modules="all-linear", rank_pattern={"q_proj": 4}, alpha_pattern={"v_proj": 2}),
    "one layer": lambda: lora(target_modules=["q_proj"], layers_to_transform=[1]),
    "bias": lambda: lora(target_modules=["q_proj"], lora_bias=True),
    "norms": lambda: lora(target_modules=["q_proj"], modules_to_save=["norm"]),
    "tokens": lambda: lora(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [5, 6]}),
    "parameters": lambda: lora(target_modules=[], target_parameters=["q_proj.weight"]),
    "pissa": lambda: lora(target_modules=["q_proj"], init_lora_weights="pissa"),
}
TIES: dict[str, Callable[[], Any]] = {
    "input, list": lambda: lora(target_modules=["q_proj", "embed_tokens"]),
    "output, list": lambda: lora(target_modules=["q_proj", "lm_head"]),
    "both, list": lambda: lora(target_modules=["embed_tokens", "lm_head"]),
    "input, pattern": lambda: lora(target_modules=r".*(q_proj|embed_tokens)"),
    "output, pattern": lambda: lora(target_modules=r"lm_head|model\.layers\.1\..*v_proj"),
    "all-linear": lambda: lora(target_modules="all-linear"),
    "input, copy": lambda: lora(target_modules=["q_proj"], modules_to_save=["embed_tokens"]),
    "output, copy": lambda: lora(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "both, copies": lambda: lora(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"]),
    "tokens": lambda: lora(target_modules=["q_proj"], trainable_token_indices=[7, 9]),
    "PEFT's tie": lambda: lora(target_modules=["embed_tokens"], ensure_weight_tying=True),
}


def lora(**settings: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(**{"r": 2, "lora_alpha": 4, "task_type": "CAUSAL_LM", **settings})


def make(base: ModelRef, config: Any, out: Path, rows: int | None = None, **saving: Any) -> ModelRef:
    """Save an adapter with random weights; `rows`: of the embeddings when it was made, where they had grown."""
    from peft import get_peft_model

    torch.manual_seed(0)
    model, tokenizer = load_model(base)
    if rows is not None:
        model.resize_token_embeddings(rows)
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    adapted.save_pretrained(str(out), **{"save_embedding_layers": False, **saving})
    tokenizer.save_pretrained(out)
    return ModelRef(str(out), ModelKind.ADAPTER, base)


def renamed(adapter: ModelRef, rename: Callable[[str], str], out: Path) -> ModelRef:
    out.mkdir()
    folder = Path(adapter.location)
    save_file(
        {rename(name): tensor for name, tensor in load_file(folder / "adapter_model.safetensors").items()},
        out / "adapter_model.safetensors",
    )
    (out / "adapter_config.json").write_text((folder / "adapter_config.json").read_text())
    return dataclasses.replace(adapter, location=str(out))


def peft_logits(adapter: ModelRef) -> torch.Tensor:
    """Return the logits that PEFT itself gives, unmerged."""
    from peft import PeftModel

    return logits_of(PeftModel.from_pretrained(load_model(adapter.base)[0], adapter.location).eval())


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_tensors_without_a_module_are_counted_named_and_their_prefixes_told(wrapper, tiny, tmp_path):
    right = make(tiny["llama"], lora(target_modules=["q_proj", "v_proj"]), tmp_path / "right")
    assert adapter_misfit(right) == ""
    wrong = renamed(right, WRAPPERS[wrapper], tmp_path / "wrong")
    own = WRAPPERS[wrapper]("base_model.model.model.layers.").removesuffix("layers.")
    said = adapter_misfit(wrong)
    assert said.startswith(f"8 of 8 tensors of the adapter find no module in its base, such as {own}layers.0.self_attn")
    assert f"names begin with '{own}layers.' and the base's with 'base_model.model.model.layers.'" in said
    with pytest.raises(UnfitModel, match=r"wrong is not one of .*: 8 of 8 tensors of the adapter find no module"):
        put_adapter_on(load_model(tiny["llama"])[0], wrong)


@pytest.mark.parametrize("own", ["my_adapter", "default_0", "default.default"])
def test_an_adapters_own_name_in_its_tensors_is_told_and_taking_it_out_helps(own, tiny, tmp_path, monkeypatch):
    right = make(tiny["llama"], KINDS["lora"](), tmp_path / "right")
    named = renamed(right, lambda name: name.replace(".weight", f".{own}.weight"), tmp_path / "named")
    said = adapter_misfit(named)
    assert f"lora_A.{own.removeprefix('default.')}.weight: they have the adapter's own name in theirs" in said
    assert f"take {own.split('.')[0]!r} out of them" in said
    monkeypatch.chdir(named.location)
    exec(shlex.split(said.partition("`python")[2].rpartition("`")[0])[1], {})
    assert adapter_misfit(named) == ""
    assert torch.equal(logits_of(load_model(named)[0]), logits_of(load_model(right)[0]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_of_any_kind_fits_its_base_and_gives_pefts_logits(kind, tiny, tmp_path):
    adapter = make(tiny["llama"], KINDS[kind](), tmp_path / "adapter")
    assert adapter_misfit(adapter) == ""
    assert torch.equal(logits_of(load_model(adapter)[0]), peft_logits(adapter))


def test_prompts_and_scales_fit_too(tiny, tmp_path):
    from peft import IA3Config, PrefixTuningConfig, PromptTuningConfig

    kinds = [
        IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
        PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    ]
    for number, config in enumerate(kinds):
        assert adapter_misfit(make(tiny["llama"], config, tmp_path / str(number))) == ""


def test_a_file_of_torchs_own_format_is_looked_at_too(tiny, tmp_path):
    right = make(tiny["llama"], KINDS["lora"](), tmp_path / "right", safe_serialization=False)
    file = Path(right.location) / "adapter_model.bin"
    assert file.is_file() and adapter_misfit(right) == ""
    tensors = torch.load(file, weights_only=True)
    torch.save({WRAPPERS["compiled"](name): tensor for name, tensor in tensors.items()}, file)
    assert "8 of 8 tensors of the adapter find no module" in adapter_misfit(right)


def test_names_that_transformers_itself_renames_find_their_modules(tiny, tmp_path, monkeypatch):
    """As those of adapters that were made for an older form of Gemma 3."""
    right = make(tiny["llama"], KINDS["lora"](), tmp_path / "right")
    older = renamed(right, lambda name: name.replace("model.model.layers", "model.text.layers"), tmp_path / "older")
    assert "find no module" in adapter_misfit(older)
    network = type(load_model(tiny["llama"])[0])
    monkeypatch.setattr(network, "_checkpoint_conversion_mapping", {r"^text\.layers": "model.layers"}, raising=False)
    assert adapter_misfit(older) == ""
    assert torch.equal(logits_of(load_model(older)[0]), logits_of(load_model(right)[0]))


def test_tensors_that_a_file_lacks_are_told(tiny, tmp_path):
    adapter = make(tiny["llama"], KINDS["norms"](), tmp_path / "adapter")
    file = Path(adapter.location) / "adapter_model.safetensors"
    tensors = load_file(file)
    for left_out in ("layers.1.self_attn.q_proj", "norm.weight"):
        save_file({name: tensor for name, tensor in tensors.items() if left_out not in name}, file)
        assert "its file lacks" in adapter_misfit(adapter) and left_out in adapter_misfit(adapter)


@pytest.mark.parametrize("kind", ["lora", "dora", "parameters"])
def test_an_adapter_whose_update_is_zero_is_refused_unless_something_else_was_trained(kind, tiny, tmp_path):
    adapter = make(tiny["llama"], KINDS[kind](), tmp_path / "adapter")
    for half in ("lora_A", "lora_B"):
        zero = renamed(adapter, str, tmp_path / half)
        file = Path(zero.location) / "adapter_model.safetensors"
        save_file({name: tensor * (half not in name) for name, tensor in load_file(file).items()}, file)
        assert ("it changes nothing: all of its" in adapter_misfit(zero)) == (kind != "dora")


def test_scales_of_one_are_refused(tiny, tmp_path):
    from peft import IA3Config, get_peft_model

    config = IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    get_peft_model(load_model(tiny["llama"])[0], config).save_pretrained(str(tmp_path))
    said = adapter_misfit(ModelRef(str(tmp_path), ModelKind.ADAPTER, tiny["llama"]))
    assert said == "it changes nothing: all of its 4 vectors are 1, as before training"


@pytest.mark.slow
@pytest.mark.parametrize("way", cases(TIES, ("input, list", "output, pattern", "both, copies", "tokens", "PEFT's tie")))
def test_tied_embeddings_are_untied_where_an_adapter_changes_either_end(way, tiny, tmp_path):
    adapter = make(tiny["llama"], TIES[way](), tmp_path / "adapter", save_embedding_layers="auto")
    assert adapter_misfit(adapter) == ""
    expected = peft_logits(adapter)
    before = logits_of(load_model(tiny["llama"])[0])
    assert torch.equal(logits_of(load_model(adapter)[0]), expected)
    for merge in (True, False):
        held = ModelVersions(torch.device("cpu"), merge=lambda dtype, merge=merge: merge)
        held.become(adapter)
        torch.testing.assert_close(logits_of(held.network), expected, atol=2e-5, rtol=1e-4)
        held.become(tiny["llama"])
        assert torch.equal(logits_of(held.network), before) and held.network.config.tie_word_embeddings


@pytest.mark.slow
@pytest.mark.parametrize("way", ["both, copies", "input, list", "output, copy"])
def test_an_adapter_of_a_grown_vocabulary_says_how_to_resize_its_base(way, tiny, tmp_path, monkeypatch):
    base = tiny["llama"]
    rows = load_model(base)[0].get_input_embeddings().weight.shape[0]
    adapter = make(base, TIES[way](), tmp_path / "adapter", rows=rows + 7, save_embedding_layers=True)
    said = adapter_misfit(adapter)
    assert f"it was trained with {rows + 7} rows of embeddings, and the base has {rows}; resize the base with `" in said
    monkeypatch.chdir(tmp_path)
    exec(shlex.split(said.partition("`")[2].partition("`")[0])[2], {})
    grown = dataclasses.replace(adapter, base=ModelRef(str(tmp_path / "NEW")))
    assert adapter_misfit(grown) == ""
    assert torch.equal(logits_of(load_model(grown)[0]), peft_logits(grown))


def test_embeddings_in_an_adapters_file_leave_the_base_as_it_was(tiny, tmp_path):
    adapter = make(tiny["llama"], TIES["input, list"](), tmp_path / "adapter", save_embedding_layers=True)
    file = Path(adapter.location) / "adapter_model.safetensors"
    save_file({name: tensor + ("base_layer" in name) for name, tensor in load_file(file).items()}, file)
    held = ModelVersions(torch.device("cpu"), merge=lambda dtype: False)
    held.become(tiny["llama"])
    before = logits_of(held.network)
    held.become(adapter)
    assert torch.equal(logits_of(held.network), peft_logits(adapter))
    held.become(tiny["llama"])
    assert torch.equal(logits_of(held.network), before)
