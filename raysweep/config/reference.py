"""The reference of config keys, read from the schema: every key with its type, default, unit and meaning.

Paths are dotted, as in ``--set``; the entries of a list are ``[]`` in them, and the names that a user gives are
``NAME``: ``models[].path``, ``recipes.NAME.lr``.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from raysweep.config.fields import DefaultMark, DescribedCheck, SectionsMark, SpecConfig, Strict, UnitMark, section_in
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName, did_you_mean

NAME = "NAME"
GUARD = 10**6
"""Limits from here on only catch slips of the keyboard, so the reference leaves them out."""
_SIMPLE: Mapping[Any, str] = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True)
class Key:
    """One key of the config. `entries`: how the steps below it begin, ``[]`` or ``NAME``; empty for one value."""

    path: str
    type: str
    default: Any  # plain data; None for a required key and for a section too
    unit: str
    meaning: str
    is_required: bool = False
    is_section: bool = False  # other keys are below it
    entries: str = ""
    default_words: str = ""  # where the default depends on other keys

    @property
    def default_text(self) -> str:
        """The default as YAML or in words; empty where the keys below have their own."""
        if self.default_words:
            return self.default_words
        if self.is_required:
            return "required"
        if self.is_section and self.default is None and "null" not in self.type:
            return ""
        return yaml.safe_dump(self.default, default_flow_style=True, width=1000).removesuffix("...\n").strip()


@cache
def all_keys() -> tuple[Key, ...]:
    return tuple(_keys_of(SweepConfig, ""))


def find_keys(text: str) -> list[Key]:
    """Return a key and all keys below it.

    `text`: a path, with names and indices or with ``NAME`` and ``[]``.

    Raises:
        UnknownName: there is no such key; the error names the nearest one.
    """
    wanted = _steps(text)
    keys = [(key, _steps(key.path)) for key in all_keys()]
    parent = next((key for key, steps in keys if wanted and _matches(steps, wanted[:-1])), None)
    if parent is not None and parent.entries and _fits(parent.entries, wanted[-1]):
        wanted = wanted[:-1]  # one entry of a list or mapping: the same keys as those of all entries
    matching = [key for key, steps in keys if _matches(steps[: len(wanted)], wanted)]
    if not wanted or not matching:
        raise UnknownName("config key", text, _near(wanted))
    return matching


def _near(wanted: Sequence[str]) -> list[str]:
    keys = {key.path: _steps(key.path) for key in all_keys()}
    same = [path for path, steps in keys.items() if wanted and steps[-1] == wanted[-1]]
    beside = next(paths for length in range(len(wanted), -1, -1) if (paths := _level(keys, wanted[:length])))
    return same if same and not did_you_mean(".".join(wanted), beside) else beside


def _level(keys: Mapping[str, Sequence[str]], start: Sequence[str]) -> list[str]:
    within = {path: steps[len(start) :] for path, steps in keys.items() if _matches(steps[: len(start)], start)}
    below = [path for path, rest in within.items() if len([step for step in rest if step not in (NAME, "[]")]) == 1]
    return below or list(within)


def _steps(path: str) -> list[str]:
    return [step for step in re.sub(r"\[\d*\]", ".[]", path).split(".") if step]


def _matches(steps: Sequence[str], wanted: Sequence[str]) -> bool:
    pairs = zip(steps, wanted, strict=False)
    return len(steps) == len(wanted) and all(
        step == part or (step in (NAME, "[]") and _fits(step, part)) for step, part in pairs
    )


def _fits(entries: str, step: str) -> bool:
    return entries == NAME or step == "[]" or step.isdecimal()


def _keys_of(section: type[BaseModel], start: str) -> Iterator[Key]:
    for name, field in section.model_fields.items():
        if issubclass(section, SpecConfig) and section_in(field.annotation) is None:
            continue  # its name stands with the section
        below = section_in(field.annotation)
        is_shown = any(isinstance(mark, SectionsMark) for mark in _marks(field.annotation, field.metadata))
        below = below if below is not None and (issubclass(below, Strict) or is_shown) else None
        origin, path = get_origin(field.annotation), f"{start}{name}"
        entries = {list: "[]", dict: NAME}.get(origin, "") if origin is not None else ""
        yield Key(
            path,
            type_in_words(field.annotation, field.metadata),
            None if field.is_required() else _plain(field.default),
            _words_of(UnitMark, field),
            field.description or (inspect.getdoc(below) or "").partition("\n")[0],
            field.is_required() and not _words_of(DefaultMark, field),
            below is not None,
            entries,
            _words_of(DefaultMark, field),
        )
        if below is not None:
            yield from _keys_of(below, f"{path}{'.' if entries == NAME else ''}{entries}.")


def _plain(default: Any) -> Any:
    if isinstance(default, SpecConfig):
        return default.name if not default.model_extra else default.model_dump()
    if isinstance(default, BaseModel):
        return None
    return list(default) if isinstance(default, tuple) else default


def _words_of(kind: type[UnitMark | DefaultMark], field: FieldInfo) -> str:
    words = [mark.words for mark in _marks(field.annotation, field.metadata) if isinstance(mark, kind)]
    return words[0] if words else ""


def _marks(annotation: Any, metadata: Sequence[Any]) -> Iterator[Any]:
    yield from metadata
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for inner in get_args(annotation):
        if get_origin(inner) is not None:
            yield from _marks(inner, ())


def type_in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return a type in words: ``number from 0 to 1``, ``null, or list; each: text``."""
    if get_origin(annotation) is Annotated:
        return type_in_words(annotation.__origin__, [*annotation.__metadata__, *metadata])
    checks = [mark.words for mark in metadata if isinstance(mark, DescribedCheck) and mark.words]
    if checks:
        return checks[-1]
    if annotation in _SIMPLE:
        return f"{_SIMPLE[annotation]}{_limits(metadata)}"
    if isinstance(annotation, type) and issubclass(annotation, SpecConfig):
        return "registered name, alone or in a mapping with its arguments"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return _compound(get_origin(annotation), get_args(annotation))


