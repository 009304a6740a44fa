"""Decoys: values that resemble an expected value but are not equal to it; a candidate's `__eq__` must tell them apart.

Also the kinds of values that comparisons.py distinguishes. Classes are compared by id, since a class whose metaclass
defines `__eq__` and `__hash__` can claim to be another one.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from os import urandom
from typing import Any


def class_ids(*kinds: type) -> frozenset[int]:
    """Return the ids of classes."""
    return frozenset(map(id, kinds))


ATOMS = class_ids(int, float, str, bool, bytes, complex, type(None), range, bytearray, type(...), type(NotImplemented))
SETS = class_ids(set, frozenset)
SEQUENCES = class_ids(list, tuple, deque) | SETS
MAPPINGS = class_ids(dict, OrderedDict, defaultdict)
CONTAINERS = SEQUENCES | MAPPINGS
NUMBERS, REALS = class_ids(float, complex), class_ids(int, float)
EXACT = class_ids(Fraction, Decimal)
EXTENDED = class_ids(str, bytes, list, tuple)


def class_ids_of(values: Iterable[Any]) -> set[int]:
    """Return the ids of the classes of values."""
    return set(map(id, map(type, values)))


def distant_decoys(value: Any) -> Iterator[Any]:
    """Yield decoys so far from a value that no approximation of it, such as pytest's, equals them."""
    yield Decoy()
    if id(type(value)) in REALS:
        yield 1e9 * value + 1e18


class Decoy:
    """An object that equals only itself, unless the other side claims to equal everything."""


def decoys_of(value: Any) -> Iterator[Any]:
    """Yield values that resemble a value in class, length and size but are not equal to it."""
    yield Decoy()
    kind = type(value)
    if kind is bool:
        yield not value
    elif kind is int:
        yield from (value + 1, value - 1)  # only these, since an honest class may compute modulo a number
    elif id(kind) in EXACT:
        yield from (
            other for other in (value + 1, value - 1) if other != value
        )  # adding 1 doesn't change a Decimal of many digits
    elif id(kind) in NUMBERS:
        yield from (-value or 1.0, value * (1.1 + urandom(1)[0] / 256), value + 1)
    elif id(kind) in EXTENDED:
        end: Any = "x" if kind is str else b"x" if kind is bytes else kind([0])
        yield value + end
        yield from _with_one_altered(value, kind)
    elif id(kind) in SETS:
        yield from (value | {Decoy()}, value ^ {0})
    elif id(kind) in MAPPINGS:
        changed: dict[Any, Any] = {key: _altered(old) for key, old in value.items()}
        yield from ({**value, "another": 1}, changed or {0: 0}, dict([*value.items()][1:]) if value else {1: 1})
    elif id(kind) in ATOMS:
        yield from (0, "", [])


def _with_one_altered(value: Any, kind: type) -> Iterator[Any]:
    """Yield sequences of the same length in which one element, at a random index, is altered."""
    for _ in range(2 if value else 0):
        index = urandom(2)[0] % len(value)
        old = value[index]
        if kind is str:
            new: Any = chr((ord(old) + 1) % 0xD800)
        elif kind is bytes:
            new = bytes([(old + 1) % 256])
        else:
            new = kind([_altered(old)])
        yield value[:index] + new + value[index + 1 :]


def _altered(value: Any) -> Any:
    """Return something that isn't equal to a value and, for a number or a text, is of the same class."""
    if id(type(value)) in REALS:
        return value + 1
    return f"{value}x" if type(value) is str else Decoy()
