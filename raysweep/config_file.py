"""YAML file -> SweepConfig, with every error at once: its line, its key, its value and the nearest valid name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from raysweep.config import SweepConfig
from raysweep.document import ConfigError, Document, KeyPath, overridden, read_document
from raysweep.errors import did_you_mean
from raysweep.registry import in_words

NO_MODEL = {"name": "none", "generator": "reference"}


def load_config(path: str | Path, overrides: Sequence[str] = (), *, with_models: bool = True) -> SweepConfig:
    """Read a config file and its ``--set a.b=c`` overrides, and check it; raise ConfigError with all findings.

    `with_models`: False where only training and test sets are to be made, so that no model is looked for.
    """
    return validate(read_document(Path(path), overrides), with_models=with_models)


def config_from(value: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> SweepConfig:
    """Check a config given as a mapping, with its ``--set`` overrides; raise ConfigError with all findings."""
    return validate(overridden(Document(source, deepcopy(dict(value)), {}, {}), overrides))


def validate(document: Document, *, with_models: bool = True) -> SweepConfig:
    """Check a document against the schema, then the files it names; raise ConfigError with all findings.

    `with_models`: False leaves the section out, and takes a model that is none in its place.
    """
    from raysweep.inputs import check_inputs

    if not with_models:
        document = dataclasses.replace(document, value={**document.value, "models": [NO_MODEL]})

    named = {section: document.value.get(section) for section in ("recipes", "perturbations")}
    context = {section: set(value) if isinstance(value, dict) else set() for section, value in named.items()}
    try:
        config = SweepConfig.model_validate(document.value, context=context)
    except ValidationError as error:
        found = {_finding(document, dict(detail)): None for detail in error.errors()}
        raise ConfigError(document.source, [*document.wrong, *sorted(found, key=_line)]) from None
    wrong = [*document.wrong]
    wrong += [
        f"{document.place(path)}{'.'.join(map(str, path))}: {text}"
        for path, text in check_inputs(config, with_models=with_models)
    ]
    if wrong:
        raise ConfigError(document.source, wrong)
    return config


def to_yaml(config: BaseModel) -> str:
    """Return the resolved config, defaults included, as YAML that `load_config` reads back to an equal config."""
    plain = config.model_dump(mode="json")
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def _line(finding: str) -> int:
    return int(finding.split()[1].rstrip(",")) if finding.startswith("line ") else 0


def _finding(document: Document, detail: dict[str, Any]) -> str:
    """One pydantic error as 'line 7, models.0.recpies: unknown key (did you mean 'recipes'?)'."""
    path = _document_path(document.value, tuple(detail["loc"]))
    key = ".".join(map(str, path)) or "the config"
    match detail["type"]:
        case "extra_forbidden":
            known = _fields_at(path[:-1])
            message = f"unknown key{did_you_mean(str(path[-1]), known)}; known here: {', '.join(known)}"
        case "missing":
            message = "this key is missing"
        case "value_error":
            message = str(detail["ctx"]["error"])
        case _:
            message = in_words(detail)
    return f"{document.place(path)}{key}: {message}"


def _document_path(value: Any, loc: KeyPath) -> KeyPath:
    """Drop the steps that pydantic adds for unions and functions and that the document does not have."""
    path: list[str | int] = []
    for at, step in enumerate(loc):
        inside = _child(value, step)
        if inside is not None:
            value = inside[0]
        elif not (isinstance(value, dict) and at == len(loc) - 1) or step == "[key]":  # else: a key that is missing
            continue
        path.append(step)
    return tuple(path)


def _child(value: Any, step: str | int) -> tuple[Any] | None:
    """Return what stands under a key or index, in a tuple; None when there is no such place."""
    if isinstance(value, dict) and step in value:
        return (value[step],)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return (value[step],)
    return None


def _fields_at(path: KeyPath) -> list[str]:
    """Return the keys that the schema knows at a path."""
    model: Any = SweepConfig
    for step in path:
        if isinstance(step, int) or not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        if step in model.model_fields:
            model = _section(model.model_fields[step].annotation) or model
    return sorted(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """Find the section class in an annotation such as ``list[ModelConfig]`` or ``dict[str, RecipeConfig]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in reversed(getattr(annotation, "__args__", ())):
        found = _section(inner)
        if found is not None:
            return found
    return None