def _compound(origin: Any, parts: Sequence[Any]) -> str:
    if origin is Literal:
        choices = [f"`{choice}`" for choice in parts]
        return " or ".join([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices)
    if origin in (Union, types.UnionType):
        texts = [
            type_in_words(part) for part in parts if part is not type(None) and not (part is int and float in parts)
        ]
        null = ["null"] if type(None) in parts else []
        return ", or ".join([*null, *texts] if "each:" in texts[0] else [*texts, *null])
    if origin is tuple:
        return f"list of {len(parts)}; each: {type_in_words(parts[0])}"
    kind = "list" if origin is list else "mapping of names"
    entry = type_in_words(parts[-1])
    between = ("; each: ", " of ") if origin is list else (" to ", " to ")
    return f"{kind}{between[1]}sections" if entry == "section" else f"{kind}{between[0]}{entry}"


def _limits(metadata: Sequence[Any]) -> str:
    noted = [*metadata, *(inner for mark in metadata if isinstance(mark, FieldInfo) for inner in mark.metadata)]
    noted_limits = {
        name: getattr(mark, name) for mark in noted for name in ("ge", "gt", "le", "lt") if hasattr(mark, name)
    }
    limits = {name: limit for name, limit in noted_limits.items() if abs(limit) < GUARD}
    if "ge" in limits and ("le" in limits or "lt" in limits):
        upper = f"{limits['le']:g}" if "le" in limits else f"below {limits['lt']:g}"
        return f" from {limits['ge']:g} to {upper}"
    words = {"ge": ", at least", "gt": " above", "le": ", at most", "lt": ", below"}
    return "".join(f"{text} {limits[name]:g}" for name, text in words.items() if name in limits)
