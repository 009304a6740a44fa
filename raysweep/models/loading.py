"""Finds models in folders or on the hub, loads them, and identifies their content.

`resolve` checks before work starts that a model exists and can be loaded; `load_model` loads any kind of model (full
weights, adapter, delta); `fingerprint` identifies a model in keys.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.errors import MissingInput, RaysweepError, UsageError, did_you_mean
from raysweep.hashing import canonical_json, sha256
from raysweep.machine import is_out_of_memory, keep_imports
from raysweep.models.deltas import DELTA_FILE, apply_delta
from raysweep.models.hub import hub_config
from raysweep.records import ModelKind, ModelRef
from raysweep.rows.hub import cache_alone
from raysweep.storage.artefacts import DROPPED

DTYPES = ("float32", "bfloat16", "float16")
WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin")
VOCABULARIES = ("tokenizer.*", "vocab*", "*.model", "*.spm", "*.tiktoken")
"""Tokenizer files, of which every usable model has at least one."""
OTHERS = ("*config.json", "*.index.json", "*.py", "special_tokens_map.json", "added_tokens.json")
CHAT_TEMPLATES = ("*.jinja", "*/*.jinja", "chat_template.json")
IDENTITY = (*WEIGHTS, *VOCABULARIES, *OTHERS, *CHAT_TEMPLATES, "merges*", "bpe.codes")
"""The files of a model's folder that determine what the model and its tokenizer do, its own code included."""
LOCATION_FIELDS = ("_name_or_path", "name_or_path", "base_model_name_or_path", "revision")
"""Fields of config files that say where a model was stored. They are left out of its fingerprint."""
_IMPORTING = threading.Lock()
"""Held while transformers' classes are imported, which must not happen twice at a time."""


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that exists.

    `revision`: a hub model's commit, None for a folder. `model_type`: the family's name. `positions`: the longest text
    in tokens, None if the config doesn't say.
    """

    location: str
    model_type: str
    kind: ModelKind = ModelKind.FULL
    revision: str | None = None
    trust_remote_code: bool = False
    architecture: str = "causal"
    base: ResolvedModel | None = None
    positions: int | None = None

    def ref(self, dtype: str = "float32", eos_token: str | None = None) -> ModelRef:
        """Return the reference to load this model from; `eos_token`: for a tokenizer that names none."""
        base = self.base.ref(dtype, eos_token) if self.base else None
        return ModelRef(
            self.location,
            self.kind,
            base,
            dtype,
            self.revision,
            self.trust_remote_code,
            self.architecture,
            eos_token,
        )


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
        if _is_path(location, folder):
            why = _why_no_model(folder)
            is_mistake = folder.exists() or "did you mean" in why
            raise (UsageError if is_mistake else MissingInput)(f"no model at {location}: {why}")
        config, commit = hub_config(location, revision)
        return _resolved(location, config, trust_remote_code, commit)
    folder = folder.absolute()  # workers run in other folders, and an adapter may name its base by a relative path
    if (folder / "config.json").is_file():
        _require(folder, location, WEIGHTS, "weights (model.safetensors)")
        if not trust_remote_code:  # with trust, the tokenizer may be code from the repository
            _require(folder, location, VOCABULARIES, "tokenizer (tokenizer.json)")
        return _resolved(str(folder), _read_json(folder / "config.json"), trust_remote_code, None)
    if (folder / "adapter_config.json").is_file():
        return _resolved_adapter(folder, location, trust_remote_code, adapters)
    raise UsageError(f"no model at {location}: {_why_no_model(folder)}")


def load_model(ref: ModelRef) -> tuple[Any, Any]:
    """Load a model in `ref.dtype`, on the CPU, in evaluation mode, and its tokenizer.

    Raises:
        RaysweepError: transformers can't load the model, or an adapter or delta has no base.
    """
    auto_model()  # before anything else imports a part of transformers
    tokenizer = load_tokenizer(ref)
    if ref.kind is ModelKind.FULL:
        return _load_full(ref).eval(), tokenizer
    if ref.base is None:
        raise RaysweepError(f"{ref.location} is an {ref.kind} without a base model to apply it to")
    model, _ = load_model(ref.base)
    if ref.kind is ModelKind.DELTA:
        apply_delta(model, Path(ref.location))
        return model, tokenizer
    return put_adapter_on(model, ref).eval(), tokenizer


def put_adapter_on(model: Any, ref: ModelRef) -> Any:
    """Return PEFT's model of a loaded base and an adapter; the base's modules are changed in place.

    Raises:
        RaysweepError: the adapter's tensors don't fit the base.
    """
    from peft import PeftModel

    head = model.get_output_embeddings()
    name = next((name.rpartition(".")[2] for name, module in model.named_modules() if module is head), None)
    if name in _adapter_targets(ref):
        untie_embeddings(model)
    try:
        return PeftModel.from_pretrained(model, ref.location, revision=ref.revision, **cache_alone(ref.location))
    except (RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        # the first line says nothing: "Error(s) in loading state_dict"
        base = ref.base.location if ref.base else "its base"
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = next((line for line in lines if "size mismatch" in line), lines[0] if lines else repr(error))
        raise RaysweepError(f"the adapter {ref.location} is not one of {base}: {why}") from error


def silence_deepspeed() -> None:
    """Keep DeepSpeed from writing to stdout that it looked for a GPU in vain.

    Where it is installed, transformers and accelerate import it to save models and to unwrap them.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def _adapter_targets(ref: ModelRef) -> Sequence[str]:
    """Return the names of the modules that an adapter updates; empty where its config gives a pattern."""
    targets = adapter_config(ref).get("target_modules")  # prompt tuning has none
    return () if targets is None or isinstance(targets, str) else tuple(targets)


