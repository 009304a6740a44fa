"""Compares two configs of one sweep: which settings changed that results depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
"""Keys of the first level on which no result depends, as none does on `training.validation`."""
MOST_SHOWN = 3
"""Changes that a message lists; it counts the others."""


def changes_in_words(before: SweepConfig, after: SweepConfig) -> str:
    """Return what changed, as in ``recipes.tiny.lr was 0.001 and is 0.002``; empty if nothing did."""
    differences = list(changes(before, after))
    rest = f" and {len(differences) - MOST_SHOWN} more" if len(differences) > MOST_SHOWN else ""
    return ", ".join(differences[:MOST_SHOWN]) + rest


def changes(before: SweepConfig, after: SweepConfig) -> Iterator[str]:
    """Yield each changed setting in words. Entries of lists go by their names, so that their order has no effect."""
    old, new = (dict(_settings("", config.model_dump(mode="json", by_alias=True))) for config in (before, after))
    for key in dict.fromkeys([*old, *new]):
        is_part = key.partition(".")[0] in WITHOUT_EFFECT or key.startswith("training.validation")
        if is_part or old.get(key) == new.get(key):
            continue
        if key not in new:
            yield f"{key} is gone (it was {_shown(old[key])})"
        elif key not in old:
            yield f"{key} is new ({_shown(new[key])})"
        else:
            yield f"{key} was {_shown(old[key])} and is {_shown(new[key])}"


def _settings(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values below a key, with their keys; a list of named entries counts as a mapping."""
    if isinstance(value, list) and value and all(isinstance(entry, dict) and "name" in entry for entry in value):
        value = {str(entry.get("as") or entry["name"]): entry for entry in value}
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _settings(f"{key}.{name}" if key else str(name), inner)
    else:
        yield key, value


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value) if isinstance(value, str) else str(value)
