"""Compares values of tests so that a candidate's result can't decide the comparison: ``f(2) == 4`` calls its `__eq__`.

An object of a class that the program defines may claim to equal everything. Such doubtful objects are compared several
times, in random order, with the expected value and with decoys; the comparison holds only if they tell these apart.
This is a guard, not a boundary: an object that knows the right answer, or computes with the expected value, passes.

Classes are compared by id, since a class whose metaclass defines `__eq__` and `__hash__` can claim to be another one.
"""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from os import urandom
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
_IMMUTABLE, _HEAP = 1 << 8, 1 << 9  # Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_HEAPTYPE
# not through the class: its metaclass could answer anything
_FLAGS: Callable[[type], int] = type.__dict__["__flags__"].__get__
_REPEATS = 3  # comparisons with the expected value, among those with decoys
_INFINITE = float("inf")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda item, items: item in items, "NotIn": lambda item, items: item not in items,
}  # fmt: skip


def class_ids_of(values: Iterable[Any]) -> set[int]:
    return set(map(id, map(type, values)))


def compare(names: Sequence[str], values: Sequence[Any], *later: Callable[[], Any]) -> Any:
    """Return the result of ``values[0] names[0] values[1] names[1] ...``; test doubtful objects with decoys.

    `names`: the operators, named as the classes of `ast` (such as "Eq"). `values`: the first two values. `later`:
    functions that return the further values, called only as far as the result depends on them.
    """
    result: Any = True
    right = values[0]
    for index, name in enumerate(names):
        left, right = right, later[index - 1]() if index else values[1]
        if name in ("Is", "IsNot") or not (is_doubtful(left) or is_doubtful(right)):
            result = OPERATORS[name](left, right)
        else:
            result = _compare_elementwise(name, left, right)
            if result is None:
                result = _compare_doubtful(name, left, right)
        if index + 1 < len(names) and not result:
            return result
    return result


def equal(left: Any, right: Any) -> tuple[Any, Any]:
    """Return both values, for `assertEqual` of unittest; raise AssertionError if they differ."""
    if not compare(["Eq"], [left, right]):
        raise AssertionError("the values differ")
    return left, right


def _compare_elementwise(name: str, left: Any, right: Any) -> Any:
    """Return the element-wise result of comparing arrays or tables; None if it isn't such a comparison."""
    if not all(_is_table(value) or not is_doubtful(value) for value in (left, right)):
        return None
    result = OPERATORS[name](left, right)
    return result if _is_table(result) or _is_of_numpy(type(result), result) else None


def _is_table(value: Any) -> bool:
    """Return True for an array or table of numpy or pandas that contains no other objects."""
    try:
        return _is_frozen(value, ("numpy", "pandas")) and _holds_atoms(
            value.to_numpy() if hasattr(value, "to_numpy") else value
        )
    except Exception:  # the object can't be converted to an array
        return False


def _is_frozen(value: Any, packages: tuple[str, ...]) -> bool:
    """Return True if an object's class is from one of these packages and was made immutable (prepared_tests.py)."""
    kind = type(value)
    is_frozen = _FLAGS(kind) & (_HEAP | _IMMUTABLE) == _HEAP | _IMMUTABLE
    return is_frozen and str(kind.__module__).partition(".")[0] in packages


def _holds_atoms(array: Any) -> bool:
    """Return True if all elements of a numpy array are of built-in classes without elements of their own."""
    return not array.dtype.hasobject or class_ids_of(array.ravel().tolist()) <= ATOMS


def is_doubtful(value: Any) -> bool:
    """Return True if a program may have defined or changed how an object, or an object in it, compares.

    That can't be the case for numbers, texts, containers of them, and numpy arrays; it may for all other objects.
    """
    waiting = [value]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if id(kind) in ATOMS or id(value) in seen:
            continue
        if id(kind) in CONTAINERS:
            seen.add(id(value))
        if id(kind) in SEQUENCES:
            if not class_ids_of(value) <= ATOMS:
                waiting += value
        elif id(kind) in MAPPINGS:
            waiting += (*value.keys(), *value.values())
        elif not _is_of_numpy(kind, value):
            return True
    return False


def _is_of_numpy(kind: type, value: Any) -> bool:
    """Return True for an array or a scalar of numpy's own classes without Python objects in it."""
    static = not _FLAGS(kind) & _HEAP and kind.__module__ == "numpy"
    return static and getattr(value, "dtype", None) is not None and _holds_atoms(value)


def _compare_doubtful(name: str, left: Any, right: Any) -> bool:
    if name == "NotEq":
        return not _equal(left, right)
    if name == "Eq":
        return _equal(left, right)
    if name in ("In", "NotIn") and id(type(right)) in CONTAINERS:
        contained = left in right and any(left is item or _equal(left, item) for item in right)
        return contained is (name == "In")
    if hasattr(type(right), "__next__"):
        return bool(OPERATORS[name](left, right))  # an iterator can be searched only once
    return _tells_decoys_apart(name, left, right)


def _equal(left: Any, right: Any) -> bool:
    kind = type(left)
    if kind is type(right) and id(kind) in CONTAINERS:
        if len(left) != len(right):
            return False
        if id(kind) in MAPPINGS and class_ids_of(left) <= ATOMS:
            return all(key in right and (left[key] is right[key] or _equal(left[key], right[key])) for key in left)
        if id(kind) in MAPPINGS:
            return _all_contained(left.items(), right.items(), operator.itemgetter(0))
        if id(kind) in SETS:
            return _all_contained(left, right, lambda item: item)
        return all(item is other or _equal(item, other) for item, other in zip(left, right, strict=True))
    if not is_doubtful(left) and not is_doubtful(right):
        return bool(left == right)
    return _tells_decoys_apart("Eq", left, right)


def _all_contained(items: Iterable[Any], others: Iterable[Any], key: Callable[[Any], Any]) -> bool:
    """Return True if each item equals one of the others. The keys of equal items must have equal hashes."""
    by_hash: dict[int, list[Any]] = {}
    for other in others:
        by_hash.setdefault(hash(key(other)), []).append(other)
    return all(
        any(item is other or _equal(item, other) for other in by_hash.get(hash(key(item)), ())) for item in items
    )


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


def _tells_decoys_apart(name: str, left: Any, right: Any) -> bool:
    """Compare the values, and decoys in their place, in random order; return True if all results are as expected."""
    comparisons = [(left, right, True)] * _REPEATS
    if name == "Eq":
        comparisons += [(left, decoy, False) for decoy in decoys_of(right) if is_doubtful(right) or decoy != right]
        if is_doubtful(right):
            # an approximation such as pytest's equals what is near
            decoys = [Decoy()] if _is_frozen(right, ("_pytest",)) else decoys_of(left)
            comparisons += [(decoy, right, False) for decoy in decoys if is_doubtful(left) or decoy != left]
    elif name == "In":
        comparisons += [(Decoy(), right, False)]
    elif name in ("Lt", "LtE", "Gt", "GtE") and isinstance(right, int | float) and not is_doubtful(right):
        beyond = -_INFINITE if name.startswith("L") else _INFINITE
        comparisons += [(left, beyond, False)] if right != beyond else []
    comparisons.sort(key=lambda comparison: urandom(4))
    for first, second, expected in comparisons:
        if _result(OPERATORS[name], first, second, not expected) is not expected:
            return False
    return True


def _result(function: Callable[[Any, Any], Any], left: Any, right: Any, may_raise: bool) -> bool:
    try:
        return bool(function(left, right))
    except Exception:
        if may_raise:
            return False
        raise
