"""Builds the parts that a config names, each once."""

from __future__ import annotations

from typing import Any, TypeVar

from raysweep.errors import UsageError
from raysweep.records import Spec
from raysweep.registry import Registry

T = TypeVar("T")


class Parts:
    """Parts by their specs, each built when it is first asked for; one that can't be raises its error each time.

    They add nothing to the config that has them: those of two configs are equal, and a copy for a worker has none.
    """

    def __init__(self) -> None:
        self._built: dict[tuple[str, str], Any] = {}

    def create(self, registry: Registry[T], spec: Spec) -> T:
        key = registry.kind, repr(spec)
        if key not in self._built:
            try:
                self._built[key] = registry.create(spec)
            except UsageError as error:
                self._built[key] = error
        if isinstance(self._built[key], UsageError):
            raise self._built[key]
        part: T = self._built[key]
        return part

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts)

    def __reduce__(self) -> Any:
        return Parts, ()
