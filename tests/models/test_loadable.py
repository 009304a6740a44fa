"""What transformers can't load here is told before work, with the way out."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file

from raysweep.errors import RaysweepError, UnfitModel
from raysweep.models.finding import resolve
from raysweep.models.loadable import require_whole, unloadable
from raysweep.models.loading import load_model
from tests.models.configs import GENERATED, make_random
from tests.models.test_loading import LACKING, renamed
from tests.models.test_traits import rewrite
from tests.models.tiny import cases

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}

MISSING = {
    "gptq": ({"quant_method": "gptq", "bits": 4}, "optimum"),
    "awq": ({"quant_method": "awq", "bits": 4}, "autoawq"),
    "bitsandbytes": ({"load_in_4bit": True}, "bitsandbytes"),
    "compressed-tensors": ({"quant_method": "compressed-tensors", "config_groups": {}}, "compressed[-_]tensors"),
}


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize("method", MISSING)
def test_a_package_that_quantized_weights_need_is_named(method, on_gpu):
    quantized, package = MISSING[method]
    told = unloadable("org/m", {**LLAMA, "quantization_config": quantized}, on_gpu)
    if not told:
        pytest.skip(f"needs a machine without {package}, which is installed here")
    assert told.startswith(f"org/m is quantized ({method}), ")
    assert told.endswith("take its unquantized version, or run it with `generator: vllm` and without recipes")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 reads FP8 without a GPU too")
def test_weights_that_need_a_gpu_are_told_unless_they_get_one():
    config = {**LLAMA, "quantization_config": {"quant_method": "fp8"}}
    told = unloadable("org/m", config, on_gpu=False)
    assert "org/m is quantized (fp8), which doesn't run here: No GPU" in told and "`resources.gpus`" in told
    assert unloadable("org/m", config, on_gpu=True) == ""


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_method_that_transformers_does_not_have_is_told(on_gpu):
    config = {**LLAMA, "text_config": {"quantization_config": {"quant_method": "modelopt"}}}
    assert "org/m is quantized (modelopt), which transformers" in unloadable("org/m", config, on_gpu)


def test_weights_that_are_read_as_others_where_there_is_no_gpu_are_taken():
    """transformers reads MXFP4, such as gpt-oss's, as bfloat16 then."""
    assert unloadable("org/m", {**LLAMA, "quantization_config": {"quant_method": "mxfp4"}}, on_gpu=False) == ""


WRAPPERS = [
    ("llava", "LlavaForConditionalGeneration"),
    ("mistral3", "Mistral3ForConditionalGeneration"),
    ("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
    ("blip-2", "Blip2ForConditionalGeneration"),
]


@pytest.mark.parametrize(("kind", "name"), WRAPPERS)
def test_a_model_without_a_causal_class_is_told_with_its_class(kind, name):
    told = unloadable("org/m", {"model_type": kind, "architectures": [name], "text_config": {}}, on_gpu=True)
    assert told.startswith(f"org/m is a {name} of the type {kind!r}, of which transformers ")
    assert "`generator: vllm`" in told and told.endswith("or save the text model within it as a model of its own")


@pytest.mark.parametrize("kind", ["newest", "gemma9_text"])
def test_a_type_that_transformers_does_not_know_is_told(kind):
    told = unloadable("org/m", {"model_type": kind, "architectures": ["NewestForCausalLM"]}, on_gpu=True)
    assert f"is a NewestForCausalLM of the type {kind!r}, which transformers" in told


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": {}},
        {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]},
        {"model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"]},
        {"model_type": "gpt_neox"},
        {"model_type": "own", "architectures": ["Own"], "auto_map": {"AutoModelForCausalLM": "own.Own"}},
    ],
)
def test_others_are_taken(config):
    assert unloadable("org/m", config, on_gpu=False) == ""


def test_what_still_fails_at_load_names_the_model_and_the_way_out(tmp_path):
    make_random("llama", tmp_path)
    rewrite(tmp_path / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    if not unloadable("m", {"quantization_config": {"quant_method": "awq", "bits": 4}, **LLAMA}, on_gpu=False):
        pytest.skip("needs a machine without autoawq, which is installed here")
    with pytest.raises(
        RaysweepError, match=rf"model {tmp_path} can't be loaded: .*(autoawq|gptqmodel).*`generator: vllm`"
    ):
        load_model(resolve(str(tmp_path)).ref())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_weights_that_are_cut_off_are_told_before_work_and_not_tried_again(name, tmp_path):
    make_random("llama", tmp_path)
    weights = tmp_path / name
    if name.endswith(".bin"):
        torch.save(load_file(tmp_path / "model.safetensors"), weights)
        (tmp_path / "model.safetensors").unlink()
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    for use in (require_whole, load_model):
        with pytest.raises(UnfitModel, match=rf"{weights} is damaged or .*; copy or download it again"):
            use(resolve(str(tmp_path)).ref())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_of_weights_that_did_not_come_is_told_before_work(name, tmp_path):
    make_random("llama", tmp_path)
    weights = tmp_path / "model.safetensors"
    stem, _, kind = name.partition(".")
    names = dict.fromkeys(load_file(weights), f"{stem}-2.{kind}")
    weights.rename(tmp_path / f"{stem}-1.{kind}")
    (tmp_path / f"{name}.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(UnfitModel, match=rf"{stem}-2\.{kind} isn't there, and {name}\.index\.json names it"):
        require_whole(resolve(str(tmp_path)).ref())


def test_weights_may_lie_beside_other_values(tmp_path):
    make_random("llama", tmp_path)
    weights = tmp_path / "model.safetensors"
    torch.save({**load_file(weights), "epoch": 3}, tmp_path / "pytorch_model.bin")
    weights.unlink()
    said = require_whole(resolve(str(tmp_path)).ref())
    assert said.startswith("its files hold 1 tensor, such as epoch, without a place")


@pytest.mark.parametrize(("names", "message"), LACKING)
def test_weights_that_files_lack_are_told_without_reading_any(names, message, tmp_path):
    make_random("llama", tmp_path, tie_word_embeddings=False, num_hidden_layers=2)
    renamed(tmp_path, names)
    with pytest.raises(UnfitModel, match=message):
        require_whole(resolve(str(tmp_path)).ref())


@pytest.mark.parametrize("name", cases(GENERATED, ["llama", "gpt2", "gemma3n_text", "mamba", "codegen"]))
def test_whole_models_are_taken(name, tmp_path):
    require_whole(make_random(name, tmp_path))
