"""Reads the config files of models and adapters, and fills in what transformers takes where a config.json is silent."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.models.architectures.shape import POSITIONS
from raysweep.models.hub import model_file
from raysweep.models.identity import read_json
from raysweep.records import ModelRef

READ = (("vocab_size", "padded_vocab_size"), POSITIONS, ("eos_token_id",))
"""What is read of configs though a config.json may leave it out, under one of some names."""


def with_defaults(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's config with what its config.json leaves out, which transformers fills in by the model's type.

    Such as gemma3's, which may lack the size of its vocabulary. Only limits and ends of texts are filled in.
    """
    lacking = [name for names in READ if not any(_has(config, name) for name in names) for name in names]
    model_type = str(config.get("model_type", ""))
    if not lacking or not _may_be_known(model_type):
        return config
    from transformers import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        return config
    try:
        whole = CONFIG_MAPPING[model_type].from_dict(dict(config)).to_dict()
    except Exception:  # fields that transformers can't read: loading the model tells
        return config
    filled, inner = (
        {name: part[name] for name in lacking if part.get(name) is not None} for part in (whole, _inner(whole))
    )
    return {**config, **filled, **({"text_config": {**_inner(config), **inner}} if inner else {})}


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else {}


def has_folder(model_type: str) -> bool:
    """Return whether transformers has a folder for a type of models. Its configs aren't imported: they bring torch."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None or not model_type.isidentifier():
        return False
    return (Path(spec.origin).parent / "models" / model_type).is_dir()


def _may_be_known(model_type: str) -> bool:
    parts = model_type.split("_")
    return any(has_folder("_".join(parts[:count])) for count in range(1, len(parts) + 1))


def _has(config: Mapping[str, Any], name: str) -> bool:
    return name in config or name in _inner(config)


def model_config(ref: ModelRef, name: str = "config.json") -> dict[str, Any] | None:
    path = model_file(ref, name)
    return None if path is None else read_json(path)


def virtual_tokens(adapter: Mapping[str, Any]) -> int:
    """Return how many positions an adapter's trained prompt takes, given its PEFT config; 0: it is no prompt."""
    number = adapter.get("num_virtual_tokens")
    return number if isinstance(number, int) else 0
