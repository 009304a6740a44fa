"""Finds models in folders or on the hub, and checks before work starts that they exist and can be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.models.architectures.shape import positions_of
from raysweep.models.config_files import virtual_tokens, with_defaults
from raysweep.models.deltas import DELTA_FILE
from raysweep.models.hub import hub_config, read_json
from raysweep.models.identity import VOCABULARIES, WEIGHTS
from raysweep.records import ModelKind, ModelRef
from raysweep.storage.artefacts import DROPPED


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that exists.

    `revision`: a hub model's commit, None for a folder. `model_type`: the family's name. `positions`: the longest text
    in tokens, beside an adapter's trained prompt, None if the config doesn't say.
    """

    location: str
    model_type: str
    kind: ModelKind = ModelKind.FULL
    revision: str | None = None
    trust_remote_code: bool = False
    architecture: str = "causal"
    base: ResolvedModel | None = None
    positions: int | None = None

    def ref(
        self,
        dtype: str = "float32",
        eos_token: str | None = None,
        quantize: str | None = None,
        attention: str | None = None,
    ) -> ModelRef:
        base = self.base.ref(dtype, eos_token, quantize, attention) if self.base else None
        about = self.revision, self.trust_remote_code, self.architecture
        return ModelRef(self.location, self.kind, base, dtype, *about, eos_token, quantize, attention)


def resolve(location: str, revision: str | None = None, trust_remote_code: bool = False) -> ResolvedModel:
    """Find a model: a folder with weights or a PEFT adapter, else a hub id.

    Raises:
        UsageError: the location is neither; the model lacks a file or needs code from its repository that isn't
            trusted; an adapter names no base or is its own base.
        MissingInput: there is no such folder; the model is gated or can't be reached.
    """
    return _resolve(location, revision, trust_remote_code, adapters=())


def _resolve(location: str, revision: str | None, trust_remote_code: bool, adapters: tuple[Path, ...]) -> ResolvedModel:
    """Resolve a model; `adapters` are the folders whose base it is, directly or not, to detect circles."""
    folder = Path(location).expanduser()
    if not folder.is_dir():
        is_path = location.startswith(("/", ".", "~")) or location.count("/") > 1 or location.endswith("/")
        if is_path or folder.exists():  # no hub id, which has at most one slash, between two names
            raise (UsageError if folder.exists() else MissingInput)(f"no model at {location}: {_why_no_model(folder)}")
        config, commit = hub_config(location, revision)
        return _resolved(location, config, trust_remote_code, commit)
    folder = folder.absolute()  # workers run in other folders, and an adapter may name its base by a relative path
    is_adapter = _is_adapter(folder, location)
    if not is_adapter and (folder / "config.json").is_file():
        _require(folder, location, WEIGHTS, "weights (model.safetensors)")
        if not trust_remote_code:  # with trust, the tokenizer may be code from the repository
            _require(folder, location, VOCABULARIES, "tokenizer (tokenizer.json)")
        return _resolved(str(folder), read_json(folder / "config.json"), trust_remote_code, None)
    if is_adapter:
        return _resolved_adapter(folder, location, trust_remote_code, adapters)
    raise UsageError(f"no model at {location}: {_why_no_model(folder)}")


def has_end_of_text(ref: ModelRef) -> bool:
    """Return True if the files of a folder show that its tokenizer has an end-of-text token; loads nothing."""
    settings = Path(ref.location) / "tokenizer_config.json"
    return ref.eos_token is None and settings.is_file() and bool(read_json(settings).get("eos_token"))


def _resolved(location: str, config: Mapping[str, Any], trust: bool, commit: str | None) -> ResolvedModel:
    model_type = str(config.get("model_type", ""))
    if "auto_map" in config and not trust:
        from transformers import CONFIG_MAPPING

        if model_type not in CONFIG_MAPPING:
            raise UsageError(
                f"model {location} needs code from its repository; if you trust it, set `trust_remote_code: true`"
            )
    config = with_defaults(config)
    architecture = "seq2seq" if config.get("is_encoder_decoder") else "causal"
    positions = positions_of(config)
    return ResolvedModel(location, model_type, ModelKind.FULL, commit, trust, architecture, positions=positions)


def _resolved_adapter(folder: Path, location: str, trust: bool, adapters: tuple[Path, ...]) -> ResolvedModel:
    _require(folder, location, WEIGHTS, "weights (adapter_model.safetensors)")
    config = read_json(folder / "adapter_config.json")
    base_location, base_revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base_location, str) or not base_location.strip():
        raise UsageError(f"no model at {location}: its adapter_config.json has no `base_model_name_or_path`; add it")
    if folder.resolve() in adapters:
        raise UsageError(f"no model at {location}: this adapter is its own base; correct its `base_model_name_or_path`")
    moved = _in_moved_store(folder, base_location)
    base = _resolve(moved or base_location, base_revision or None, trust, (*adapters, folder.resolve()))
    if base.kind is ModelKind.ADAPTER:
        raise UsageError(
            f"no model at {location}: its base {base_location} is an adapter itself; merge that one into its own base "
            f"({base.base.location if base.base else ''}) and name the merged model as `base_model_name_or_path`"
        )
    prompt, positions = virtual_tokens(config), base.positions
    if positions is not None and prompt >= positions:
        raise UsageError(
            f"model {location} can't be run: its prompt of {prompt:,} virtual tokens takes all of the {positions:,} "
            f"positions of its base {base.location}; train one of fewer tokens"
        )
    left = positions - prompt if positions is not None else None
    return ResolvedModel(str(folder), base.model_type, ModelKind.ADAPTER, None, trust, base.architecture, base, left)


def _in_moved_store(adapter: Path, base: str) -> str:
    _, artefacts, below = base.rpartition("/artefacts/")
    if not artefacts or Path(base).is_dir() or "artefacts" not in adapter.parts:
        return ""
    at = len(adapter.parts) - 1 - adapter.parts[::-1].index("artefacts")
    folder = Path(*adapter.parts[: at + 1], below)
    return str(folder) if folder.is_dir() else ""


def _require(folder: Path, location: str, patterns: Sequence[str], label: str) -> None:
    if not any(path for pattern in patterns for path in folder.glob(pattern)):
        raise UsageError(f"no model at {location}: the folder has no {label}; save it there with save_pretrained")


def _is_adapter(folder: Path, location: str) -> bool:
    """Return whether a folder holds an adapter, which some tools save with its base's config.json.

    Raises:
        UsageError: it holds a full model's weights too, in whose place transformers would load the adapter's base.
    """
    if not (folder / "adapter_config.json").is_file():
        return False
    own = [path.name for pattern in WEIGHTS for path in folder.glob(pattern) if not path.name.startswith("adapter_")]
    if own and (folder / "config.json").is_file():
        raise UsageError(
            f"model {location} is both: {min(own)} is a full model's, adapter_config.json an adapter's; move one of "
            "them to a folder of its own"
        )
    return True


def _why_no_model(path: Path) -> str:
    if path.is_dir():
        if (path / DELTA_FILE).is_file():
            return "the folder holds a delta, which needs its base model"
        if (path / DROPPED).is_file():
            return (
                "its weights were dropped once they were evaluated; `keep_models: all` in its sweep trains them again"
            )
        return "the folder has no config.json; save the model there with save_pretrained"
    if path.exists():
        return "it is a file; give the folder that save_pretrained wrote"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent.resolve()}"
    similar = did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    return f"there is no folder {path.resolve()}{similar}"
