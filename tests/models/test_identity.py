"""A fingerprint is of what a model does: of its files, wherever they lie."""

from __future__ import annotations

import json
import shutil

import pytest

from raysweep.errors import UsageError
from raysweep.hashing import canonical_json
from raysweep.models.identity import fingerprint
from raysweep.records import ModelKind, ModelRef
from tests.models.tiny import make_adapter


def test_a_fingerprint_is_of_content_not_of_place(tiny, folder):
    ours = fingerprint(tiny["llama"])
    assert fingerprint(ModelRef(str(folder))) == ours and tiny["llama"].location not in json.dumps(ours)
    for name in ("README.md", "manifest.json"):
        (folder / name).write_text("{}")
    (folder / "merges_old").mkdir()  # a folder called like a file that counts
    assert fingerprint(ModelRef(str(folder))) == ours
    assert fingerprint(ModelRef(str(folder), trust_remote_code=True)) != ours


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
def test_each_file_of_a_models_identity_changes_its_fingerprint(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    found = []
    for content in (None, '{"a": 1}', '{"a": 2}'):
        if content:
            (tmp_path / name).write_text(content)
        found.append(canonical_json(fingerprint(ModelRef(str(tmp_path)))))
    assert len(set(found)) == 3


def test_a_moved_base_keeps_the_fingerprint_of_its_adapter(tiny, tmp_path):
    ref = make_adapter(tiny["llama"], tmp_path / "one")
    moved = ModelRef(str(shutil.copytree(tiny["llama"].location, tmp_path / "base")))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    path = tmp_path / "two" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": moved.location}))
    assert fingerprint(ModelRef(str(tmp_path / "two"), ModelKind.ADAPTER, moved)) == fingerprint(ref)


def test_a_config_may_have_numbers_that_json_lacks(tmp_path):
    """As those of mamba2 have (`time_step_limit`), in any file of settings, however it spells them."""
    found = []
    for number in ("Infinity", "-Infinity", "NaN", "1e999", "1.5", '"Infinity"'):
        (tmp_path / "config.json").write_text(f'{{"model_type": "mamba2", "time_step_limit": [0.0, {number}]}}')
        found.append(canonical_json(fingerprint(ModelRef(str(tmp_path)))))
    assert found[0] == found[3] and len(set(found)) == 5
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": Infinity, "loftq_config": {"a": {"b": NaN}}}')
    assert canonical_json(fingerprint(ModelRef(str(tmp_path)))) not in found


def test_files_that_this_user_may_not_read_are_told_with_the_model(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("raysweep.models.identity.sha256", refuse)  # tests may run as root, who reads everything
    with pytest.raises(UsageError, match=f"no model at {folder}: this user may not read its {folder}/"):
        fingerprint(ModelRef(str(folder)))
