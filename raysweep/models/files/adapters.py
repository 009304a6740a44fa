"""Finds what an adapter_config.json says and the installed PEFT doesn't read. PEFT only warns, and drops the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from raysweep.models.files.keys import counts, editing, is_newer, place_of, unread_in_words

NAME = "adapter_config.json"
AT_WORK = frozenset({"runtime_config"})
"""Keys that say how an adapter was worked with; PEFT leaves them out on purpose."""


def unread(location: str, written: Mapping[str, Any], config: Any) -> str:
    """Return which keys of an adapter's file PEFT doesn't read, with the way out; empty: none.

    `written`: the file's content. `config`: what PEFT has made of it.
    """
    from peft import __version__

    known = {field.name for field in dataclasses.fields(config)} | AT_WORK
    left = {key: value for key, value in written.items() if key not in known and counts(key, value)}
    return unread_in_words(location, NAME, left, "peft", __version__, written.get("peft_version")) if left else ""


def unknown_type(location: str, written: Mapping[str, Any]) -> str:
    """Return that PEFT doesn't know the kind of adapter that a file names, with the way out; empty: it does."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, __version__

    kind, wrote = written.get("peft_type"), written.get("peft_version")
    if isinstance(kind, str) and kind in PEFT_TYPE_TO_CONFIG_MAPPING:
        return ""
    by = f", written by peft {wrote}," if wrote else ""
    said = f"{place_of(location, NAME)}{by} has `peft_type` ({kind!r}), which peft {__version__} doesn't know"
    if is_newer(wrote, __version__):
        return f'{said}; install that version (`pip install "peft>={wrote}"`)'
    known = ", ".join(sorted(PEFT_TYPE_TO_CONFIG_MAPPING))
    return f"{said}; install a newer one, or {editing(location, f'write one of these into the file: {known}')}"


def no_mapping(location: str, config: Any) -> str:
    """Return which patterns for single modules aren't mappings, with the way out; empty: none."""
    for field in dataclasses.fields(config):
        name, value = field.name, getattr(config, field.name)
        if not name.endswith("_pattern") or name == "layers_pattern" or value == field.default:
            continue
        if not isinstance(value, Mapping):
            what = f'write `"{name}": {{"MODULES": NUMBER}}` into the file, or `"{name}": {{}}` for none'
            return f"{place_of(location, NAME)}: `{name}` must be a mapping, not {value!r}; {editing(location, what)}"
    return ""
