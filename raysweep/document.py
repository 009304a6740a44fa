"""A config's YAML file as it stands: its value with overrides applied, and where each key stands, for errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from raysweep.errors import UsageError, did_you_mean

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
    return overridden(Document(str(path), _unshared(value), lines, {}), overrides)


def overridden(document: Document, overrides: Sequence[str]) -> Document:
    """Apply ``--set A.B=C`` options to a document in place; return it with what they put where, and what was wrong."""
    given: dict[KeyPath, str] = {}
    wrong: list[str] = []
    for override in overrides:
        try:
            given[_override(document.value, override, document.source)] = override
        except ConfigError as error:
            wrong += error.findings
    return replace(document, overrides=given, wrong=tuple(wrong))


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


def settings(overrides: Sequence[str]) -> dict[str, Any]:
    """Return what ``--set NAME=VALUE`` options say; raise ConfigError where some aren't written so."""
    document = overridden(Document("command line", {}, {}, {}), overrides)
    if document.wrong:
        raise ConfigError(document.source, document.wrong)
    return document.value


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
