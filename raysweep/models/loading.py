"""Models on disk or on the hub -> loaded models, and what identifies their content.

`resolve` answers before work starts whether a model can be had; `load_model` loads any kind of it (full weights,
adapter, delta); `fingerprint` is what stands for a model in keys. How the hub is asked: `raysweep.models.hub`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError, UsageError, did_you_mean
from raysweep.models.deltas import FILE as DELTA_FILE
from raysweep.models.deltas import apply_delta
from raysweep.models.hub import hub_config
from raysweep.records import ModelKind, ModelRef, canonical_json
from raysweep.storage.digests import sha256

DTYPES = ("float32", "bfloat16", "float16")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin")
CONFIGS = ("*config.json", "*.index.json", "*.py")
VOCABULARIES = ("tokenizer.*", "vocab*", "*.model", "*.tiktoken")
"""Files of which a model that transformers can read text for has at least one."""
TOKENIZERS = ("tokenizer.*", "special_tokens_map.json", "added_tokens.json", "merges.txt", "vocab*", "*.spm", "*.jinja")
PLACES = ("_name_or_path", "name_or_path", "base_model_name_or_path", "revision")
"""Fields of config files that say where something lay, not what it is."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that exists. `revision`: a hub model's commit, None for a folder. `model_type`: its family's name."""

    location: str
    model_type: str
    kind: ModelKind = ModelKind.FULL
    revision: str | None = None
    trust_remote_code: bool = False
    architecture: str = "causal"
    base: ResolvedModel | None = None

    def ref(self, dtype: str = "float32") -> ModelRef:
        """Return how to load it."""
        base = self.base.ref(dtype) if self.base else None
        return ModelRef(self.location, self.kind, base, dtype, self.revision, self.trust_remote_code, self.architecture)


def resolve(location: str, revision: str | None = None, trust_remote_code: bool = False) -> ResolvedModel:
    """Find a model: a folder with weights or a PEFT adapter, else a hub id.

    Raises:
        UsageError: it is neither, lacks a file, is gated, can't be reached, or needs code from its repository that
            isn't trusted; an adapter names no base, or itself.
    """
    return _resolve(location, revision, trust_remote_code, above=())


def _resolve(location: str, revision: str | None, trust_remote_code: bool, above: tuple[Path, ...]) -> ResolvedModel:
    """Do what `resolve` says. `above`: the adapters whose base this is."""
    folder = Path(location).expanduser()
    if not folder.is_dir():
        if _is_path(location, folder):
            raise UsageError(f"no model at {location}: {_what_is_there(folder)}")
        config, commit = hub_config(location, revision)
        return _resolved(location, config, trust_remote_code, commit)
    folder = folder.absolute()  # workers run in other folders, and adapters name their base
    if (folder / "config.json").is_file():
        _require(folder, location, WEIGHTS, "weights (model.safetensors)")
        if not trust_remote_code:  # else the tokenizer may be code, too
            _require(folder, location, VOCABULARIES, "tokenizer (tokenizer.json)")
        return _resolved(str(folder), _read_json(folder / "config.json"), trust_remote_code, None)
    if (folder / "adapter_config.json").is_file():
        return _resolved_adapter(folder, location, trust_remote_code, above)
    raise UsageError(f"no model at {location}: {_what_is_there(folder)}")


def load_model(ref: ModelRef) -> tuple[Any, Any]:
    """Load a model and its tokenizer, in `ref.dtype`, on the CPU, in evaluation mode.

    Raises:
        RaysweepError: transformers can't load it, or an adapter or delta lacks its base.
    """
    tokenizer = load_tokenizer(ref)
    if ref.kind is ModelKind.FULL:
        return _load_full(ref).eval(), tokenizer
    if ref.base is None:
        raise RaysweepError(f"{ref.location} is an {ref.kind} without a base model to apply it to")
    model, _ = load_model(ref.base)
    if ref.kind is ModelKind.DELTA:
        apply_delta(model, Path(ref.location))
        return model, tokenizer
    from peft import PeftModel

    return PeftModel.from_pretrained(model, ref.location, revision=ref.revision).eval(), tokenizer


