"""Decoys: values that resemble an expected value but are not equal to it; a candidate's `__eq__` must tell them apart.

Also the kinds of values that comparisons.py distinguishes. Classes are compared by id, since a class whose metaclass
defines `__eq__` and `__hash__` can claim to be another one.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any


def class_ids(*kinds: type) -> frozenset[int]:
    return frozenset(map(id, kinds))


ATOMS = class_ids(int, float, str, bool, bytes, complex, type(None), range, bytearray, type(...), type(NotImplemented))
SETS = class_ids(set, frozenset)
SEQUENCES = class_ids(list, tuple, deque) | SETS
MAPPINGS = class_ids(dict, OrderedDict, defaultdict)
CONTAINERS = SEQUENCES | MAPPINGS
NUMBERS = class_ids(int, float, complex, Fraction, Decimal)
EXTENDED = class_ids(str, bytes, list, tuple)


def class_ids_of(values: Iterable[Any]) -> set[int]:
    return set(map(id, map(type, values)))


class Decoy:
    """An object that equals only itself, unless the other side claims to equal everything."""


def decoys_of(value: Any) -> Iterator[Any]:
    """Yield values that resemble a value in class, length and size but are not equal to it."""
    yield Decoy()
    kind = type(value)
    if id(kind) in NUMBERS:
        # only these, since an honest class may compute modulo a number; 1 doesn't change a Decimal of many digits
        yield from (other for other in (value + 1, value - 1) if other != value)
    elif id(kind) in EXTENDED:
        ends: Any = ("x", "y") if kind is str else (b"x", b"y") if kind is bytes else (kind([0]), kind([1]))
        yield value + ends[0]
        if value:
            yield value[:-1] + ends[value[-1:] == ends[0]]
    elif id(kind) in MAPPINGS:
        yield {**value, "another": 1}
    elif id(kind) in ATOMS | SETS:
        yield from (0, "", [])
