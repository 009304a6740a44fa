"""Models are found in folders, in stores that have moved, and on the hub; what is none is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import MissingInput, UsageError
from raysweep.hashing import canonical_json
from raysweep.models import finding, identity
from raysweep.models.finding import resolve
from raysweep.models.identity import fingerprint
from raysweep.models.loading import load_model
from raysweep.models.traits import read_traits
from raysweep.records import ModelKind, ModelRef
from tests.models.tiny import make_adapter


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").rename(f / "dropped.json"), "its weights were dropped once they were evaluated"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: (f / "tokenizer.json").unlink(), r"no tokenizer \(tokenizer.json\)"),
        (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
        (lambda f: f.rename(f.parent / "llama-tinny"), "did you mean 'llama-tinny'"),
        (lambda f: shutil.rmtree(f.parent), "there is no folder"),
        (lambda f: (shutil.rmtree(f), f.touch()), "it is a file"),
    ],
)
def test_a_path_that_is_no_model_says_what_is_missing(folder, change, message):
    change(folder)
    with pytest.raises(UsageError, match=message):
        resolve(str(folder))


@pytest.mark.parametrize(("location", "missing"), [("./mdl", "here/mdl"), ("../mdl/best", "mdl")])
def test_a_path_that_is_not_there_is_told_whole(location, missing, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(MissingInput, match=f"no model at {location}: there is no folder {tmp_path / missing}$"):
        resolve(location)


def test_a_relative_folder_and_base_become_absolute(folder, monkeypatch):
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
def test_an_adapter_that_names_no_base_or_has_no_weights_is_refused(base, tmp_path):
    with pytest.raises(UsageError, match="has no `base_model_name_or_path`"):
        resolve(str(bare_adapter(tmp_path / "a", base)))
    (bare_adapter(tmp_path / "b", "org/model") / "adapter_model.safetensors").unlink()
    with pytest.raises(UsageError, match="no weights"):
        resolve(str(tmp_path / "b"))


def test_adapters_in_a_circle_are_refused(tmp_path):
    for name, base in (("self", "self"), ("a", "b"), ("b", "a")):
        bare_adapter(tmp_path / name, str(tmp_path / base))
    for name in ("self", "a"):
        with pytest.raises(UsageError, match="its own base"):
            resolve(str(tmp_path / name))


def test_an_adapter_on_an_adapter_is_refused(tiny, tmp_path):
    bare_adapter(tmp_path / "first", tiny["llama"].location)
    bare_adapter(tmp_path / "second", str(tmp_path / "first"))
    bare_adapter(tmp_path / "third", str(tmp_path / "second"))
    for name, base in (("second", "first"), ("third", "first")):
        told = rf"its base {tmp_path / base} is an adapter itself; merge that one into .*{tiny['llama'].location}"
        with pytest.raises(UsageError, match=told):
            resolve(str(tmp_path / name))


@pytest.mark.parametrize("tokens", [1, 20, 100])
def test_a_trained_prompt_takes_positions(tokens, tiny, tmp_path):
    base = resolve(tiny["llama"].location)
    adapter = bare_adapter(tmp_path / "a", base.location)
    settings = adapter / "adapter_config.json"
    fields = {**json.loads(settings.read_text()), "peft_type": "PROMPT_TUNING", "num_virtual_tokens": tokens}
    settings.write_text(json.dumps(fields))
    found = resolve(str(adapter))
    assert base.positions is not None and found.positions == base.positions - tokens
    traits = read_traits(found.ref())
    assert traits.positions == found.positions
    settings.write_text(json.dumps({**fields, "num_virtual_tokens": base.positions}))
    with pytest.raises(UsageError, match="virtual tokens takes all of the"):
        resolve(str(adapter))


GEMMA3 = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"]}


@pytest.mark.parametrize(
    ("config", "rows", "positions"),
    [
        ({**GEMMA3, "text_config": {"hidden_size": 32}}, 262208, 131072),
        ({**GEMMA3, "text_config": {"vocab_size": 300}}, 300, 131072),
        (GEMMA3, 262208, 131072),
        ({"model_type": "llama"}, 32000, 2048),
        ({"model_type": "gpt2", "n_positions": 77}, 50257, 77),
        ({"model_type": "mamba"}, 50280, None),
        ({"model_type": "unheard-of"}, None, None),
    ],
)
def test_what_a_config_leaves_out_is_what_transformers_fills_in(config, rows, positions, folder):
    (folder / "config.json").write_text(json.dumps(config))
    found = resolve(str(folder))
    assert found.positions == positions
    traits = read_traits(found.ref())
    assert (traits.rows, traits.positions) == (rows, positions)


def with_hub(monkeypatch: pytest.MonkeyPatch, answer: Callable[..., tuple[dict[str, Any], str | None]]) -> None:
    """Have a pretended hub give configs and commits."""
    for module in (finding, identity):
        monkeypatch.setattr(module, "hub_config", answer)


def test_a_hub_id_resolves_to_its_commit(monkeypatch):
    with_hub(monkeypatch, lambda *_: ({"model_type": "t5", "is_encoder_decoder": True}, "c0ffee"))
    resolved = resolve("org/model").ref("bfloat16")
    assert resolved == ModelRef("org/model", dtype="bfloat16", revision="c0ffee", architecture="seq2seq")
    assert fingerprint(resolved) == {"kind": "full", "hub": "org/model", "commit": "c0ffee"}


def test_code_in_the_repository_needs_trust(monkeypatch):
    config = {"model_type": "homemade", "auto_map": {"AutoModelForCausalLM": "modeling.Home"}}
    with_hub(monkeypatch, lambda *_: (config, "c0ffee"))
    with pytest.raises(UsageError, match="trust_remote_code: true"):
        resolve("org/model")
    assert resolve("org/model", trust_remote_code=True).trust_remote_code
    config["model_type"] = "llama"
    assert not resolve("org/model").trust_remote_code  # transformers has its own code for it


def test_an_adapters_base_is_looked_up_in_the_revision_that_it_names(tmp_path, monkeypatch):
    commits = {None: "newest", "v1": "first"}
    with_hub(monkeypatch, lambda _, revision: ({"model_type": "llama"}, commits.get(revision, revision)))
    settings = {"base_model_name_or_path": "org/model", "revision": None}
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    keys = []
    for revision, commit in commits.items():
        (tmp_path / "adapter_config.json").write_text(json.dumps({**settings, "revision": revision}))
        resolved = resolve(str(tmp_path))
        assert resolved.base.revision == commit
        keys.append(canonical_json(fingerprint(resolved.ref())))
    assert keys[0] != keys[1]


def test_an_adapter_finds_its_base_where_its_store_has_moved(tiny, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    base = Path(shutil.copytree(tiny["llama"].location, old / "artefacts" / "base_model" / "ab" / "key"))
    make_adapter(ModelRef(str(base)), old / "artefacts" / "model" / "cd" / "key")
    old.rename(new)
    found = resolve(str(new / "artefacts" / "model" / "cd" / "key"))
    assert found.base.location == str(new / "artefacts" / "base_model" / "ab" / "key")
    model, _ = load_model(found.ref())
    assert model.peft_config
    shutil.rmtree(new / "artefacts" / "base_model")
    with pytest.raises(UsageError, match=r"no model at .*old/artefacts/base_model"):
        resolve(str(new / "artefacts" / "model" / "cd" / "key"))


def test_an_adapter_that_was_saved_with_its_bases_config_is_an_adapter(tiny, tmp_path):
    make_adapter(tiny["llama"], tmp_path)
    shutil.copy(Path(tiny["llama"].location) / "config.json", tmp_path)
    assert resolve(str(tmp_path)).kind is ModelKind.ADAPTER


def test_a_full_model_beside_an_adapters_config_is_refused(tiny, tmp_path):
    make_adapter(tiny["llama"], tmp_path)
    shutil.copytree(tiny["llama"].location, tmp_path, dirs_exist_ok=True)
    with pytest.raises(
        UsageError, match=r"is both: model.safetensors is a full model's, adapter_config.json an adapter's"
    ):
        resolve(str(tmp_path))
