"""Prints registered names by kind, each with the first line of its class's docstring; exhibits by their ids."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from raysweep.analysis.comparisons.base import COMPARISONS
from raysweep.analysis.exhibits.base import EXHIBITS
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.sections.base import SECTIONS
from raysweep.cli.views.console import print_json
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
from raysweep.trainers.editors.base import EDITORS
from raysweep.training_sets.base import SOURCES

KINDS_OF_EXHIBITS = "exhibit-kinds"
REGISTRIES: Mapping[str, Registry[Any]] = {
    "perturbations": PERTURBATIONS,
    "models": FAMILIES,
    "problems": PROBLEMS,
    "sources": SOURCES,
    "trainers": TRAINERS,
    "editors": EDITORS,
    "objectives": OBJECTIVES,
    "generators": GENERATORS,
    "metrics": METRICS,
    "comparisons": COMPARISONS,
    KINDS_OF_EXHIBITS: EXHIBITS,
    "sections": SECTIONS,
    "taggers": TAGGERS,
    "synonyms": SYNONYMS,
    "translators": TRANSLATORS,
}
TABLES_AND_FIGURES = "exhibits"
"""Those that files of raysweep's define, by the ids that `raysweep report --only` takes."""
LISTS = [*REGISTRIES]
LISTS.insert(LISTS.index(KINDS_OF_EXHIBITS), TABLES_AND_FIGURES)
FROM_THE_ENGINE = ("model", "decoding")
"""Arguments that no config gives: a generator's model, and how it decodes."""


def print_names(kind: str | None, as_json: bool) -> None:
    """Print the names of one kind, or of every kind below its own line; raise UnknownName for an unknown kind."""
    if kind is None:
        every = {kind: entries(kind) for kind in LISTS}
        texts = [f"{kind}\n{_aligned(found, '  ')}" for kind, found in every.items()]
        print_json(every) if as_json else print("\n\n".join(texts))
    elif kind not in LISTS:
        raise UnknownName("kind", kind, LISTS)
    elif as_json:
        print_json(entries(kind))
    else:
        print(_aligned({name: text + _arguments(kind, name) for name, text in entries(kind).items()}))
        if kind == TABLES_AND_FIGURES:
            print(f"\n{KINDS_OF_EXHIBITS}, for files of your own\n{_aligned(entries(KINDS_OF_EXHIBITS), '  ')}")


def entries(kind: str) -> dict[str, str]:
    """Return the names of a kind, each with the first line of its class's docstring, an exhibit with title and kind."""
    if kind == TABLES_AND_FIGURES:
        return {id: f"{exhibit.title} (kind {exhibit.name})" for id, exhibit in read_exhibits().items()}
    registry = REGISTRIES[kind]
    return {name: (inspect.getdoc(registry.get(name)) or "").split("\n")[0] for name in registry.names()}


def _arguments(kind: str, name: str) -> str:
    if kind == TABLES_AND_FIGURES:
        return ""
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
