"""Compares a model's config.json and generation_config.json with what the installed transformers reads of them.

transformers keeps a key that it doesn't know as a field of the config, so whether a key is read is seen in the code of
the model's type: a field that isn't named there can't be used. Published files hold many such names that mean nothing.
One counts if it is new, that is, in no code that types share and in a file that a newer transformers wrote; or if it
says how layers attend or what they are scaled by, in a type of models that does without. Not covered: models with
code of their own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from raysweep.errors import RaysweepError
from raysweep.models.files.keys import counts, editing, is_newer, place_of, unread_in_words
from raysweep.models.files.rope import KEYS, NEW, Claim, misread, old_keys
from raysweep.models.hub import model_config
from raysweep.records import ModelRef

SHAPING = re.compile(
    r"^(?!.*(init_|initial|initializer_|loss_))"  # those of a training
    r"(layer_types|head_dim|sliding_window|no_rope_layer\w*|scale_\w+"
    r"|(.*_)?(scale|scalar|scaling|scaling_factor|softcap|softcapping|multipliers?))$"
)
"""Names of keys that say how layers attend and what they are scaled by, in every type of models that has them."""
NORM = re.compile(r"(^|_)qk_(layer)?norm$")
"""Names of keys that switch norms of queries and keys on."""
HAS_NORM = frozenset({"q_norm", "query_norm", "q_layernorm", "query_layernorm", "qk_norm"})
"""What models call the norm of queries."""
FIXED: dict[str, tuple[Any, ...]] = {
    "scale_decoder_outputs": (None, True),
    "swiglu_alpha": (None, 1.702),
    "swiglu_limit": (None, 7.0),
    "time_step_limit": (None, [0.0, math.inf], [0.0, {"__float__": "Infinity"}]),
}
"""Values of keys that say what versions which don't read the key do anyway (T5's: where its embeddings are tied)."""
RENAMED = {"num_local_experts": "num_experts", "scale_decoder_outputs": "tie_word_embeddings"}
"""Keys of newer versions, and the older ones that mean the same."""
WORD = re.compile(r"\w+")
IN_CONFIGS = re.compile(r"self\.(\w+)|(\w+) *[:=]|(?:getattr|get|pop)\( *(?:\w+, *)?[\"'](\w+)")
"""A field, a parameter or an optional key in the code of a config."""
IN_MODELS = re.compile(r"config\.(\w+)|attr\( *[\w.]*config, *[\"'](\w+)|self\.(q\w*norm)\b")
"""A field of a config in the code of a model, or its norm of queries."""


def require_read(ref: ModelRef) -> None:
    """Raise RaysweepError if a full model's files say what the installed transformers doesn't read."""
    if why := unread(ref):
        raise RaysweepError(why)


def unread(ref: ModelRef) -> str:
    """Return what a full model's files say and the installed transformers doesn't read, with the way out, or ""."""
    from transformers import CONFIG_MAPPING, __version__

    location, config = ref.location, model_config(ref) or {}
    kind = str(config.get("model_type"))
    if kind not in CONFIG_MAPPING or (ref.trust_remote_code and "auto_map" in config):
        return ""
    try:
        loaded = CONFIG_MAPPING[kind].from_dict(deepcopy(dict(config)))
    except Exception:  # fields that transformers can't read: loading the model tells
        return ""
    wrote = config.get("transformers_version")
    for at, fields, part, around in _parts("", config, loaded, frozenset()):
        names = _names_in_code(part.__class__)
        if wrong := misread(fields, part, names):
            keys = old_keys(fields, [claim for claim, _ in wrong], names)
            return _rope_in_words(location, at, wrong, keys, wrote, not names.isdisjoint(KEYS))
        left = {at + key: value for key, value in fields.items() if _is_lost(key, value, fields, names | around, wrote)}
        if left:
            old = {RENAMED[key]: fields[key] for key in fields if RENAMED.get(key) in names and at + key in left}
            inside = f" within `{at[:-1]}`" * bool(at)
            write = f"`{json.dumps(old)[1:-1]}`{inside}" if len(old) == len(left) else ""
            return unread_in_words(location, "config.json", left, "transformers", __version__, wrote, write)
    generation, known = model_config(ref, "generation_config.json") or {}, _names_of_generation()
    wrote = generation.get("transformers_version")
    left = {key: value for key, value in generation.items() if counts(key, value) and key not in known}
    if not left or not is_newer(wrote, __version__):
        return ""
    return unread_in_words(location, "generation_config.json", left, "transformers", __version__, wrote)


def _parts(
    at: str, fields: Mapping[str, Any], loaded: Any, around: frozenset[str]
) -> Iterator[tuple[str, Mapping[str, Any], Any, frozenset[str]]]:
    """Yield a config and those in it, each with the names that the code of the ones around it reads."""
    from transformers import PretrainedConfig

    yield at, fields, loaded, around
    around |= _names_in_code(loaded.__class__)
    for name, inner in fields.items():
        part = getattr(loaded, name, None)
        if isinstance(inner, Mapping) and isinstance(part, PretrainedConfig):
            yield from _parts(f"{at}{name}.", inner, part, around)


def _is_lost(key: str, value: Any, fields: Mapping[str, Any], names: frozenset[str], version: Any) -> bool:
    from transformers import __version__

    if key in KEYS or key in names:
        return False
    if key in FIXED:
        return value not in FIXED[key] and not _is_derived(key, value, fields)
    if not counts(key, value):
        return False
    if SHAPING.search(key) and not isinstance(value, bool | str):
        return not _is_usual(key, value, fields)
    if NORM.search(key):
        return HAS_NORM.isdisjoint(names)
    is_new = is_newer(version, __version__) and key not in _names_of_generation() and not _is_shared(key)
    return is_new and not _is_derived(key, value, fields)


def _is_derived(key: str, value: Any, fields: Mapping[str, Any]) -> bool:
    """Return whether a key says what others say too."""
    heads = [fields.get(name, 0) for name in ("qk_nope_head_dim", "qk_rope_head_dim")]
    is_sum = key == "qk_head_dim" and value == sum(heads)
    return bool(is_sum or (key in RENAMED and value == fields.get(RENAMED[key])))


def _is_usual(key: str, value: Any, fields: Mapping[str, Any]) -> bool:
    """Return whether a key says what a type of models does that doesn't read it."""
    sizes = [fields.get(name) for name in ("num_attention_heads", "hidden_size", "max_position_embeddings")]
    heads, width, longest = (size if isinstance(size, int) else 0 for size in sizes)
    if key == "layer_types":
        is_full = isinstance(value, list) and all(one == "full_attention" for one in value)
        return is_full and not fields.get("sliding_window")
    if key == "head_dim":
        return bool(heads) and value == width // heads
    if key == "sliding_window":
        is_long = bool(longest) and isinstance(value, int | float) and value >= longest
        return fields.get("use_sliding_window") is False or is_long
    if key == "query_pre_attn_scalar" and value == (fields.get("head_dim") or width // (heads or 1)):
        return True
    return all(one == 1 for one in (value if isinstance(value, list) else [value]))


@cache
def _names_in_code(config: type[Any]) -> frozenset[str]:
    """Return the names of fields that the code of a config's type of models reads."""
    import sys

    names = {name for pair in getattr(config, "attribute_map", {}).items() for name in pair}
    modules = {one.__module__ for one in config.__mro__ if one.__module__.startswith("transformers.models.")}
    for folder in {Path(sys.modules[module].__file__ or "").parent for module in modules}:
        for part, pattern in (("configuration", IN_CONFIGS), ("modeling", IN_MODELS)):
            code = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob(f"{part}_*.py"))
            names |= {name for found in pattern.findall(code) for name in found}
    return frozenset(names)


