"""Compares what a config.json says of RoPE with what the installed transformers takes.

transformers 4 has the base and the scaling in two keys of the config, `rope_theta` and `rope_scaling`, and some more;
transformers 5 has all of it in `rope_parameters`, if need be for each type of layers, and reads the old keys too.
https://huggingface.co/docs/transformers/internal/rope_utils
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

NEW = "rope_parameters"
SCALING = "rope_scaling"
WHOLE, FULL, SLIDING = "", "full_attention", "sliding_attention"
"""Types of layers; `WHOLE`: all of the model."""
THETA, FRACTION, KIND = "rope_theta", "partial_rotary_factor", "rope_type"
"""The names of the base, of the share of a head that is rotated, and of the scaling in `rope_parameters`."""
FIRST = "original_max_position_embeddings"
"""The length of the first training's texts."""
SECTION = "mrope_section"
"""How a head's width is shared out to the positions in time, height and width."""
OLD: dict[str, tuple[str, str]] = {
    "rotary_emb_base": (WHOLE, THETA),
    THETA: (WHOLE, THETA),
    "rope_local_base_freq": (SLIDING, THETA),
    "rotary_pct": (WHOLE, FRACTION),
    FRACTION: (WHOLE, FRACTION),
}
"""The old keys with a number: the type of layers, and the name in `rope_parameters`. The first one counts where a model
type reads two of one meaning."""
KEYS = frozenset({NEW, SCALING, *OLD})
USUAL = {KIND: "default", THETA: 10_000.0, FRACTION: 1.0}
"""What is meant where nothing is said."""
SAME = {"su": "longrope", "mrope": "default"}
"""Old names of scalings."""


class Claim(NamedTuple):
    """What a config says of RoPE under one key."""

    key: str
    layers: str
    name: str
    value: Any


def misread(written: Mapping[str, Any], loaded: Any, names: Set[str]) -> list[tuple[Claim, Any]]:
    """Return what a config.json says and transformers takes otherwise, with what it takes.

    `loaded`: the config that transformers made of it. `names`: those in the code of the model's type.
    """
    fields = loaded.to_dict()
    read = {NEW: fields.get(NEW)} if NEW in names else {key: value for key, value in fields.items() if key != NEW}
    taken = {(claim.layers, claim.name): claim.value for claim in reversed([*_claims(read, names)])}
    wrong = []
    for claim in _claims(written):
        value = _taken(claim, taken, fields)
        if not _is_equal(claim.value, value):
            wrong.append((claim, value))
    return wrong


def old_keys(written: Mapping[str, Any], wrong: Iterable[Claim], names: Set[str]) -> dict[str, Any]:
    """Return the old keys that would have transformers take what a file says; empty if there are none.

    `wrong`: what it takes otherwise.
    """
    claims = list(wrong)
    if any(claim.key.startswith(NEW) for claim in claims):
        claims = list(_claims({NEW: written.get(NEW)}))
    keys: dict[str, Any] = {}
    scaling: dict[str, Any] = {}
    for claim in claims:
        layers = WHOLE if claim.layers == FULL else claim.layers
        key = next((old for old, meaning in OLD.items() if meaning == (layers, claim.name) and old in names), None)
        if key is not None:
            keys[key] = claim.value
        elif layers == WHOLE and claim.name not in (THETA, FRACTION):
            scaling[claim.name] = claim.value
        elif not _is_equal(claim.value, USUAL.get(claim.name)):
            return {}
    if FIRST in names and FIRST in scaling:  # Phi-3 wants exactly its own form
        keys[FIRST] = scaling.pop(FIRST)
        scaling = {"type" if name == KIND else name: value for name, value in scaling.items()}
    if SECTION in scaling:
        scaling.setdefault(KIND, USUAL[KIND])
    if SECTION in scaling or scaling.get(KIND, scaling.get("type", USUAL[KIND])) != USUAL[KIND]:
        keys[SCALING] = scaling
    is_read = SCALING in names or SCALING not in keys
    return keys if is_read and any(written.get(key) != value for key, value in keys.items()) else {}


def _claims(config: Mapping[str, Any], names: Set[str] | None = None) -> Iterator[Claim]:
    """Yield what a config says; `names`: only under old keys that are among these."""
    for key, (layers, name) in OLD.items():
        if config.get(key) is not None and (names is None or key in names):
            yield Claim(key, layers, name, config[key])
    if isinstance(scaling := config.get(SCALING), Mapping) and (names is None or SCALING in names):
        yield from _of_layers(SCALING, WHOLE, scaling)
    new = config.get(NEW)
    if not isinstance(new, Mapping):
        return
    nested = {layers: fields for layers, fields in new.items() if isinstance(fields, Mapping)}
    for layers, fields in (nested or {WHOLE: new}).items():
        yield from _of_layers(f"{NEW}.{layers}" if nested else NEW, layers, fields)


def _of_layers(key: str, layers: str, fields: Mapping[str, Any]) -> Iterator[Claim]:
    named = {KIND: fields.get(KIND, fields.get("type")), **{k: v for k, v in fields.items() if k not in (KIND, "type")}}
    for name, value in named.items():
        if value is not None:
            yield Claim(f"{key}.{name}", layers, name, value)


def _taken(claim: Claim, taken: Mapping[tuple[str, str], Any], fields: Mapping[str, Any]) -> Any:
    """Return what is taken of a claim's layers, or else of those that stand for all, or of any that agree with it."""
    usual = USUAL.get(claim.name, fields.get(claim.name))  # LongRoPE's first length may stand outside
    layers = {layers for layers, _ in taken}
    of = next((one for one in (claim.layers, WHOLE, FULL) if one in layers), None)
    if of is not None:
        return taken.get((of, claim.name), usual)
    values = [taken.get((one, claim.name), usual) for one in sorted(layers)] or [usual]
    return next((value for value in values if _is_equal(claim.value, value)), values[0])


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return SAME.get(one, one) == SAME.get(str(other), str(other))
    return bool(one == other)
