from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.errors import RaysweepError, UsageError
from raysweep.hashing import canonical_json
from raysweep.models import loading
from raysweep.models.deltas import save_delta
from raysweep.models.finding import resolve
from raysweep.models.identity import fingerprint
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.records import ModelKind, ModelRef
from tests.models.tiny import FAMILIES


@pytest.fixture
def folder(tiny: dict[str, ModelRef], tmp_path: Path) -> Path:
    """A copy of a model that may be changed."""
    return Path(shutil.copytree(tiny["llama"].location, tmp_path / "llama-tiny"))


def make_adapter(base: ModelRef, out: Path) -> ModelRef:
    from peft import LoraConfig, get_peft_model

    model, _ = load_model(base)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(str(out), save_embedding_layers=False)
    return ModelRef(str(out), ModelKind.ADAPTER, base)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_resolves_to_what_loads(family: str, tiny: dict[str, ModelRef]) -> None:
    resolved = resolve(tiny[family].location)
    assert (resolved.model_type, resolved.kind, resolved.revision) == (family, ModelKind.FULL, None)
    assert resolved.ref() == tiny[family]
    model, tokenizer = load_model(resolved.ref())
    assert model.config.model_type == family and not model.training and tokenizer.eos_token


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_model_loads_in_the_dtype_asked_for_whatever_it_was_saved_in(
    dtype: str, tiny: dict[str, ModelRef], tmp_path: Path
) -> None:
    model, tokenizer = load_model(tiny["llama"])
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, _ = load_model(ModelRef(str(tmp_path), dtype=dtype))
    assert {p.dtype for p in loaded.parameters()} == {getattr(torch, dtype)}


def test_an_unknown_dtype_is_refused(tiny: dict[str, ModelRef]) -> None:
    with pytest.raises(UsageError, match=r"'float23'.*did you mean 'float32'"):
        load_model(ModelRef(tiny["llama"].location, dtype="float23"))


