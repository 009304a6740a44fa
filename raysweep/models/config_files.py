"""Fills in what transformers takes where a config.json is silent, and says what of a generation_config isn't used.

Settings of a generation_config that change what transformers' `generate` writes aren't used: every model is decoded as
`evaluation` says, so that models are compared under one way of decoding. Whoever compares a completion with `generate`
is told what differs. Not covered: settings of beam search beside the number of beams.
"""

from __future__ import annotations

import importlib.util
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.models.architectures.shape import POSITIONS
from raysweep.records import Decoding

READ = (("vocab_size", "padded_vocab_size"), POSITIONS, ("eos_token_id",))
"""What is read of configs though a config.json may leave it out, under one of some names."""
ALWAYS = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": None,
    "num_beams": 1,
    "penalty_alpha": None,
    "dola_layers": None,
    "guidance_scale": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "bad_words_ids": None,
    "sequence_bias": None,
    "stop_strings": None,
    "watermarking_config": None,
    "token_healing": False,
}
"""Settings of all decoding, with transformers' defaults, under which they change nothing.
https://huggingface.co/docs/transformers/main_classes/text_generation"""
WHEN_DRAWN = {"top_k": 50, "top_p": 1.0, "min_p": None, "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0}
"""Those of drawing, with transformers' defaults; the temperature isn't one of them, since every sweep gives its own."""


def with_defaults(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's config with what its config.json leaves out, which transformers fills in by the model's type.

    Such as gemma3's, which may lack the size of its vocabulary. Only limits and ends of texts are filled in.
    """
    there = {*config, *_inner(config)}
    lacking = [name for names in READ if there.isdisjoint(names) for name in names]
    model_type = str(config.get("model_type", ""))
    parts = model_type.split("_")
    if not lacking or not any(has_folder("_".join(parts[:count])) for count in range(1, len(parts) + 1)):
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


def virtual_tokens(adapter: Mapping[str, Any]) -> int:
    """Return how many positions an adapter's trained prompt takes, given its PEFT config; 0: it is no prompt."""
    number = adapter.get("num_virtual_tokens")
    return number if isinstance(number, int) else 0


def settings_in(config: Mapping[str, Any], generation: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings that are not transformers' defaults, nor raysweep's own way (`top_k: 0` cuts nothing off).

    Args:
        config: the content of config.json, which `generate` follows where there is no generation_config.
        generation: the content of generation_config.json; None: there is none.
    """
    declared = config if generation is None else generation
    known = {**ALWAYS, **WHEN_DRAWN}
    return {
        name: declared[name]
        for name, usual in known.items()
        if declared.get(name, usual) not in (usual, None, [], {}) and (name, declared[name]) != ("top_k", 0)
    }


def unused_in_words(settings: Mapping[str, Any], decoding: Decoding) -> str:
    greedy, short = decoding.temperature == 0, reprlib.Repr()
    short.maxlist = short.maxdict = 3
    shown = [
        f"{name} {short.repr(value)}"
        for name, value in settings.items()
        if (name in ALWAYS or not greedy) and (name, value) != ("top_p", decoding.top_p)
    ]
    if not shown:
        return ""
    *first, last = shown
    all_of_them, which = (f"{', '.join(first)} and {last}", "them") if first else (last, "it")
    how = "0: always the likeliest token" if greedy else f"{decoding.temperature:g}, top_p {decoding.top_p:g}"
    return (
        f"generation_config sets {all_of_them}; transformers' `generate` would use {which}, raysweep doesn't: it "
        f"decodes every model as `evaluation` says (temperature {how})"
    )