@cache
def _is_shared(key: str) -> bool:
    """Return whether a name is in the code that transformers' types of models share."""
    import transformers

    word, files = re.compile(rf"\b{re.escape(key)}\b"), Path(transformers.__file__).parent.glob("*.py")
    return any(word.search(file.read_text(encoding="utf-8")) for file in files)


@cache
def _names_of_generation() -> frozenset[str]:
    import sys

    from transformers import GenerationConfig

    code = Path(sys.modules[GenerationConfig.__module__].__file__ or "").read_text(encoding="utf-8")
    return frozenset(WORD.findall(code))


def _rope_in_words(
    location: str, at: str, wrong: Sequence[tuple[Claim, Any]], keys: Mapping[str, Any], wrote: Any, is_read: bool
) -> str:
    """`is_read`: the model's type reads some key of RoPE."""
    from transformers import __version__

    claim, taken = wrong[0]
    said = f"{place_of(location, 'config.json')} gives RoPE's `{at}{claim.key}` as {claim.value!r}"
    is_new = claim.key.startswith(NEW)
    ways = []
    if is_new and is_read and is_newer("5", __version__):
        version = wrote if is_newer(wrote, __version__) else "5"
        ways.append(f'install a transformers that reads `{NEW}` (`pip install "transformers>={version}"`)')
    if keys:
        inside = f" within `{at[:-1]}`" * bool(at)
        what = f"write `{json.dumps(dict(keys))[1:-1]}`{inside} into the file"
        ways.append(editing(location, f"{what}, beside `{NEW}`" if is_new else what))
    if not ways:
        keys_of = ", ".join(f"`{at}{claim.key}`" for claim, _ in wrong)
        what = "whose keys disagree or aren't read" if is_read else "which has keys that its type doesn't use"
        ways.append(editing(location, f"correct the file, {what}: {keys_of}"))
    by = f" (written by transformers {wrote})" * bool(wrote)
    takes = f"takes {taken!r}" if is_read else "reads no key of RoPE in models of this type"
    return f"{said}{by}, and transformers {__version__} {takes}: another model; {', or '.join(ways)}"
