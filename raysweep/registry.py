"""Registries: tables from a name to a class, which decorators fill.

A registry imports every module of its package and of the folders below it, then loads the entry points of the group
with the package's name (such as ``raysweep.perturbations``). So a new variant is one new file or one installed package,
and no list has to be edited.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import math
import pkgutil
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from raysweep.errors import UnknownName, UsageError, did_you_mean
from raysweep.records import Spec

log = logging.getLogger("raysweep")
ONE_VALUE = "; it takes one value"
"""The end of the message for a list as an argument that takes none."""

T = TypeVar("T")


class NotLoaded(UnknownName):
    """A name whose installed package can't be imported; `reason` names the package and the error."""

    def __init__(self, kind: str, name: str, reason: str) -> None:
        super().__init__(kind, name, [reason])

    def __reduce__(self) -> Any:
        return NotLoaded, (self.args[0], self.args[1], self.args[2][0])

    def __str__(self) -> str:
        return str(self.args[2][0])


class Registry(Generic[T]):
    """The classes of one kind, by their registered names.

    `kind`: the word for one in messages. `package`: whose modules register the built-in classes; also the name of the
    entry-point group. `base`: that all inherit from; its annotations ``ClassVar`` without a value are to be set.
    """

    def __init__(self, kind: str, package: str, base: type[Any]) -> None:
        self.kind = kind
        self.package = package
        self.base = base
        self._classes: dict[str, type[T]] = {}
        self._prefixes: dict[str, Callable[[str], type[T]]] = {}
        self._plugins: dict[str, str] = {}  # package and version of classes of installed packages, by their names
        self._broken: dict[str, str] = {}  # names of installed packages that failed to load, with the error message
        self._loaded = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: register the class under `name` and store the name on it as ``cls.name``."""

        def add(cls: type[T]) -> type[T]:
            other = self._classes.get(name)
            if other is not None and other.__module__ != cls.__module__:
                raise UsageError(f"{self.kind} {name!r} is registered by both {other.__module__} and {cls.__module__}")
            self._check_class(name, cls)
            cls.name = name  # type: ignore[attr-defined]
            self._classes[name] = cls
            return cls

        return add

    def register_prefix(self, prefix: str) -> Callable[[Callable[[str], type[T]]], Callable[[str], type[T]]]:
        """Function decorator: the name ``prefix:NAME`` stands for the class that the function returns for NAME.

        `names` doesn't list such classes. The function raises UnknownName, or another UsageError, for other NAMEs.
        """

        def add(class_of: Callable[[str], type[T]]) -> Callable[[str], type[T]]:
            self._prefixes[prefix] = class_of
            return class_of

        return add

    def names(self) -> list[str]:
        self._load()
        return sorted(self._classes)

    def get(self, name: str) -> type[T]:
        """Return the class registered under `name`; raise NotLoaded if its package is broken, otherwise UnknownName."""
        self._load()
        if name in self._classes:
            return self._classes[name]
        prefix, colon, rest = name.partition(":")
        if colon and prefix in self._prefixes:
            return self._prefixes[prefix](rest)
        if name in self._broken:
            raise NotLoaded(self.kind, name, self._broken[name])
        raise UnknownName(self.kind, name, self._classes)

    def refused(self) -> list[str]:
        """Return a message for each part of an installed package that can't be used, with the reason."""
        self._load()
        return list(self._broken.values())

    def create(self, spec: Spec, **more: Any) -> T:
        """Build the object that a spec describes, with `more` arguments; raise UsageError if arguments don't fit."""
        self.check(spec, **more)
        return self.get(spec.name)(**spec.args, **more)

    def check(self, spec: Spec, **more: Any) -> None:
        """Raise UsageError unless a spec and `more` arguments fit a class; build nothing."""
        self._check_args(self.get(spec.name), spec, more)

    def plugin_spec(self, name: str) -> dict[str, str]:
        """Return the part of a key that names the installed package, with its version, that registers a class.

        It is empty for built-in classes, whose changes are versions of the artefacts that they make.
        """
        self._load()
        return {f"package of {self.kind}": self._plugins[name]} if name in self._plugins else {}

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        cls: Any = self.get(name)  # mypy takes no class for hashable
        return dict(_parameters(cls))

    def required_arguments(self, name: str) -> list[str]:
        return [key for key, parameter in self.parameters(name).items() if parameter.default is parameter.empty]

    def _check_class(self, name: str, cls: type[T]) -> None:
        base = f"{self.base.__module__}.{self.base.__qualname__}"
        if not issubclass(cls, self.base):
            raise UsageError(f"{cls.__module__}.{cls.__qualname__} is no {self.kind}: it doesn't inherit from {base}")
        for attribute, annotation in getattr(self.base, "__annotations__", {}).items():
            is_set = attribute == "name" or hasattr(cls, attribute)
            if str(annotation).startswith("ClassVar") and not is_set:
                raise UsageError(f"{self.kind} {name!r} has no class attribute `{attribute}`, which {base} asks for")

    def _owners(self, argument: str) -> str:
        """Name the one part that has an argument; empty where several have it, or none."""
        owners = []
        for name in self.names():
            with suppress(UsageError):  # a plug-in that can't be loaded
                owners += [name] if argument in self.parameters(name) else []
        return f", which {self.kind} {owners[0]!r} has" if len(owners) == 1 else ""

    def _check_args(self, cls: Any, spec: Spec, more: dict[str, Any]) -> None:
        from pydantic import ValidationError

        known = self.parameters(spec.name)
        subject = f"{self.kind} {spec.name!r}"
        for name in spec.args:
            if name not in known or name in more:
                allowed = sorted(set(known) - set(more))
                hint = did_you_mean(name, allowed) or self._owners(name)
                raise UsageError(f"{subject} has no argument {name!r}{hint}; it takes: {', '.join(allowed) or 'none'}")
        for name in self.required_arguments(spec.name):
            if name not in spec.args and name not in more:
                raise UsageError(f"{subject} needs the argument {name!r}")
        for name, value in spec.args.items():
            try:
                _validator(cls, name).validate_python(value, strict=not isinstance(value, list))
            except ValidationError as error:
                details = list(error.errors())
                of_entries = any(isinstance(step, int) for detail in details for step in detail["loc"])
                why = _one_message(details) + ONE_VALUE * (isinstance(value, list) and not of_entries)
                raise UsageError(f"{subject}, argument {name!r}: {why}") from None
            if isinstance(value, int | float) and not abs(value) < 2**63:  # also NaN and infinity
                raise UsageError(
                    f"{subject}, argument {name!r}: must be a finite number below 2**63, not {value!r:.60}"
                )

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        _warn_of_unknown_groups()
        for entry in _installed().select(group=self.package):
            before = set(self._classes)
            try:
                loaded = entry.load()
                if isinstance(loaded, type):
                    self.register(entry.name)(loaded)
                if entry.dist:
                    added = {entry.name, *self._classes} - before  # a module may register several
                    self._plugins |= dict.fromkeys(added, f"{entry.dist.name} {entry.dist.version}")
            except Exception as error:  # a broken package must not make the other classes unusable
                self._broken[entry.name] = message = self._load_error(entry, error)
                log.warning("%s", message)
                log.debug("%s", entry, exc_info=True)

    def _load_error(self, entry: EntryPoint, error: Exception) -> str:
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        reason = error if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        return f"{self.kind} {entry.name!r} of the installed package {package} can't be used: {reason}"


