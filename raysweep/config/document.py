"""Reads a config's YAML file, applies ``--set`` overrides, and remembers each key's line for error messages."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from raysweep.config.examples import examples
from raysweep.errors import UsageError, did_you_mean
from raysweep.problems.base import names_problems

KeyPath = tuple[str | int, ...]
MOST_VALUES = 100_000
"""Values in a config, at most: aliases of aliases can stand for any number."""
NO_VALUE = "it has no value; give one, or leave the line out (null and {} are values too)"
_SLIPS = {
    "quoted scalar": "the quotes: a text{since} is not closed",
    "flow sequence": "the brackets: a list{since} lacks a comma or its ]",
    "flow mapping": "the brackets: a mapping{since} lacks a comma or its }}",
    "'\\t'": "the indentation: it needs spaces, not tabs",
    "could not find expected ':'": "the line{since} for a missing colon",
    "expected <block end>": "the indentation or a missing colon, here or in the line before",
    "mapping values are not allowed": "the indentation or a missing colon, here or in the line before; a text that "
    "holds a colon needs quotes",
}
"""Words for what the parser of YAML says, by a part of that; `since`: where the unfinished value begins."""
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


class ConfigError(UsageError):
    """All mistakes in a config, a line for each."""

    def __init__(self, source: str, findings: Sequence[str]) -> None:
        super().__init__(source, list(findings))

    @property
    def findings(self) -> list[str]:
        return list(self.args[1])

    def __str__(self) -> str:
        count = f"{len(self.findings)} errors" if len(self.findings) > 1 else "1 error"
        return "\n".join([f"{self.args[0]}: {count}", *(f"  {finding}" for finding in self.findings)])


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: its value, and the line of each key and list entry."""

    source: str
    value: dict[str, Any]
    lines: Mapping[KeyPath, int]
    overrides: Mapping[KeyPath, str]  # the --set option that gave the value
    wrong: tuple[str, ...] = ()  # overrides that could not be applied, and lists that stand for nothing
    written: Mapping[KeyPath, KeyPath] = field(default_factory=dict)
    """Where the file has the places that its lists stand for (`raysweep.config.groups`)."""

    def as_written(self, path: KeyPath) -> KeyPath:
        """Return a path with the names that the file has, where lists in it stand for several."""
        starts = (path[:length] for length in range(len(path), 0, -1))
        start = next((start for start in starts if start in self.written), ())
        return (*self.written[start], *path[len(start) :]) if start else path

    def place(self, path: KeyPath) -> str:
        """Return where a value comes from, in words: its line, or the --set that gave it."""
        prefixes = [path[:length] for length in range(len(path), 0, -1)]
        for prefix in prefixes:
            if prefix in self.overrides:  # it replaced the file's value
                return f"--set {self.overrides[prefix]}, "
        if path in self.lines:
            return f"line {self.lines[path]}, "
        if below := self.override_below(path):
            return f"--set {below}, "
        return next((f"line {self.lines[prefix]}, " for prefix in prefixes if prefix in self.lines), "")

    def override_below(self, path: KeyPath) -> str:
        return next((text for place, text in self.overrides.items() if path and place[: len(path)] == path), "")


def read_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Parse a YAML file and apply overrides; raise ConfigError on bad YAML, doubled keys or a bad override."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"can't read config {str(path)!r}: {error.strerror or error}{_meant(path)}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), [f"line {line}: not UTF-8 ({error.reason}); save the file as UTF-8"]) from None
    lines: dict[KeyPath, int] = {}
    wrong: list[str] = []
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
        if not isinstance(value, dict) or node is None:
            wrong = ["line 1: a config is a mapping of keys to values; `raysweep init DIR` writes one to start from"]
        else:
            _index(node, (), lines, wrong)
            wrong += _unusable(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(str(path), [_yaml_problem(error)]) from None
    if wrong:
        raise ConfigError(str(path), wrong)
    value = _unshared(value)
    _anchor(value, (), path.parent)
    return overridden(Document(str(path), value, lines, {}), overrides)


def _meant(path: Path) -> str:
    """Return what a path that is no file may mean: a config in a folder, the name of one, or a model."""
    configs = sorted(path.glob("*.yaml"))
    if configs:
        return f"; name a file in it, such as {str(configs[0])!r}"
    for folder in (path.parent, path.parent / "configs"):
        file = folder / f"{path.name.removesuffix('.yaml')}.yaml"
        if file != path and file.is_file():
            return f" (did you mean {str(file)!r}?)"
    if near := did_you_mean(str(path), map(str, path.parent.glob("*.yaml"))):
        return near
    with suppress(UsageError):
        if path.stem in examples():
            return f"; `raysweep init DIR --from {path.stem}` writes the config of this name into a folder"
    if path.suffix in (".yaml", ".yml"):
        return ""
    what = "; CONFIG is a sweep's YAML file (`raysweep init DIR` writes one)"
    if names_problems(str(path)):
        return what
    return f"{what}, and `raysweep evaluate {shlex.quote(str(path))} --problems humaneval` evaluates a model"


def overridden(document: Document, overrides: Sequence[str]) -> Document:
    """Apply ``--set A.B=C`` options to a document in place; return it with the overridden paths and the mistakes."""
    texts: dict[KeyPath, str] = {}
    wrong: list[str] = []
    for override in overrides:
        try:
            texts[_override(document.value, override, document.source)] = override
        except ConfigError as error:
            wrong += error.findings
    return replace(document, overrides=texts, wrong=tuple(wrong))


def _unusable(node: yaml.Node) -> list[str]:
    problems: list[tuple[int, str]] = []
    waiting, seen = [node], {id(node)}
    while waiting:
        part = waiting.pop()
        if not isinstance(part, yaml.ScalarNode):
            below = [node for child in part.value for node in (child if isinstance(child, tuple) else (child,))]
            waiting += [node for node in below if id(node) not in seen]
            seen.update(map(id, below))
            continue
        text, line = part.value, part.start_mark.line + 1
        if part.tag.endswith(":int") and not part.style and _LEADING_ZERO.fullmatch(text):
            why = "has a leading zero, which YAML takes for an octal number; leave it out, or quote a text"
            problems.append((line, f"{text} {why}"))
        elif any("\ud800" <= char <= "\udfff" for char in text):
            why = "holds half of a surrogate pair, which is no character; leave it out"
            problems.append((line, f"{text!r} {why}"))
    return [f"line {line}: {text}" for line, text in sorted(problems)]


def _index(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], wrong: list[str]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > MOST_VALUES:
        raise ValueError(f"its aliases (*) stand for more than {MOST_VALUES:,} values; write it out")
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                wrong.append(f"line {line}: key {key.value!r} is already on line {seen[key.value]}; keep one")
            seen[key.value] = line
            lines[(*path, key.value)] = line
            _index(child, (*path, key.value), lines, wrong)
    elif isinstance(node, yaml.SequenceNode):
        for at, child in enumerate(node.value):
            _index(child, (*path, at), lines, wrong)
    elif path and not node.value and node.tag.endswith(":null"):
        wrong.append(f"line {lines[path]}, {shown(path)}: {NO_VALUE}")


DAY = ("evaluation", "date")
"""The one key that takes a date as YAML reads it."""


def unusable_values(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield where a value holds what no key of a config takes, and why: NaN, dates, keys that are no text.

    Python's caller can give such values in a mapping too, so this looks at values and not at a file.
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str):
                yield (*path, str(key)), f"a key must be text, not {_as_yaml(key)}; put it in quotes, or rename it"
            elif not key.strip():
                yield (*path, key), "a key must not be empty; name it, or leave it out"
            else:
                yield from unusable_values(child, (*path, key))
    elif isinstance(value, list | tuple):
        for at, child in enumerate(value):
            yield from unusable_values(child, (*path, at))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"must be a finite number, not {value}; give one, or leave the key out"
    elif isinstance(value, date | bytes | set) and path != DAY:
        yield path, f"must be text, a number, a list or a mapping, not {_as_yaml(value)}; put a text in quotes"


def _as_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, date):
        return f"the date {value}"
    return f"the {type(value).__name__} {value!r:.60}" if isinstance(value, bytes | set) else f"{value!r:.60}"