def adapter_config(ref: ModelRef) -> dict[str, Any]:
    """Return PEFT's config of an adapter, with its defaults."""
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(ref.location, revision=ref.revision, **cache_alone(ref.location))
    return dict(config.to_dict())


def auto_model(architecture: str = "causal") -> Any:
    """Return transformers' class that loads and builds models, `causal` or `seq2seq` ones.

    Where they are installed, transformers imports scikit-learn for assisted generation and scipy for the losses of
    models of images, which nothing here uses: a third of the time that a process needs before its first model. Python's
    garbage collection, which finds nothing in modules that are just being made, would take a fifth of the rest.
    """
    with _IMPORTING:
        return _auto_models()[architecture]


@cache
def _auto_models() -> dict[str, Any]:
    """Return transformers' classes by architecture, imported once, and torch with them."""
    collects = gc.isenabled()
    gc.disable()
    try:
        silence_deepspeed()
        with _as_if_not_installed("scipy", "sklearn"):
            from transformers import (
                AutoModelForCausalLM,
                AutoModelForSeq2SeqLM,
                PreTrainedModel,  # noqa: F401 loads the modules behind it
            )
        keep_imports()
    finally:
        if collects:
            gc.enable()
    return {"causal": AutoModelForCausalLM, "seq2seq": AutoModelForSeq2SeqLM}


@contextlib.contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    """Have transformers' modules that are imported in this block take packages for missing."""
    from transformers import utils
    from transformers.utils import import_utils

    names = [f"is_{package}_available" for package in packages]
    places = [(module, name) for module in (utils, import_utils) for name in names if hasattr(module, name)]
    real = [getattr(module, name) for module, name in places]
    try:
        for module, name in places:
            setattr(module, name, lambda: False)
        yield
    finally:
        for (module, name), function in zip(places, real, strict=True):
            setattr(module, name, function)


