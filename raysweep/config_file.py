"""YAML file -> SweepConfig, with every error at once: its line, its key, its value and the nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from raysweep.config import SweepConfig
from raysweep.errors import UsageError, did_you_mean
from raysweep.registry import in_words

KeyPath = tuple[str | int, ...]


class ConfigError(UsageError):
    """Everything that is wrong with a config, one line a finding."""

    def __init__(self, source: str, findings: Sequence[str]) -> None:
        super().__init__(source, list(findings))

    @property
    def findings(self) -> list[str]:
        """One line each."""
        return list(self.args[1])

    def __str__(self) -> str:
        count = f"{len(self.findings)} errors" if len(self.findings) > 1 else "1 error"
        return "\n".join([f"{self.args[0]}: {count}", *(f"  {finding}" for finding in self.findings)])


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: its value, and the line on which each key or list entry stands."""

    source: str
    value: dict[str, Any]
    lines: Mapping[KeyPath, int]
    overrides: Mapping[KeyPath, str]  # what --set put there
    wrong: tuple[str, ...] = ()  # overrides that could not be applied

    def place(self, path: KeyPath) -> str:
        """Return where a value stands: its line, or the --set that gave it."""
        prefixes = [path[:length] for length in range(len(path), 0, -1)]
        for prefix in prefixes:
            if prefix in self.overrides:  # what stood there in the file is gone
                return f"--set {self.overrides[prefix]}, "
        for prefix in prefixes:
            if prefix in self.lines:
                return f"line {self.lines[prefix]}, "
        below = next((text for given, text in self.overrides.items() if given[: len(path)] == path), None)
        return f"--set {below}, " if below and path else ""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """Read a config file and its ``--set a.b=c`` overrides, and check it; raise ConfigError with all findings."""
    return validate(read_document(Path(path), overrides))


def config_from(value: Mapping[str, Any], source: str) -> SweepConfig:
    """Check a config given as a mapping; raise ConfigError with all findings."""
    return validate(Document(source, dict(value), {}, {}))


def validate(document: Document) -> SweepConfig:
    """Check a document against the schema, then the files it names; raise ConfigError with all findings."""
    from raysweep.inputs import check_inputs

    recipes = document.value.get("recipes")
    context = {"recipes": set(recipes)} if isinstance(recipes, dict) else {"recipes": set()}
    try:
        config = SweepConfig.model_validate(document.value, context=context)
    except ValidationError as error:
        found = {_finding(document, dict(detail)): None for detail in error.errors()}
        raise ConfigError(document.source, [*document.wrong, *sorted(found, key=_line)]) from None
    wrong = [*document.wrong]
    wrong += [f"{document.place(path)}{'.'.join(map(str, path))}: {text}" for path, text in check_inputs(config)]
    if wrong:
        raise ConfigError(document.source, wrong)
    return config


def read_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Parse a YAML file and apply overrides; raise ConfigError on bad YAML, doubled keys or a bad override."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        near = did_you_mean(str(path), map(str, path.parent.glob("*.yaml")))
        raise UsageError(f"can't read config {str(path)!r}: {error.strerror or error}{near}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [f"line {line}: not UTF-8 ({error.reason}); save the file as UTF-8"]) from None
    lines: dict[KeyPath, int] = {}
    wrong: list[str] = []
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
        if not isinstance(value, dict) or node is None:
            wrong = ["line 1: a config is a mapping of keys to values; see configs/quickstart.yaml"]
        else:
            _index(node, (), lines, wrong)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(str(path), [_yaml_problem(error)]) from None
    if wrong:
        raise ConfigError(str(path), wrong)
    value = _unshared(value)
    given: dict[KeyPath, str] = {}
    for override in overrides:
        try:
            given[_override(value, override, str(path))] = override
        except ConfigError as error:
            wrong += error.findings
    return Document(str(path), value, lines, given, tuple(wrong))


def to_yaml(config: BaseModel) -> str:
    """Return the resolved config, defaults included, as YAML that `load_config` reads back to an equal config."""
    plain = config.model_dump(mode="json")
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def _index(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], doubled: list[str]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                doubled.append(f"line {line}: key {key.value!r} stands already on line {seen[key.value]}; keep one")
            seen[key.value] = line
            lines[(*path, key.value)] = line
            _index(child, (*path, key.value), lines, doubled)
    elif isinstance(node, yaml.SequenceNode):
        for at, child in enumerate(node.value):
            _index(child, (*path, at), lines, doubled)


def _unshared(value: Any) -> Any:
    """Copy a document so that what an anchor names is one value a place: --set changes the place it names only."""
    if isinstance(value, dict):
        return {key: _unshared(child) for key, child in value.items()}
    return [_unshared(child) for child in value] if isinstance(value, list) else value


def _override(value: dict[str, Any], text: str, source: str) -> KeyPath:
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(source, [f"--set {text!r}: write it as key.path=value, for example --set seed=7"])
    path: list[str | int] = []
    place: Any = value
    steps = key.strip().split(".")
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        if isinstance(place, list):
            if not (step.isdecimal() and len(step) < 10 and int(step) < len(place)):
                raise ConfigError(
                    source, [f"--set {text}: {step!r} is not one of the {len(place)} entries (0, 1, ...)"]
                )
            path.append(int(step))
        elif isinstance(place, dict):
            path.append(step)
            if not last and place.get(step) is None:
                place[step] = {}
        else:
            shown = ".".join(map(str, path))
            raise ConfigError(source, [f"--set {text}: {shown!r} holds the value {place!r}, so it has no {step!r}"])
        if last:
            place[path[-1]] = _scalar(raw, text, source)
        else:
            place = place[path[-1]]
    return tuple(path)


def _scalar(raw: str, text: str, source: str) -> Any:
    try:
        return yaml.safe_load(raw) if raw.strip() else ""
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(source, [f"--set {text}: {_yaml_problem(error)}"]) from None


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "this is nested too deeply, or an anchor (&) holds itself; write it out"
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}not valid YAML: {getattr(error, 'problem', None) or str(error).splitlines()[0]}"


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
        elif not (isinstance(value, dict) and at == len(loc) - 1):  # else: a key that is missing
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
