"""What values are known by, and decoys: values that look like another one and aren't equal to it (comparisons.py)."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from os import urandom
from typing import Any


def ids(*kinds: type) -> frozenset[int]:
    """Return what classes are known by: a class itself may be equal to others, and hash like them (metaclasses)."""
    return frozenset(map(id, kinds))


ATOMS = ids(int, float, str, bool, bytes, complex, type(None), range, bytearray, type(...), type(NotImplemented))
SETS = ids(set, frozenset)
SEQUENCES = ids(list, tuple, deque) | SETS
MAPPINGS = ids(dict, OrderedDict, defaultdict)
CONTAINERS = SEQUENCES | MAPPINGS
NUMBERS, REALS = ids(float, complex), ids(int, float)
EXACT = ids(Fraction, Decimal)
EXTENDED = ids(str, bytes, list, tuple)


def kinds_of(values: Iterable[Any]) -> set[int]:
    """Return what the classes of values are known by."""
    return set(map(id, map(type, values)))


def far_from(value: Any) -> Iterator[Any]:
    """Yield what no approximation of tests is equal to, if it is to a value."""
    yield Decoy()
    if id(type(value)) in REALS:
        yield 1e9 * value + 1e18


class Decoy:
    """Equal to itself only, and to whatever says that it equals everything."""


def unlike(value: Any) -> Iterator[Any]:
    """Yield values that look like one, of its length and size, and aren't equal to it."""
    yield Decoy()
    kind = type(value)
    if kind is bool:
        yield not value
    elif kind is int:
        yield from (value + 1, value - 1)  # no others: an honest class may compute modulo something
    elif id(kind) in EXACT:
        yield from (other for other in (value + 1, value - 1) if other != value)  # a long Decimal is rounded
    elif id(kind) in NUMBERS:
        yield from (-value or 1.0, value * (1.1 + urandom(1)[0] / 256), value + 1)
    elif id(kind) in EXTENDED:
        end: Any = "x" if kind is str else b"x" if kind is bytes else kind([0])
        yield value + end
        yield from _with_one_changed(value, kind)
    elif id(kind) in SETS:
        yield from (value | {Decoy()}, value ^ {0})
    elif id(kind) in MAPPINGS:
        changed: dict[Any, Any] = {key: _another(old) for key, old in value.items()}
        yield from ({**value, "another": 1}, changed or {0: 0}, dict([*value.items()][1:]) if value else {1: 1})
    elif id(kind) in ATOMS:
        yield from (0, "", [])


def _with_one_changed(value: Any, kind: type) -> Iterator[Any]:
    """Yield sequences of the same length in which one element, anywhere, is another one."""
    for _ in range(2 if value else 0):
        at = urandom(2)[0] % len(value)
        old = value[at]
        if kind is str:
            new: Any = chr((ord(old) + 1) % 0xD800)
        elif kind is bytes:
            new = bytes([(old + 1) % 256])
        else:
            new = kind([_another(old)])
        yield value[:at] + new + value[at + 1 :]


def _another(value: Any) -> Any:
    """Return something that isn't equal to a value, and looks like it where it is a number or a text."""
    if id(type(value)) in REALS:
        return value + 1
    return f"{value}x" if type(value) is str else Decoy()
