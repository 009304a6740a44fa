"""An adapter is shown to act, and to give the same logits once it is merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import UnfitModel
from raysweep.generators.base import GENERATORS
from raysweep.models.deltas import save_delta
from raysweep.models.loading import load_model
from raysweep.models.versions import ModelVersions
from raysweep.models.whole_texts import needs_cache
from raysweep.records import Decoding, ModelKind, ModelRef, Spec
from tests.models.test_adapters import KINDS, TIES, lora, make
from tests.models.test_versions import in_bfloat16, make_adapter
from tests.models.tiny import FAMILIES
from tests.tiny import requests

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*tie.*")]


def held(ref: ModelRef, merge: bool = True) -> ModelVersions:
    versions = ModelVersions(torch.device("cpu"), merge=lambda dtype: merge)
    versions.become(ref)
    return versions


def scaled(adapter: ModelRef, factor: float) -> ModelRef:
    """Make an adapter's update smaller, in place."""
    file = Path(adapter.location) / "adapter_model.safetensors"
    save_file({name: tensor * factor for name, tensor in load_file(file).items()}, file)
    return adapter


@pytest.mark.parametrize("way", ["input, list", "output, pattern", "both, list"])
def test_an_adapter_that_changes_more_when_merged_is_refused_with_the_way_out(way, tiny, tmp_path, monkeypatch):
    adapter = make(tiny["llama"], TIES[way](), tmp_path)
    monkeypatch.setattr("raysweep.models.adapters.untie_if_changed", lambda adapted: None)
    with pytest.raises(UnfitModel, match=r"other logits once it is merged .* spread, .*merge: false"):
        held(adapter)
    assert held(adapter, merge=False).remark == ""


@pytest.mark.parametrize("way", ["lora", "lm_head", "ia3"])
@pytest.mark.parametrize("family", FAMILIES)
def test_rounding_of_16_bits_is_not_held_against_a_merged_adapter(family, way, tiny, tmp_path):
    assert held(in_bfloat16(make_adapter(tiny[family], family, way, tmp_path))).is_merged


def test_an_adapter_of_modules_that_are_not_called_is_refused(tiny, tmp_path, monkeypatch):
    """As with fused kernels, which read the weights of a module and don't call it."""
    from torch.nn.functional import linear
    from transformers.models.llama.modeling_llama import LlamaMLP

    def fused(self: Any, x: torch.Tensor) -> torch.Tensor:
        inside = self.act_fn(linear(x, self.gate_proj.weight)) * linear(x, self.up_proj.weight)
        return linear(inside, self.down_proj.weight)

    monkeypatch.setattr(LlamaMLP, "forward", fused)
    for number, targets in enumerate((["down_proj"], ["gate_proj", "up_proj"], r".*mlp\..*_proj")):
        adapter = make(tiny["llama"], lora(target_modules=targets), tmp_path / str(number))
        with pytest.raises(UnfitModel, match=r"changes nothing: .* doesn't call the modules that it updates"):
            held(adapter)
    assert not held(make(tiny["llama"], lora(target_modules=["q_proj", "up_proj"]), tmp_path / "both"), False).remark


def test_an_update_below_rounding_or_of_other_tokens_is_remarked_and_no_error(tiny, tmp_path):
    weak = scaled(make(tiny["llama"], KINDS["lora"](), tmp_path / "weak"), 1e-6)
    copied = make(tiny["llama"], TIES["input, copy"](), tmp_path / "copied")
    file = Path(copied.location) / "adapter_model.safetensors"
    tensors = {name: tensor * ("lora_B" not in name) for name, tensor in load_file(file).items()}
    rows = load_model(tiny["llama"])[0].get_input_embeddings().weight.detach().clone()
    rows[-1] += 1
    save_file({**tensors, "base_model.model.model.embed_tokens.weight": rows}, file)
    network, _ = load_model(tiny["codegen"])  # not tied
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        network.get_input_embeddings().weight[-1] += 1
    (tmp_path / "delta").mkdir()
    save_delta(network, before, tmp_path / "delta")
    delta = ModelRef(str(tmp_path / "delta"), ModelKind.DELTA, tiny["codegen"])
    for ref in (weak, copied, delta):
        assert f"the {ref.kind} {ref.location} gives two short prompts the very logits of its base" in held(ref).remark


def test_the_generator_says_so_of_the_versions_concerned(tiny, tmp_path):
    weak = scaled(make(tiny["llama"], KINDS["lora"](), tmp_path / "weak"), 1e-6)
    token = load_model(tiny["llama"])[0].get_input_embeddings().weight.shape[0] - 1
    tokens = lora(target_modules=["q_proj"], trainable_token_indices=[token])
    said: list[str] = []
    generator = GENERATORS.create(Spec("transformers"), model=weak, decoding=Decoding(2))
    generator.tell = said.append
    generator.generate(requests(1))
    assert len(said) == 1 and "very logits" in said[0] and "cache" not in generator.facts()
    generator.use(scaled(make(tiny["llama"], tokens, tmp_path / "tokens"), 1.5))
    generator.generate(requests(1))
    assert len(said) == 1


def test_prompts_that_were_tuned_are_not_merged(tiny, tmp_path):
    from peft import PromptTuningConfig

    prompt = make(tiny["llama"], PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), tmp_path)
    assert not held(prompt).is_merged


def test_what_peft_can_not_merge_says_so(tiny, tmp_path):
    adapter = make(tiny["llama"], lora(target_modules=["q_proj"], alora_invocation_tokens=[5, 6]), tmp_path)
    with pytest.raises(UnfitModel, match=r"PEFT can't merge the adapter .*merge: false"):
        held(adapter)


def test_it_takes_a_few_passes(tiny, tmp_path):
    versions = held(tiny["llama"])
    needs_cache(versions.network)  # once a base
    passes: list[int] = []
    versions.network.model.layers[0].register_forward_hook(lambda *_: passes.append(1))
    versions.become(make(tiny["llama"], KINDS["lora"](), tmp_path))
    assert len(passes) <= 12


@pytest.mark.parametrize("targets", [["q_proj"], ["down_proj", "lm_head"], "all-linear"])
def test_an_adapter_with_biases_that_peft_cannot_merge_names_the_way_out(targets, tiny, tmp_path):
    """Its base has no biases that it could be merged into."""
    from peft import LoraConfig

    config = LoraConfig(r=2, target_modules=targets, lora_bias=True, task_type="CAUSAL_LM")
    adapter = make(tiny["llama"], config, tmp_path)
    with pytest.raises(UnfitModel, match=r"can't merge the adapter .*bias.*merge: false"):
        held(adapter)
    assert not held(adapter, merge=False).is_merged
