"""Identifies a model's content in keys, by the files of its folder or the commit of the hub."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from raysweep.errors import UnfitModel, UsageError
from raysweep.hashing import canonical_json, sha256, text_sha
from raysweep.models.hub import hub_config, read_json
from raysweep.records import ModelRef

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin")
VOCABULARIES = ("tokenizer.*", "vocab*", "*.model", "*.spm", "*.tiktoken")
"""Tokenizer files, of which every usable model has at least one."""
OTHERS = ("*config.json", "*.index.json", "*.py", "special_tokens_map.json", "added_tokens.json")
CHAT_TEMPLATES = ("*.jinja", "*/*.jinja", "chat_template.json")
IDENTITY = (*WEIGHTS, *VOCABULARIES, *OTHERS, *CHAT_TEMPLATES, "merges*", "bpe.codes")
"""The files of a model's folder that determine what the model and its tokenizer do, its own code included."""
LOCATION_FIELDS = ("_name_or_path", "name_or_path", "base_model_name_or_path", "revision")
"""Fields of config files that say where a model was stored. They are left out of its fingerprint."""


def fingerprint(ref: ModelRef) -> dict[str, Any]:
    """Identify a model's content for keys, without any path: file hashes of a folder, id and commit of a hub model.

    Raises:
        UsageError: this user may not read a file of the folder.
    """
    folder = Path(ref.location).expanduser()
    content: dict[str, Any] = {"kind": str(ref.kind)}
    if folder.is_dir():
        files = {path for pattern in IDENTITY for path in folder.glob(pattern) if path.is_file()}
        try:
            content["files"] = {str(path.relative_to(folder)): _content_sha(path) for path in sorted(files)}
        except PermissionError as error:
            raise UsageError(f"no model at {ref.location}: this user may not read its {error.filename}") from None
    else:
        content["hub"] = ref.location
        content["commit"] = hub_config(ref.location, ref.revision)[1]
    if ref.trust_remote_code:
        content["trust_remote_code"] = True
    if ref.eos_token is not None:
        content["eos_token"] = ref.eos_token
    if ref.base is not None:
        content["base"] = fingerprint(ref.base)
    return content


def weight_files(folder: Path, name: str = "model.safetensors") -> list[Path]:
    """Return the files that transformers loads; others may lie beside them, such as averaged weights.

    `name`: of the file of a small model, whose index names those of a large one: of safetensors, or pytorch_model.bin.

    Raises:
        UnfitModel: the index names a file that isn't there.
    """
    whole, index = folder / name, folder / f"{name}.index.json"
    if whole.is_file():
        return [whole]
    named = read_json(index).get("weight_map", {}).values() if index.is_file() else ()
    files = sorted({folder / name for name in named})
    if lost := next((file for file in files if not file.is_file()), None):
        raise UnfitModel(f"{lost} isn't there, and {index.name} names it; copy or download it again")
    return files


def weight_bytes(folder: Path) -> int:
    """Return the size of the weights in a model's folder; 0 for anything else, such as a hub id."""
    by_format = (list(folder.expanduser().glob(pattern)) for pattern in WEIGHTS)
    return sum(path.stat().st_size for path in next((paths for paths in by_format if paths), []))


def _content_sha(path: Path) -> str:
    """Hash a file's content; leave `LOCATION_FIELDS` out of config files, so that moving a model keeps its key."""
    if path.name.endswith("config.json"):
        config = {key: value for key, value in read_json(path).items() if key not in LOCATION_FIELDS}
        return text_sha(canonical_json(_finite(config)))
    return sha256(path)


def _finite(value: Any) -> Any:
    """Return a JSON value with texts in place of infinite numbers, such as mamba2's `time_step_limit` has."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