@cache
def _installed() -> Any:
    return entry_points()


@cache
def _parameters(cls: type[Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a class's constructor, read once: a large plan asks for them thousands of times."""
    return inspect.signature(cls).parameters


@cache
def _validator(cls: type[Any], argument: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(typing.get_type_hints(cls.__init__)[argument])


@cache
def _warn_of_unknown_groups() -> None:
    """Warn, once a process, of groups of entry points in raysweep's name that no registry reads."""
    installed = _installed()
    for group in sorted(installed.groups):
        if group.startswith("raysweep.") and not _is_package(group):
            names = ", ".join(entry.name for entry in installed.select(group=group))
            log.warning("an installed package has entry points in the group %r, which doesn't exist: %s", group, names)


def _is_package(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


_REQUIREMENTS = {  # by the type of pydantic's error
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "mapping_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "too_short": "must have at least {min_length} of them",
    "too_long": "must have at most {max_length} of them",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_EXPONENT = re.compile(r"([+-]?\d+)(\.\d*)?[eE]([+-]?\d+)")


def validation_message(detail: Mapping[str, Any], *, of_numbers: bool = False) -> str:
    """Turn one of pydantic's errors into a message for people who write YAML: the requirement, then the given value.

    `of_numbers`: where a list is required, it holds numbers.
    """
    kind, value, limits = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    if kind == "sequence_str" or (kind == "is_instance_of" and limits.get("class") == "Sequence"):
        kind = "list_type"
    if kind.endswith("too_short") and not value:
        return "must not be empty"
    requirement = (
        _REQUIREMENTS[kind].format_map(limits)
        if kind in _REQUIREMENTS
        else detail["msg"][:1].lower() + detail["msg"][1:]
    )
    shown = "null" if value is None else repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{requirement}, not {shown}{_hint(kind, value, limits, of_numbers)}"


def _one_message(details: Sequence[Mapping[str, Any]]) -> str:
    """Return the message for a value that is none of an argument's words, and of no type that it may have instead."""
    words = [word for detail in details if detail["type"] == "literal_error" for word in _quoted(detail["ctx"])]
    if not words:
        return validation_message(details[0])
    types = [_REQUIREMENTS[detail["type"]] for detail in details if detail["type"].endswith("_type")]
    *first, last = [*map(repr, words), *(requirement.removeprefix("must be ") for requirement in types)]
    expected = f"{', '.join(first)} or {last}" if first else last
    return validation_message({**details[0], "type": "literal_error", "ctx": {"expected": expected}})


def _listed(value: str | float, of_numbers: bool) -> str:
    """Return a value as a list in YAML: ``[model, block]``, ``[42, 43]``, and ``['*code', '1']``, which are texts."""
    import yaml

    text = str(value).strip()
    text = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    parts = [part.strip(" '\"") for part in text.split(",")]
    read = [_number(part) if of_numbers and _NUMBER.fullmatch(part) else part for part in parts if part]
    return str(yaml.safe_dump(read, default_flow_style=True, allow_unicode=True, width=math.inf)).strip()


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _quoted(limits: Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']+)'", limits["expected"])


NUMBER_FORMATS = {
    **dict.fromkeys(("bf16", "bfloat16"), ("bf16", "bfloat16")),
    **dict.fromkeys(("fp16", "half", "16"), ("float16",)),
    **dict.fromkeys(("fp32", "float", "32"), ("float32",)),
}
"""What number formats are called elsewhere, and here: the nearest name by its letters is that of another format."""


def _hint(kind: str, value: Any, limits: Mapping[str, Any], of_numbers: bool) -> str:
    if value is None:
        return "; give one, or leave the key out"
    if kind == "string_type":
        return "; put it in quotes" if isinstance(value, int | float) else ""
    if kind in ("dict_type", "mapping_type") and value and isinstance(value, list):
        return f"; write {{{', '.join(f'{one}: ...' for one in value)}}}, with a value for each"
    if kind == "list_type" and isinstance(value, str | int | float) and not isinstance(value, bool):
        return f"; write {_listed(value, of_numbers)}"
    if not isinstance(value, str):
        return ""
    if (_NUMBER.fullmatch(value) or value in ("true", "false")) and kind in ("int_type", "float_type", "bool_type"):
        return f", which is text; write {value}"
    if kind == "literal_error":
        words = _quoted(limits)
        same = next((name for name in NUMBER_FORMATS.get(value.lower(), ()) if name in words), None)
        return f" (did you mean {same!r}?)" if same else did_you_mean(value, words)
    if kind == "float_type" and (power := _EXPONENT.fullmatch(value)):
        return f", which is text to YAML; write {power[1]}{power[2] or '.0'}e{int(power[3]):+d}"
    return ""
