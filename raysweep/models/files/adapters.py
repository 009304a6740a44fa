"""Finds what an adapter_config.json says and the installed PEFT doesn't read. PEFT only warns, and drops the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from raysweep.models.files.keys import counts, unread_in_words

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
