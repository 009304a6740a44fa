"""Name -> class tables, filled by decorators.

A registry imports every module of its package once, then the entry points of the same name
(``raysweep.perturbations`` and so on): a new variant is one new file or one installed package, and no list is edited.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
import typing
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from raysweep.errors import UnknownName, UsageError, did_you_mean
from raysweep.records import Spec

log = logging.getLogger("raysweep")

T = TypeVar("T")


class NotLoaded(UnknownName):
    """A name of an installed package that can't be imported; `why` says which and what is wrong with it."""

    def __init__(self, kind: str, name: str, why: str) -> None:
        super().__init__(kind, name, [why])

    def __reduce__(self) -> Any:
        return NotLoaded, (self.args[0], self.args[1], self.args[2][0])

    def __str__(self) -> str:
        return str(self.args[2][0])


class Registry(Generic[T]):
    """The classes of one kind by their registered name.

    Args:
        kind: what an entry is, in the singular, for messages (``perturbation``).
        package: the package whose modules register built-in entries; also the entry-point group.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._classes: dict[str, type[T]] = {}
        self._prefixes: dict[str, Callable[[str], type[T]]] = {}
        self._broken: dict[str, str] = {}  # why names of installed packages can't be had
        self._loaded = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator: make the class known as `name` and store the name on it as ``cls.name``."""

        def add(cls: type[T]) -> type[T]:
            other = self._classes.get(name)
            if other is not None and other.__module__ != cls.__module__:
                raise UsageError(f"{self.kind} {name!r} is registered by both {other.__module__} and {cls.__module__}")
            cls.name = name  # type: ignore[attr-defined]
            self._classes[name] = cls
            return cls

        return add

    def register_prefix(self, prefix: str) -> Callable[[Callable[[str], type[T]]], Callable[[str], type[T]]]:
        """Function decorator: what the function returns for NAME is known as ``prefix:NAME``, and not listed.

        The function raises UnknownName, or another UsageError, for names that can't be had.
        """

        def add(class_of: Callable[[str], type[T]]) -> Callable[[str], type[T]]:
            self._prefixes[prefix] = class_of
            return class_of

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._load()
        return sorted(self._classes)

    def get(self, name: str) -> type[T]:
        """Return the class called `name`; raise UnknownName with the nearest one, or NotLoaded, otherwise."""
        self._load()
        if name in self._classes:
            return self._classes[name]
        prefix, colon, rest = name.partition(":")
        if colon and prefix in self._prefixes:
            return self._prefixes[prefix](rest)
        if name in self._broken:
            raise NotLoaded(self.kind, name, self._broken[name])
        raise UnknownName(self.kind, name, self._classes)

    def create(self, spec: Spec, **more: Any) -> T:
        """Build the object a spec describes; raise UsageError when its arguments don't fit the class."""
        cls = self.get(spec.name)
        self._check_args(cls, spec, more)
        return cls(**spec.args, **more)

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        """Return what the class called `name` takes, by argument name."""
        return dict(inspect.signature(self.get(name)).parameters)

    def needed(self, name: str) -> list[str]:
        """Return the arguments without which the class called `name` can't be built."""
        return [key for key, taken in self.parameters(name).items() if taken.default is taken.empty]

    def _check_args(self, cls: type[T], spec: Spec, more: dict[str, Any]) -> None:
        from pydantic import TypeAdapter, ValidationError

        known = self.parameters(spec.name)
        place = f"{self.kind} {spec.name!r}"
        for name in spec.args:
            if name not in known or name in more:
                allowed = sorted(set(known) - set(more))
                hint = did_you_mean(name, allowed)
                raise UsageError(f"{place} has no argument {name!r}{hint}; it takes: {', '.join(allowed) or 'none'}")
        for name in self.needed(spec.name):
            if name not in spec.args and name not in more:
                raise UsageError(f"{place} needs the argument {name!r}")
        hints = typing.get_type_hints(cls.__init__)
        for name, value in spec.args.items():
            try:
                TypeAdapter(hints[name]).validate_python(value, strict=not isinstance(value, list))
            except ValidationError as error:
                raise UsageError(f"{place}, argument {name!r}: {in_words(dict(error.errors()[0]))}") from None
            if isinstance(value, int | float) and not abs(value) < 2**63:  # also NaN and infinity
                raise UsageError(f"{place}, argument {name!r}: must be a finite number below 2**63, not {value!r:.60}")

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for entry in entry_points(group=self.package):
            try:
                loaded = entry.load()
                if isinstance(loaded, type):
                    self.register(entry.name)(loaded)
            except Exception as error:  # whatever a package of somebody else does: the others can be used
                self._broken[entry.name] = why = self._why(entry, error)
                log.warning("%s", why)
                log.debug("%s", entry, exc_info=True)

    def _why(self, entry: EntryPoint, error: Exception) -> str:
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        what = error if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        return f"{self.kind} {entry.name!r} of the installed package {package} can't be used: {what}"


_WANTED = {
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
_EXPONENT = re.compile(r"([+-]?\d+)(\.\d*)?[eE]([+-]?\d+)")


def in_words(detail: Mapping[str, Any]) -> str:
    """Say one of pydantic's errors in words for who writes YAML: what is wanted, and what stands there."""
    kind, value, limits = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind.endswith("too_short") and not value:
        return "must not be empty"
    wanted = _WANTED[kind].format_map(limits) if kind in _WANTED else detail["msg"][:1].lower() + detail["msg"][1:]
    shown = repr(value)
    return f"{wanted}, not {shown if len(shown) <= 80 else shown[:77] + '...'}{_hint(kind, value, limits)}"


def _hint(kind: str, value: Any, limits: Mapping[str, Any]) -> str:
    """Say how to write a value that YAML reads as another type, or which choice is near."""
    if kind == "string_type":
        return "; put it in quotes" if isinstance(value, int | float) else ""
    if not isinstance(value, str):
        return ""
    if kind == "literal_error":
        return did_you_mean(value, re.findall(r"'([^']+)'", limits["expected"]))
    if kind == "float_type" and (number := _EXPONENT.fullmatch(value)):
        return f", which is text to YAML; write {number[1]}{number[2] or '.0'}e{int(number[3]):+d}"
    quoted = re.fullmatch(r"[+-]?\d+(\.\d+)?|true|false", value)
    return "; write it without quotes" if quoted and kind in ("int_type", "float_type", "bool_type") else ""
