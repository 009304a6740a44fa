"""Settings of a model's generation_config that change what transformers' `generate` writes, and that aren't used here.

Every model is decoded as `evaluation` says, so that models are compared under one way of decoding. Whoever compares a
completion with `generate` is told what differs. Not covered: settings of beam search beside the number of beams.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from raysweep.records import Decoding

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
    greedy = decoding.temperature == 0
    unused = {name: value for name, value in settings.items() if name in ALWAYS or not greedy}
    shown = [f"{name} {_short(value)}" for name, value in unused.items() if (name, value) != ("top_p", decoding.top_p)]
    if not shown:
        return ""
    *first, last = shown
    all_of_them, which = (f"{', '.join(first)} and {last}", "them") if first else (last, "it")
    how = "0: always the likeliest token" if greedy else f"{decoding.temperature:g}, top_p {decoding.top_p:g}"
    return (
        f"generation_config sets {all_of_them}; transformers' `generate` would use {which}, raysweep doesn't: it "
        f"decodes every model as `evaluation` says (temperature {how})"
    )


def _short(value: Any) -> str:
    short = reprlib.Repr()
    short.maxlist = short.maxdict = 3
    return short.repr(value)
