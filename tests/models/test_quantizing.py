"""Bases in 4 and 8 bits: what is kept of them, what bitsandbytes must be, and what they write."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from raysweep.models.architectures.shape import LINEAR_BYTES, shape_of
from raysweep.models.hub import read_json
from raysweep.models.loadable import unloadable
from raysweep.models.loading import load_model
from raysweep.models.quantizing import missing_quantizer, number_of, trained_in
from raysweep.models.versions import ModelVersions
from raysweep.records import Decoding, GenerationRequest, ModelKind, ModelRef
from tests.generators.writing import create, texts_of_generate
from tests.models.tiny import logits_of, make_adapter
from tests.tiny import make_tiny, pairs

pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.slow

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
CONFIGS = {"nf4": {**NF4, "bnb_4bit_compute_dtype": torch.float32}, "int8": {"load_in_8bit": True}}
SHARE = {"nf4": 0.02, "int8": 0.03}
"""How much the bytes of a tiny model's tensors may differ from those of the formula, for the scales of short rows."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny("llama", tmp_path_factory.mktemp("base"), hidden_size=128, intermediate_size=256)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return make_adapter(base, tmp_path_factory.mktemp("adapter"))


@pytest.mark.parametrize("quantize", CONFIGS)
@pytest.mark.parametrize("family", ["llama", pytest.param("t5", marks=pytest.mark.long)])
def test_linear_layers_of_blocks_are_held_in_so_many_bits(family, quantize, base, tmp_path):
    base = base if family == "llama" else make_tiny(family, tmp_path, d_model=128, d_ff=256)
    network, _ = load_model(dataclasses.replace(base, quantize=quantize))
    shape = shape_of(load_model(base)[0].config.to_dict())
    assert sum(number_of(weights) for weights in network.parameters()) == shape.weights
    assert network.get_memory_footprint() == pytest.approx(shape.quantized(quantize).held_bytes(4), rel=SHARE[quantize])
    assert network.get_output_embeddings().weight.dtype == torch.float32
    assert shape_of(network.config.to_dict()).linear_bytes == LINEAR_BYTES[quantize], "as `plan` reads it"


@pytest.mark.parametrize("quantize", CONFIGS)
def test_an_adapter_on_it_writes_what_peft_writes(quantize, base, adapter):
    theirs = AutoModelForCausalLM.from_pretrained(
        base.location, quantization_config=BitsAndBytesConfig(**CONFIGS[quantize]), dtype=torch.float32
    )
    for module in theirs.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # else it computes in bf16 on CPUs that have that
    theirs, (_, tokenizer) = PeftModel.from_pretrained(theirs, adapter.location).eval(), load_model(base)
    prompts = [prompt for prompt, _ in pairs(6)]
    generator = create(dataclasses.replace(adapter, base=dataclasses.replace(base, quantize=quantize)), Decoding(16))
    written = generator.generate([GenerationRequest(str(n), str(n), prompt) for n, prompt in enumerate(prompts)])
    assert [one.text for one in written] == texts_of_generate(theirs, tokenizer, prompts, 16)
    assert not generator.facts()["merged"], "what is merged into 4 bits is rounded to these"


@pytest.mark.parametrize("quantize", CONFIGS)
def test_files_that_bitsandbytes_quantized_can_be_loaded_and_compute_the_same(quantize, base, tmp_path):
    network, tokenizer = load_model(dataclasses.replace(base, quantize=quantize))
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert unloadable(str(tmp_path), read_json(tmp_path / "config.json"), on_gpu=False) == ""
    assert torch.equal(logits_of(load_model(ModelRef(str(tmp_path)))[0]), logits_of(network))


def test_the_base_is_what_it_was_after_an_adapter_and_no_other_model_is_copied_into_it(base, adapter, tmp_path):
    quantized = dataclasses.replace(base, quantize="nf4")
    other = dataclasses.replace(make_tiny("llama", tmp_path, hidden_size=128, intermediate_size=256), quantize="nf4")
    versions = ModelVersions(torch.device("cpu"), lambda dtype: True)
    versions.become(quantized)
    before = logits_of(versions.network)
    versions.become(dataclasses.replace(adapter, base=quantized))
    assert not torch.equal(logits_of(versions.network), before)
    versions.become(quantized)
    assert torch.equal(logits_of(versions.network), before)
    versions.become(other)
    assert versions.loads == 2, "its tensors have another form than the files'"


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, 0.5 + 2.5 / 128),
        ({"quant_method": "awq", "bits": 4, "group_size": -1}, 0.5),
        ({"load_in_4bit": True}, 0.5 + 4 / 64),
        ({"quant_method": "mxfp4"}, None),
    ],
)
def test_the_memory_of_files_that_are_quantized_is_known_where_they_say_it(written, held, base):
    config = load_model(base)[0].config.to_dict()
    assert shape_of(config | {"quantization_config": written}).linear_bytes == held


@pytest.mark.parametrize("quantize", CONFIGS)
def test_a_bitsandbytes_without_code_for_the_device_is_told_with_the_way_out(quantize, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("Configured ROCm binary not found at libbitsandbytes_rocm62.so\nmore")

    missing_quantizer.cache_clear()
    assert missing_quantizer(quantize, on_gpu=False) == ""
    missing_quantizer.cache_clear()
    monkeypatch.setattr("bitsandbytes.functional.quantize_4bit", broken)
    monkeypatch.setattr("bitsandbytes.functional.int8_vectorwise_quant", broken)
    told = missing_quantizer(quantize, on_gpu=False)
    assert told.startswith(f"`quantize: {quantize}` needs bitsandbytes, and ") and "has no code for CPUs: Conf" in told
    assert told.endswith("'") and "; pip install 'bitsandbytes" in told
    missing_quantizer.cache_clear()
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    assert "needs bitsandbytes: " in missing_quantizer(quantize, on_gpu=False)
    missing_quantizer.cache_clear()


@pytest.mark.parametrize(
    ("card", "held"),
    [
        (
            "- load_in_8bit: False\n- load_in_4bit: True\n- bnb_4bit_quant_type: fp4",
            "fp4",
        ),
        ("adapter: qlora\nload_in_8bit: false\nload_in_4bit: true\n", "nf4"),
        ("load_in_8bit: true\nadapter: lora\n", "int8"),
        ("# A model\n", ""),
    ],
)
def test_how_the_base_of_an_adapter_was_held_is_read_from_its_card(card, held, tmp_path):
    (tmp_path / "README.md").write_text(card)
    assert trained_in(ModelRef(str(tmp_path), ModelKind.ADAPTER)) == held