def shown(path: KeyPath) -> str:
    """Return a path as in `--set`: ``models.0.path``."""
    return ".".join(map(str, path))


def _anchor(value: Any, at: KeyPath, folder: Path) -> None:
    """Make the relative paths below a value, in place, relative to the current folder instead of the config's file.

    What a model or a data set of the hub is called is a path only if it is there.
    """
    if isinstance(value, list):
        for number, child in enumerate(value):
            _anchor(child, (*at, number), folder)
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        _anchor(child, (*at, key), folder)
    if at == ("execution",) and isinstance(value.get("environments"), dict):
        named = value["environments"]
        named |= {name: str(folder / one) for name, one in named.items() if _is_relative_file(one)}
    path = value.get("path")
    if not isinstance(path, str) or not path or "://" in path or path.startswith("~"):
        return
    may_be_hub_id = (at[:1] == ("models",) and len(at) == 2) or value.get("name") in ("hf", "pyx")
    there = folder / path
    if not may_be_hub_id or path.startswith(".") or there.exists() or Path(path).exists():
        value["path"] = str(there)


def _is_relative_file(path: Any) -> bool:
    """Return whether a text is a path below a folder; a name alone, such as python3.10, is a command's."""
    return isinstance(path, str) and "/" in path and not path.startswith(("/", "~"))


def _unshared(value: Any) -> Any:
    """Copy a document so that places with one anchor don't share a value: --set changes only the place it names."""
    if isinstance(value, dict):
        return {key: _unshared(child) for key, child in value.items()}
    return [_unshared(child) for child in value] if isinstance(value, list) else value


def settings(overrides: Sequence[str]) -> dict[str, Any]:
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
                there = ", ".join(map(str, range(len(place)))) if place else "none"
                raise ConfigError(source, [f"--set {text}: there is no entry {step!r}; there are: {there}"])
            path.append(int(step))
        elif isinstance(place, dict):
            path.append(step)
            if not last and place.get(step) is None:
                place[step] = {}
        else:
            held = f"{shown(tuple(path))!r} holds the value {place!r}"
            raise ConfigError(source, [f"--set {text}: {held}, so it has no {step!r}"])
        if last:
            place[path[-1]] = _scalar(raw, text, source)
        else:
            place = place[path[-1]]
    return tuple(path)


def _scalar(raw: str, text: str, source: str) -> Any:
    try:
        if not raw.strip():
            return ""
        node = yaml.compose(raw, yaml.SafeLoader)
        if node is not None and (wrong := _unusable(node)):
            raise ConfigError(source, [f"--set {text}: {wrong[0].partition(': ')[2]}"])
        return yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(source, [f"--set {text}: {_yaml_problem(error)}"]) from None


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "this is nested too deeply, or an anchor (&) holds itself; write it out"
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    parsers = getattr(error, "problem", None) or str(error).splitlines()[0]
    begun = getattr(error, "context_mark", None)
    words = next((text for part, text in _SLIPS.items() if part in f"{getattr(error, 'context', '')}: {parsers}"), None)
    since = f", begun on line {begun.line + 1}," if begun else ""
    shown = f"check {words.format(since=since)} ({parsers})" if words else parsers
    return f"{place}not valid YAML: {shown}"
