"""Models, adapters and deltas load as they were saved."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raysweep.errors import RaysweepError, UnfitModel, UsageError
from raysweep.models.deltas import save_delta
from raysweep.models.finding import resolve
from raysweep.models.loading import disable_cudnn_attention, load_model, load_tokenizer
from raysweep.records import ModelKind, ModelRef
from tests.models.configs import make_random
from tests.models.tiny import FAMILIES


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_resolves_to_what_loads(family, tiny):
    resolved = resolve(tiny[family].location)
    assert (resolved.model_type, resolved.kind, resolved.revision) == (family, ModelKind.FULL, None)
    assert resolved.ref() == tiny[family]
    model, tokenizer = load_model(resolved.ref())
    assert model.config.model_type == family and not model.training and tokenizer.eos_token


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_loads_in_the_dtype_asked_for_whatever_it_was_saved_in(dtype, tiny, tmp_path):
    model, tokenizer = load_model(tiny["llama"])
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, _ = load_model(ModelRef(str(tmp_path), dtype=dtype))
    assert {p.dtype for p in loaded.parameters()} == {getattr(torch, dtype)}


def test_an_unknown_dtype_is_refused(tiny):
    with pytest.raises(UsageError, match=r"'float23'.*did you mean 'float32'"):
        load_model(ModelRef(tiny["llama"].location, dtype="float23"))


def test_a_delta_loads_on_its_base(tiny, tmp_path):
    model, _ = load_model(tiny["codegen"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.lm_head.bias.add_(1)
    save_delta(model, before, tmp_path)
    loaded, _ = load_model(ModelRef(str(tmp_path), ModelKind.DELTA, tiny["codegen"]))
    assert torch.equal(loaded.lm_head.bias, model.lm_head.bias)


def test_an_adapter_needs_its_base(tiny, tmp_path):
    shutil.copy(Path(tiny["llama"].location) / "tokenizer.json", tmp_path)
    shutil.copy(Path(tiny["llama"].location) / "tokenizer_config.json", tmp_path)
    with pytest.raises(RaysweepError, match="without a base"):
        load_model(ModelRef(str(tmp_path), ModelKind.ADAPTER))


def test_a_tokenizer_without_an_end_is_refused(folder):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if path.exists():
            content = json.loads(path.read_text())
            content.pop("eos_token", None)
            path.write_text(json.dumps(content))
    with pytest.raises(RaysweepError, match="end-of-text"):
        load_tokenizer(ModelRef(str(folder)))


@pytest.mark.slow
@pytest.mark.parametrize("is_own", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_model_is_loaded_without_what_nothing_uses(tiny, is_own):
    code = (
        "import gc, sys\n"
        "from raysweep.machine import own_process\n"
        "from raysweep.models.loading import load_model\n"
        "from raysweep.records import ModelRef\n"
        f"own_process() if {is_own} else None\n"
        "model, _ = load_model(ModelRef(sys.argv[1]))\n"
        "print(type(model).__name__, [name for name in ('scipy', 'sklearn') if name in sys.modules], gc.isenabled())\n"
        "print('frozen' if gc.get_freeze_count() > 100_000 else 'as it was')\n"
        "from transformers.utils import import_utils, is_scipy_available\n"
        "print(is_scipy_available(), import_utils.is_scipy_available())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tiny["llama"].location], capture_output=True, text=True, check=True
    )
    garbage = "frozen" if is_own else "as it was"
    assert done.stdout.splitlines() == ["LlamaForCausalLM [] True", garbage, "True True"], done.stderr


def test_evaluation_leaves_the_weights_of_rwkv_as_they_are(tmp_path):
    """transformers would halve those of every sixth block, and take other versions' weights for halved ones."""
    model, _ = load_model(make_random("rwkv", tmp_path))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(input_ids=torch.arange(4)[None], use_cache=False)
    assert model.config.num_hidden_layers > 6
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def renamed(folder: Path, names: dict[str, str | None]) -> None:
    """Rename a saved model's tensors by the beginnings of their names; None: leave these out."""
    tensors = load_file(folder / "model.safetensors")
    for begin, new in names.items():
        for name in [name for name in tensors if name.startswith(begin)]:
            tensor = tensors.pop(name)
            if new is not None:
                tensors[new + name.removeprefix(begin)] = tensor
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


LACKING: list[tuple[dict[str, str | None], str]] = [
    ({"model.": "m.model.", "lm_head.": "m.lm_head."}, r"lacks (\d+) of \1 weights, .* others, such as m\.lm_head"),
    ({"model.layers.1.": None}, r"lacks 9 of \d+ weights, such as model\.layers\.1\."),
    ({"lm_head.": None}, r"lacks 1 of \d+ weights, such as lm_head\.weight, which would be random; save it whole"),
]
"""Changes of the names in a model's file, and what is told."""


@pytest.mark.parametrize(("names", "message"), LACKING)
def test_a_model_whose_files_lack_weights_is_refused(names, message, tmp_path):
    make_random("llama", tmp_path, tie_word_embeddings=False, num_hidden_layers=2)
    renamed(tmp_path, names)
    with pytest.raises(UnfitModel, match=message):
        load_model(resolve(str(tmp_path)).ref())


@pytest.mark.parametrize(("device", "is_used"), [("cuda", False), ("cpu", True)])
def test_attention_on_accelerators_is_computed_without_cudnn(device, is_used):
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        disable_cudnn_attention(torch.device(device))
        assert torch.backends.cuda.cudnn_sdp_enabled() == is_used
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