def empty_network(ref: ModelRef) -> Any:
    """Return the network of a full model without data: shapes only (torch's device meta)."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        ref.location, revision=ref.revision, trust_remote_code=ref.trust_remote_code, **cache_alone(ref.location)
    )
    with torch.device("meta"):
        return auto_model().from_config(config, trust_remote_code=ref.trust_remote_code)


def adapter_misfit(ref: ModelRef) -> str:
    """Return why an adapter in a folder can't be put on its base, which is a full model; empty if it can."""
    import torch
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    file = Path(ref.location) / "adapter_model.safetensors"
    if ref.base is None or ref.base.kind is not ModelKind.FULL or not file.exists():
        return ""
    silence_deepspeed()
    try:
        with torch.device("meta"):
            adapted = get_peft_model(empty_network(ref.base), PeftConfig.from_pretrained(ref.location))
        with safe_open(file, "pt") as tensors:
            names = tensors.keys()
            shapes = {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    except (ValueError, TypeError, KeyError, SafetensorError) as error:  # such as modules that the base doesn't have
        return _first_line(error)
    wanted = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(adapted).items()}
    for name, shape in shapes.items():
        if wanted.get(name, shape) != shape:
            return f"{name} is {shape} in the adapter, and {wanted[name]} fits the base"
    return ""


def untie_embeddings(model: Any) -> None:
    """Give a model output embeddings of their own, in place, if it shares them with the input embeddings.

    An update of lm_head that is merged would change the input embeddings too.
    """
    import torch

    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight is embeddings.weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
        model.config.tie_word_embeddings = False


def load_tokenizer(ref: ModelRef) -> Any:
    """Load a model's fast tokenizer; an adapter or delta that has none uses its base's.

    Raises:
        RaysweepError: the tokenizer can't be loaded, isn't a fast one (with offsets), or has no end-of-text token.
    """
    from transformers import AutoTokenizer

    if ref.base is not None and not (Path(ref.location) / "tokenizer_config.json").is_file():
        return load_tokenizer(ref.base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            ref.location, revision=ref.revision, trust_remote_code=ref.trust_remote_code, **cache_alone(ref.location)
        )
    except Exception as error:  # a damaged file raises whatever its parser raises
        raise RaysweepError(f"the tokenizer of {ref.location} can't be loaded: {_first_line(error)}") from error
    if not tokenizer.is_fast:
        raise RaysweepError(f"the model {ref.location} lacks a fast tokenizer (tokenizer.json), which raysweep needs")
    if ref.eos_token is not None:
        if ref.eos_token not in tokenizer.get_vocab():
            raise RaysweepError(f"the tokenizer of {ref.location} has no token {ref.eos_token!r} (`eos_token`)")
        tokenizer.eos_token = ref.eos_token
    if tokenizer.eos_token_id is None:
        raise RaysweepError(
            f"the tokenizer of {ref.location} has no end-of-text token, at which completions end; name one of its "
            "tokens with the model's key `eos_token`"
        )
    return tokenizer


def has_end_of_text(ref: ModelRef) -> bool:
    """Return True if the files of a folder show that its tokenizer has an end-of-text token; loads nothing."""
    settings = Path(ref.location) / "tokenizer_config.json"
    return ref.eos_token is None and settings.is_file() and bool(_read_json(settings).get("eos_token"))


def fingerprint(ref: ModelRef) -> dict[str, Any]:
    """Identify a model's content for keys, without any path: file hashes of a folder, id and commit of a hub model."""
    folder = Path(ref.location).expanduser()
    content: dict[str, Any] = {"kind": str(ref.kind)}
    if folder.is_dir():
        files = {path for pattern in IDENTITY for path in folder.glob(pattern) if path.is_file()}
        content["files"] = {str(path.relative_to(folder)): _content_sha(path) for path in sorted(files)}
        settings = folder / "tokenizer_config.json"
        if settings.is_file() and _read_json(settings).get("clean_up_tokenization_spaces"):
            content["decoded"] = "exactly"  # completions were rewritten before; those of other tokenizers weren't
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


def weight_bytes(folder: Path) -> int:
    """Return the size of the weights in a model's folder; 0 for anything else, such as a hub id."""
    by_format = (list(folder.expanduser().glob(pattern)) for pattern in WEIGHTS)
    return sum(path.stat().st_size for path in next((paths for paths in by_format if paths), []))


