"""Which containers a call has changed, and what they have then: arguments are compared before and after it."""

from __future__ import annotations

import collections
from array import array
from collections.abc import Callable
from operator import is_
from typing import Any

from raysweep.execution.python.outside.codec import Malformed
from raysweep.execution.python.outside.numpy_kinds import content_of
from raysweep.execution.python.outside.set_order import SetOrder, slots_of


def changed_items(value: Any) -> Any:
    """Return what a container has now, to compare it with later by `is_changed`; None for what can't change."""
    snapshot = _SNAPSHOTS.get(type(value))
    return snapshot(value) if snapshot else content_of(value) if type(value).__name__ == "ndarray" else None


def is_changed(value: Any, before: Any) -> bool:
    """Return True if a container no longer has the very items that it had when `changed_items` was called."""
    now = changed_items(value)
    if type(now) is bytes:
        return bool(now != before)
    return len(now) != len(before) or not all(map(is_, now, before))


_SNAPSHOTS: dict[type, Callable[[Any], Any]] = {
    list: list.copy,
    dict: lambda value: [*value.keys(), *value.values()],
    set: list,
    bytearray: bytes,
    collections.deque: list,
    collections.Counter: lambda value: [*value.keys(), *value.values()],
    collections.OrderedDict: lambda value: [*value.keys(), *value.values()],
    collections.defaultdict: lambda value: [*value.keys(), *value.values()],
    array: lambda value: value.tobytes(),
    collections.UserList: lambda value: list(value.data),
    collections.UserDict: lambda value: [*value.data.keys(), *value.data.values()],
}


def copied(value: Any, sets: SetOrder) -> Any:
    if type(value) is set:
        return sets.copy(value)
    return value.copy() if hasattr(value, "copy") else value[:]


def replace_items(value: Any, new: Any, sets: SetOrder) -> None:
    """Give a container the items of another one of its class, in their order; raise Malformed for another class."""
    kind = type(value)
    if kind is not type(new) or (kind not in _SNAPSHOTS and kind.__name__ != "ndarray"):
        raise Malformed("a changed argument of another class")
    if kind in (list, bytearray, array):
        value[:] = new
    elif kind is collections.UserList:
        value.data[:] = new.data
    elif kind is collections.deque:
        value.clear()
        value.extend(new)
    elif kind is set:
        value.clear()
        sets.fill(value, list(new), slots_of(new))
    elif kind.__name__ == "ndarray":
        if value.shape != new.shape or value.dtype.kind != new.dtype.kind:  # it may have come in double precision
            raise Malformed("a changed array of another shape")
        value[...] = new
    else:
        value.clear()
        value.update(new)
