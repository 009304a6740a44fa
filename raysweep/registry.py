"""Name -> class tables, filled by decorators.

A registry imports every module of its package once, then the entry points of the same name
(``raysweep.perturbations`` and so on), so a new variant is one new file or one installed package, and no list is edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from raysweep.errors import UnknownName, UsageError
from raysweep.records import Spec

T = TypeVar("T")


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

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._load()
        return sorted(self._classes)

    def get(self, name: str) -> type[T]:
        """Return the class called `name`; raise UnknownName with the nearest one otherwise."""
        self._load()
        try:
            return self._classes[name]
        except KeyError:
            raise UnknownName(self.kind, name, self._classes) from None

    def create(self, spec: Spec, **more: Any) -> T:
        """Build the object a spec describes; raise UsageError when its arguments don't fit the class."""
        cls = self.get(spec.name)
        try:
            return cls(**spec.args, **more)
        except TypeError as error:
            raise UsageError(f"{self.kind} {spec.name!r}: {error}") from error

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        for entry in entry_points(group=self.package):
            loaded = entry.load()
            if isinstance(loaded, type):
                self.register(entry.name)(loaded)