def torch_dtype(name: str) -> Any:
    """Return the torch dtype called `name`; raise UsageError unless it is one of `DTYPES`."""
    import torch

    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}{did_you_mean(name, DTYPES)}; known: {', '.join(DTYPES)}")
    return getattr(torch, name)


def _load_full(ref: ModelRef) -> Any:
    try:
        return auto_model(ref.architecture).from_pretrained(
            ref.location,
            revision=ref.revision,
            dtype=torch_dtype(ref.dtype),
            trust_remote_code=ref.trust_remote_code,
            **cache_alone(ref.location),
        )
    except (OSError, ValueError) as error:
        raise RaysweepError(f"the model {ref.location} can't be loaded: {_first_line(error)}") from error


def _resolved(location: str, config: Mapping[str, Any], trust: bool, commit: str | None) -> ResolvedModel:
    model_type = str(config.get("model_type", ""))
    if "auto_map" in config and not trust:
        from transformers import CONFIG_MAPPING

        if model_type not in CONFIG_MAPPING:
            raise UsageError(
                f"model {location} needs code from its repository; if you trust it, set `trust_remote_code: true`"
            )
    architecture = "seq2seq" if config.get("is_encoder_decoder") else "causal"
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    longest = positions if isinstance(positions, int) else None
    return ResolvedModel(location, model_type, ModelKind.FULL, commit, trust, architecture, positions=longest)


def _resolved_adapter(folder: Path, location: str, trust: bool, adapters: tuple[Path, ...]) -> ResolvedModel:
    _require(folder, location, WEIGHTS, "weights (adapter_model.safetensors)")
    config = _read_json(folder / "adapter_config.json")
    base_location, base_revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base_location, str) or not base_location.strip():
        raise UsageError(f"no model at {location}: its adapter_config.json has no `base_model_name_or_path`; add it")
    if folder.resolve() in adapters:
        raise UsageError(f"no model at {location}: this adapter is its own base; correct its `base_model_name_or_path`")
    moved = _in_moved_store(folder, base_location)
    base = _resolve(moved or base_location, base_revision or None, trust, (*adapters, folder.resolve()))
    return ResolvedModel(
        str(folder), base.model_type, ModelKind.ADAPTER, None, trust, base.architecture, base, base.positions
    )


def _in_moved_store(adapter: Path, base: str) -> str:
    """Return where the base of a store's adapter is since the store has moved; empty if the base is where it was."""
    _, artefacts, below = base.rpartition("/artefacts/")
    if not artefacts or Path(base).is_dir() or "artefacts" not in adapter.parts:
        return ""
    at = len(adapter.parts) - 1 - adapter.parts[::-1].index("artefacts")
    found = Path(*adapter.parts[: at + 1], below)
    return str(found) if found.is_dir() else ""


def _require(folder: Path, location: str, patterns: Sequence[str], label: str) -> None:
    if not any(path for pattern in patterns for path in folder.glob(pattern)):
        raise UsageError(f"no model at {location}: the folder has no {label}; save it there with save_pretrained")


def _is_path(location: str, path: Path) -> bool:
    """Return True if a text that names no folder can't be a hub id, which has at most one slash, between two names."""
    return path.exists() or location.startswith(("/", ".", "~")) or location.count("/") > 1 or location.endswith("/")


def _why_no_model(path: Path) -> str:
    """Explain why a path is not a model's folder."""
    if path.is_dir():
        if (path / DELTA_FILE).is_file():
            return "the folder holds a delta, which needs its base model"
        if (path / DROPPED).is_file():
            return "its weights were dropped once they were judged; `keep_models: all` in its sweep trains them again"
        return "the folder has no config.json; save the model there with save_pretrained"
    if path.exists():
        return "it is a file; give the folder that save_pretrained wrote"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return f"there is no such folder{did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])}"


def _content_sha(path: Path) -> str:
    """Hash a file's content; leave `LOCATION_FIELDS` out of config files, so that moving a model keeps its key."""
    if path.name.endswith("config.json"):
        config = {key: value for key, value in _read_json(path).items() if key not in LOCATION_FIELDS}
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
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, KeyError) else (str(error).strip() or name).splitlines()[0]