def test_an_adapter_loads_on_its_base_and_changes_it(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    ref = make_adapter(tiny["llama"], tmp_path)
    assert resolve(str(tmp_path)).ref() == ref
    model, tokenizer = load_model(ref)
    ids = torch.tensor([tokenizer("def f(x):\n")["input_ids"]])
    base, _ = load_model(tiny["llama"])
    assert not torch.equal(model(input_ids=ids).logits, base(input_ids=ids).logits)


def test_a_delta_loads_on_its_base(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    model, _ = load_model(tiny["codegen"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.lm_head.bias.add_(1)
    save_delta(model, before, tmp_path)
    loaded, _ = load_model(ModelRef(str(tmp_path), ModelKind.DELTA, tiny["codegen"]))
    assert torch.equal(loaded.lm_head.bias, model.lm_head.bias)


def test_an_adapter_needs_its_base(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    shutil.copy(Path(tiny["llama"].location) / "tokenizer.json", tmp_path)
    shutil.copy(Path(tiny["llama"].location) / "tokenizer_config.json", tmp_path)
    with pytest.raises(RaysweepError, match="without a base"):
        load_model(ModelRef(str(tmp_path), ModelKind.ADAPTER))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").rename(f / "dropped.json"), "its weights were dropped once they were judged"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: (f / "tokenizer.json").unlink(), r"no tokenizer \(tokenizer.json\)"),
        (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
        (lambda f: f.rename(f.parent / "llama-tinny"), "did you mean 'llama-tinny'"),
        (lambda f: shutil.rmtree(f.parent), "there is no folder"),
    ],
)
def test_a_path_that_is_no_model_says_what_is_missing(folder: Path, change: Any, message: str) -> None:
    change(folder)
    with pytest.raises(UsageError, match=message):
        resolve(str(folder))


def test_a_relative_folder_and_base_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert resolve("llama-tiny").location == str(folder)
    adapter = bare_adapter(folder.parent / "adapter", "llama-tiny")
    assert resolve("adapter").ref() == ModelRef(str(adapter), ModelKind.ADAPTER, ModelRef(str(folder)))


def bare_adapter(folder: Path, base: object) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    (folder / "adapter_model.safetensors").write_bytes(b"0")
    return folder


@pytest.mark.parametrize("base", [None, "", 3])
def test_an_adapter_that_names_no_base_is_refused(base: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no `base_model_name_or_path`"):
        resolve(str(bare_adapter(tmp_path / "a", base)))


def test_an_adapter_without_weights_is_refused(tmp_path: Path) -> None:
    folder = bare_adapter(tmp_path / "a", "org/model")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights"):
        resolve(str(folder))


def test_adapters_in_a_circle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its own base"):
        resolve(str(bare_adapter(tmp_path / "self", str(tmp_path / "self"))))
    bare_adapter(tmp_path / "a", str(tmp_path / "b"))
    bare_adapter(tmp_path / "b", str(tmp_path / "a"))
    with pytest.raises(UsageError, match="its own base"):
        resolve(str(tmp_path / "a"))


def test_a_file_is_no_model(folder: Path) -> None:
    with pytest.raises(UsageError, match="it is a file"):
        resolve(str(folder / "config.json"))


def test_a_hub_id_resolves_to_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "hub_config", lambda *_: ({"model_type": "t5", "is_encoder_decoder": True}, "c0ffee"))
    resolved = resolve("org/model").ref("bfloat16")
    assert resolved == ModelRef("org/model", dtype="bfloat16", revision="c0ffee", architecture="seq2seq")
    assert fingerprint(resolved) == {"kind": "full", "hub": "org/model", "commit": "c0ffee"}


def test_code_in_the_repository_needs_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"model_type": "homemade", "auto_map": {"AutoModelForCausalLM": "modeling.Home"}}
    monkeypatch.setattr(loading, "hub_config", lambda *_: (config, "c0ffee"))
    with pytest.raises(UsageError, match="trust_remote_code: true"):
        resolve("org/model")
    assert resolve("org/model", trust_remote_code=True).trust_remote_code
    config["model_type"] = "llama"
    assert not resolve("org/model").trust_remote_code  # transformers has its own code for it


def test_a_tokenizer_without_an_end_is_refused(folder: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if path.exists():
            content = json.loads(path.read_text())
            content.pop("eos_token", None)
            path.write_text(json.dumps(content))
    with pytest.raises(RaysweepError, match="end-of-text"):
        load_tokenizer(ModelRef(str(folder)))


def test_a_fingerprint_is_of_content_not_of_place(tiny: dict[str, ModelRef], folder: Path) -> None:
    assert fingerprint(ModelRef(str(folder))) == fingerprint(tiny["llama"])
    assert tiny["llama"].location not in json.dumps(fingerprint(tiny["llama"]))
    (folder / "README.md").write_text("notes")
    (folder / "manifest.json").write_text("{}")
    assert fingerprint(ModelRef(str(folder))) == fingerprint(tiny["llama"])


IDENTITY_FILES = (
    "model-00001-of-00002.safetensors",
    "pytorch_model-00001-of-00002.bin",
    "adapter_model.bin",
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "model.safetensors.index.json",
    "modeling_own.py",
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "qwen.tiktoken",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "bpe.codes",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/tool_use.jinja",
)


@pytest.mark.parametrize("name", IDENTITY_FILES)
def test_each_file_of_a_models_identity_changes_its_fingerprint(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    found = []
    for content in (None, '{"a": 1}', '{"a": 2}'):
        if content:
            (tmp_path / name).write_text(content)
        found.append(canonical_json(fingerprint(ModelRef(str(tmp_path)))))
    assert len(set(found)) == 3


def test_a_folder_called_like_such_a_file_is_none(tmp_path: Path) -> None:
    before = fingerprint(ModelRef(str(tmp_path)))
    (tmp_path / "merges_old").mkdir()
    assert fingerprint(ModelRef(str(tmp_path))) == before


def test_a_tokenizer_whose_texts_were_rewritten_has_another_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"clean_up_tokenization_spaces": true}')
    assert fingerprint(ModelRef(str(tmp_path)))["decoded"] == "exactly"
    (tmp_path / "tokenizer_config.json").write_text('{"clean_up_tokenization_spaces": false}')
    assert "decoded" not in fingerprint(ModelRef(str(tmp_path)))


def test_other_files_and_the_right_to_run_code(tmp_path: Path) -> None:
    before = fingerprint(ModelRef(str(tmp_path)))
    (tmp_path / "README.md").write_text("a card")
    assert fingerprint(ModelRef(str(tmp_path))) == before
    assert fingerprint(ModelRef(str(tmp_path), trust_remote_code=True)) != before


def test_an_adapters_base_is_looked_up_in_the_revision_that_it_names(tmp_path, monkeypatch) -> None:
    commits = {None: "newest", "v1": "first"}
    monkeypatch.setattr(
        loading, "hub_config", lambda _, revision: ({"model_type": "llama"}, commits.get(revision, revision))
    )
    settings = {"base_model_name_or_path": "org/model", "revision": None}
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    keys = []
    for revision, commit in commits.items():
        (tmp_path / "adapter_config.json").write_text(json.dumps({**settings, "revision": revision}))
        resolved = resolve(str(tmp_path))
        assert resolved.base is not None and resolved.base.revision == commit
        keys.append(canonical_json(fingerprint(resolved.ref())))
    assert keys[0] != keys[1]


def test_an_adapter_finds_its_base_where_its_store_has_moved(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    base = Path(shutil.copytree(tiny["llama"].location, old / "artefacts" / "base_model" / "ab" / "key"))
    make_adapter(ModelRef(str(base)), old / "artefacts" / "model" / "cd" / "key")
    old.rename(new)
    found = resolve(str(new / "artefacts" / "model" / "cd" / "key"))
    assert found.base is not None and found.base.location == str(new / "artefacts" / "base_model" / "ab" / "key")
    model, _ = load_model(found.ref())
    assert model.peft_config
    shutil.rmtree(new / "artefacts" / "base_model")
    with pytest.raises(UsageError, match=r"no model at .*old/artefacts/base_model"):
        resolve(str(new / "artefacts" / "model" / "cd" / "key"))


def test_a_moved_base_keeps_the_fingerprint_of_its_adapter(tiny: dict[str, ModelRef], tmp_path: Path) -> None:
    ref = make_adapter(tiny["llama"], tmp_path / "one")
    moved = ModelRef(str(shutil.copytree(tiny["llama"].location, tmp_path / "base")))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    path = tmp_path / "two" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": moved.location}))
    assert fingerprint(ModelRef(str(tmp_path / "two"), ModelKind.ADAPTER, moved)) == fingerprint(ref)


@pytest.mark.slow
@pytest.mark.parametrize("is_own", [False, True])
def test_a_model_is_loaded_without_what_nothing_uses(tiny: dict[str, ModelRef], is_own: bool) -> None:
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
