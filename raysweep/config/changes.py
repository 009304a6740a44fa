"""Says in words which settings of a sweep changed, and which values of an artefact's spec."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raysweep.config.schema import SweepConfig

WITHOUT_EFFECT = frozenset(
    {
        "name",
        "allow_code_execution",
        "resources",
        "recovery",
        "loggers",
        "ray",
        "report",
        "checkpoint_every",
        "keep_models",
    }
)
"""Keys of the first level on which no result depends."""
NEITHER = ("training.validation", "evaluation.pass_at", "execution.environments")
"""How further keys begin on which none depends."""
MOST_SHOWN = 3
"""Changes that a message lists; it counts the others."""
HASH = re.compile("[0-9a-f]{32,}")
SHOWN_OF_HASH = 8
"""Digits of a hash that a message shows."""


def changes_in_words(before: SweepConfig, after: SweepConfig) -> str:
    """Return what changed, as in ``recipes.tiny.lr was 0.001 and is 0.002``; empty if nothing did."""
    return listed(changes(before, after))


def listed(words: Iterable[str]) -> str:
    every = list(words)
    rest = f" and {len(every) - MOST_SHOWN} more" if len(every) > MOST_SHOWN else ""
    return ", ".join(every[:MOST_SHOWN]) + rest


def changes(before: SweepConfig, after: SweepConfig) -> Iterator[str]:
    old, new = (config.model_dump(mode="json", by_alias=True) for config in (before, after))
    for key, words in differences(old, new):
        if key.partition(".")[0] not in WITHOUT_EFFECT and not key.startswith(NEITHER):
            yield words


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key of each value that differs, with its change in words; entries of lists go by their names."""
    old, new = dict(_settings("", before)), dict(_settings("", after))
    for key in dict.fromkeys([*old, *new]):
        if key not in new:
            yield key, f"{key} is gone (it was {_shown(old[key])})"
        elif key not in old:
            yield key, f"{key} is new ({_shown(new[key])})"
        elif old[key] != new[key]:
            yield key, f"{key} was {_shown(old[key])} and is {_shown(new[key])}"


def _settings(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and value and all(isinstance(entry, dict) and "name" in entry for entry in value):
        value = {str(entry.get("as") or entry["name"]): entry for entry in value}
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _settings(f"{key}.{name}" if key else str(name), inner)
    else:
        yield key, value


def _shown(value: Any) -> str:
    if isinstance(value, str) and HASH.fullmatch(value):
        value = f"{value[:SHOWN_OF_HASH]}..."
    return "null" if value is None else repr(value) if isinstance(value, str) else str(value)
