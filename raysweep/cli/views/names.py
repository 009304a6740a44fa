"""Prints registered names by kind, each with the first line of its class's docstring."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from raysweep.analysis.comparisons.base import COMPARISONS
from raysweep.analysis.exhibits.base import EXHIBITS
from raysweep.analysis.sections.base import SECTIONS
from raysweep.cli.views.results import print_json
from raysweep.errors import UnknownName
from raysweep.generators.base import GENERATORS
from raysweep.language.synonyms.base import SYNONYMS
from raysweep.language.tagging.base import TAGGERS
from raysweep.language.translation.base import TRANSLATORS
from raysweep.metrics.base import METRICS
from raysweep.models.families.base import FAMILIES
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.base import PROBLEMS
from raysweep.registry import Registry
from raysweep.trainers.base import OBJECTIVES, TRAINERS
from raysweep.training_sets.base import SOURCES

REGISTRIES: Mapping[str, Registry[Any]] = {
    "perturbations": PERTURBATIONS,
    "models": FAMILIES,
    "problems": PROBLEMS,
    "sources": SOURCES,
    "trainers": TRAINERS,
    "objectives": OBJECTIVES,
    "generators": GENERATORS,
    "metrics": METRICS,
    "comparisons": COMPARISONS,
    "exhibits": EXHIBITS,
    "sections": SECTIONS,
    "taggers": TAGGERS,
    "synonyms": SYNONYMS,
    "translators": TRANSLATORS,
}


FROM_THE_ENGINE = ("model", "decoding")
"""Arguments that no config gives: a generator's model, and how it decodes."""


def print_names(kind: str | None, as_json: bool) -> None:
    """Print the names of one kind, or of every kind below its own line; raise UnknownName for an unknown kind."""
    if kind is None:
        every = {kind: entries(kind) for kind in REGISTRIES}
        texts = [f"{kind}\n{_aligned(found, '  ')}" for kind, found in every.items()]
        print_json(every) if as_json else print("\n\n".join(texts))
    elif kind not in REGISTRIES:
        raise UnknownName("kind", kind, REGISTRIES)
    else:
        lines = entries(kind)
        print_json(lines) if as_json else print(
            _aligned({name: text + _arguments(kind, name) for name, text in lines.items()})
        )


def entries(kind: str) -> dict[str, str]:
    """Return the registered names of a kind, each with the first line of its class's docstring."""
    registry = REGISTRIES[kind]
    return {name: (inspect.getdoc(registry.get(name)) or "").split("\n")[0] for name in registry.names()}


def _arguments(kind: str, name: str) -> str:
    """Return the arguments that a config may give a class, with their defaults, in words; empty if there are none."""
    arguments = {
        key: parameter.default
        for key, parameter in REGISTRIES[kind].parameters(name).items()
        if key not in FROM_THE_ENGINE
    }
    has_none = (inspect.Parameter.empty, None)
    shown = [key if default in has_none else f"{key}={_shown(default)}" for key, default in arguments.items()]
    return f" Takes {', '.join(shown)}." if shown else ""


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) and not value.isidentifier() else str(value)


def _aligned(found: Mapping[str, str], start: str = "") -> str:
    width = max(map(len, found), default=0)
    return "\n".join(f"{start}{name:<{width}}  {text}" for name, text in found.items())