def load_tokenizer(ref: ModelRef) -> Any:
    """Load a model's fast tokenizer; an adapter or delta without one of its own takes its base's.

    Raises:
        RaysweepError: there is none, it is not a fast one (no offsets), or it has no end-of-text token.
    """
    from transformers import AutoTokenizer

    if ref.base is not None and not (Path(ref.location) / "tokenizer_config.json").is_file():
        return load_tokenizer(ref.base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            ref.location, revision=ref.revision, trust_remote_code=ref.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise RaysweepError(f"the tokenizer of {ref.location} can't be loaded: {_first_line(error)}") from error
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        lack = "an end-of-text token" if tokenizer.is_fast else "a fast tokenizer (tokenizer.json)"
        raise RaysweepError(f"the model {ref.location} lacks {lack}, which raysweep needs")
    return tokenizer


def fingerprint(ref: ModelRef) -> dict[str, Any]:
    """Return what a model's content is, for keys: file hashes of a folder, id and commit of a hub model; no path."""
    folder = Path(ref.location).expanduser()
    found: dict[str, Any] = {"kind": str(ref.kind)}
    if folder.is_dir():
        files = {path for pattern in (*WEIGHTS, *CONFIGS, *TOKENIZERS) for path in folder.glob(pattern)}
        found["files"] = {path.name: _content_sha(path) for path in sorted(files)}
    else:
        found["hub"] = ref.location
        found["commit"] = hub_config(ref.location, ref.revision)[1]
    if ref.base is not None:
        found["base"] = fingerprint(ref.base)
    return found


def weight_bytes(folder: Path) -> int:
    """Return the size of the weights in a model's folder; 0 where it isn't one, as of a hub id."""
    kinds = (list(folder.expanduser().glob(pattern)) for pattern in WEIGHTS)
    return sum(path.stat().st_size for path in next((paths for paths in kinds if paths), []))


def torch_dtype(name: str) -> Any:
    """Return torch's dtype of that name; raise UsageError when it is none that models are loaded in."""
    import torch

    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}{did_you_mean(name, DTYPES)}; known: {', '.join(DTYPES)}")
    return getattr(torch, name)


def _load_full(ref: ModelRef) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    auto = AutoModelForSeq2SeqLM if ref.architecture == "seq2seq" else AutoModelForCausalLM
    try:
        return auto.from_pretrained(
            ref.location,
            revision=ref.revision,
            dtype=torch_dtype(ref.dtype),
            trust_remote_code=ref.trust_remote_code,
        )
    except (OSError, ValueError) as error:
        raise RaysweepError(f"the model {ref.location} can't be loaded: {_first_line(error)}") from error


def _resolved(location: str, config: Mapping[str, Any], trust: bool, commit: str | None) -> ResolvedModel:
    model_type = str(config.get("model_type", ""))
    if "auto_map" in config and not trust:
        from transformers import CONFIG_MAPPING

        if model_type not in CONFIG_MAPPING:
            raise UsageError(
                f"model {location} brings Python code of its own; if you trust it, set `trust_remote_code: true`"
            )
    architecture = "seq2seq" if config.get("is_encoder_decoder") else "causal"
    return ResolvedModel(location, model_type, ModelKind.FULL, commit, trust, architecture)


def _resolved_adapter(folder: Path, location: str, trust: bool, above: tuple[Path, ...]) -> ResolvedModel:
    _require(folder, location, WEIGHTS, "weights (adapter_model.safetensors)")
    named = _read_json(folder / "adapter_config.json").get("base_model_name_or_path")
    if not isinstance(named, str) or not named.strip():
        raise UsageError(f"no model at {location}: its adapter_config.json has no `base_model_name_or_path`; add it")
    if folder.resolve() in above:
        raise UsageError(f"no model at {location}: this adapter is its own base; mend its `base_model_name_or_path`")
    base = _resolve(named, None, trust, (*above, folder.resolve()))
    return ResolvedModel(str(folder), base.model_type, ModelKind.ADAPTER, None, trust, base.architecture, base)


def _require(folder: Path, location: str, patterns: Sequence[str], what: str) -> None:
    if not any(path for pattern in patterns for path in folder.glob(pattern)):
        raise UsageError(f"no model at {location}: the folder has no {what}; save it there with save_pretrained")


def _is_path(location: str, path: Path) -> bool:
    """Whether a text that names no folder can only mean a path: a hub id has one slash at most, between two names."""
    return path.exists() or location.startswith(("/", ".", "~")) or location.count("/") > 1 or location.endswith("/")


def _what_is_there(path: Path) -> str:
    """Say what is missing at a path that should be a model's folder."""
    if path.is_dir():
        if (path / DELTA_FILE).is_file():
            return "the folder holds a delta, which needs its base model"
        return "the folder has no config.json; save the model there with save_pretrained"
    if path.exists():
        return "it is a file; give the folder that save_pretrained wrote"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return f"there is no such folder{did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])}"


def _content_sha(path: Path) -> str:
    """Hash a file's content; of a config file without the places it names, so that moving a model keeps its key."""
    if path.name.endswith("config.json"):
        config = {key: value for key, value in _read_json(path).items() if key not in PLACES}
        return hashlib.sha256(canonical_json(config).encode()).hexdigest()
    return sha256(path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a JSON object")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
