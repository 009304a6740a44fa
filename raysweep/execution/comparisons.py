"""Comparisons of the tests that a candidate's result can't answer as it likes: ``assert f(2) == 4`` asks f's result.

An object of a class that the program wrote may equal everything. Such objects are asked several times, in an order
that they can't know, about the expected value and about others like it; only who tells them apart is believed. A guard,
not a boundary: an object that knows the right answer, or that computes with the expected value, gets through.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from os import urandom
from typing import Any

from raysweep.execution.decoys import ATOMS, CONTAINERS, MAPPINGS, SEQUENCES, SETS, Decoy, far_from, kinds_of, unlike

_IMMUTABLE, _HEAP = 1 << 8, 1 << 9  # Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_HEAPTYPE
_FLAGS: Callable[[type], int] = type.__dict__["__flags__"].__get__  # a metaclass may say what it likes
_REPEATS = 3  # of the true question, among the decoys
_INFINITE = float("inf")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda one, many: one in many, "NotIn": lambda one, many: one not in many,
}  # fmt: skip
_OPPOSITE = {"Lt": "GtE", "GtE": "Lt", "Gt": "LtE", "LtE": "Gt"}
_METHODS = {"Lt": "__lt__", "GtE": "__ge__", "Gt": "__gt__", "LtE": "__le__"}
_MRO: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_NAMES: Callable[[type], Any] = type.__dict__["__dict__"].__get__


def compare(names: Sequence[str], values: Sequence[Any], *later: Callable[[], Any]) -> Any:
    """Return what ``values[0] names[0] values[1] names[1] values[2] ...`` says, with doubtful objects questioned.

    Args:
        names: of the operators, as classes of `ast`.
        values: the first two.
        later: functions that return the others, called only if it comes to that.
    """
    result: Any = True
    right = values[0]
    for at, name in enumerate(names):
        left, right = right, later[at - 1]() if at else values[1]
        if name in ("Is", "IsNot") or not (is_doubtful(left) or is_doubtful(right)):
            result = OPERATORS[name](left, right)
        else:
            result = _by_element(name, left, right)
            if result is None:
                result = _questioned(name, left, right)
        if at + 1 < len(names) and not result:
            return result
    return result


def _by_element(name: str, left: Any, right: Any) -> Any:
    """Return what a comparison of arrays and tables says, element by element; None where it isn't one."""
    if not all(_is_table(one) or not is_doubtful(one) for one in (left, right)):
        return None
    result = OPERATORS[name](left, right)
    return result if _is_table(result) or _is_of_numpy(type(result), result) else None


def _is_table(value: Any) -> bool:
    """Say whether an object is an array or a table of numpy's or pandas' without objects of programs in it."""
    try:
        return _is_frozen(value, ("numpy", "pandas")) and _holds_atoms(
            value.to_numpy() if hasattr(value, "to_numpy") else value
        )
    except Exception:  # of kinds that can't be looked into
        return False


def _is_frozen(value: Any, packages: tuple[str, ...]) -> bool:
    """Say whether an object is of a class of these that tests import, whose methods nobody can change (tested.py)."""
    kind = type(value)
    is_frozen = _FLAGS(kind) & (_HEAP | _IMMUTABLE) == _HEAP | _IMMUTABLE
    return is_frozen and str(kind.__module__).partition(".")[0] in packages


def _holds_atoms(array: Any) -> bool:
    return not array.dtype.hasobject or kinds_of(array.ravel().tolist()) <= ATOMS


def is_doubtful(value: Any) -> bool:
    """Say whether an object, or one in it, is of a class whose comparisons a program may have written or changed.

    Only what is known isn't: numbers, texts, containers of them, arrays.
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
            if not kinds_of(value) <= ATOMS:
                waiting += value
        elif id(kind) in MAPPINGS:
            waiting += (*value.keys(), *value.values())
        elif not _is_of_numpy(kind, value):
            return True
    return False


def _is_of_numpy(kind: type, value: Any) -> bool:
    """Say whether a value is an array or a scalar of numpy's own types, without Python objects in it."""
    static = not _FLAGS(kind) & _HEAP and kind.__module__ == "numpy"
    return static and getattr(value, "dtype", None) is not None and _holds_atoms(value)


def _questioned(name: str, left: Any, right: Any) -> bool:
    """Return what a comparison of doubtful objects says, if it is to be believed."""
    if name == "NotEq":
        return not _equal(left, right)
    if name == "Eq":
        return _equal(left, right)
    if name in ("In", "NotIn") and id(type(right)) in CONTAINERS:
        found = left in right and any(left is one or _equal(left, one) for one in right)
        return found is (name == "In")
    if hasattr(type(right), "__next__"):
        return bool(OPERATORS[name](left, right))  # can be asked only once
    if name == "NotIn":
        return not _is_consistent("In", left, right)
    return _is_consistent(name, left, right)


def _equal(left: Any, right: Any) -> bool:
    """Say whether two values are equal, looking into containers: what lies in them is questioned on its own."""
    kind = type(left)
    if kind is type(right) and id(kind) in CONTAINERS:
        if len(left) != len(right):
            return False
        if id(kind) in MAPPINGS:
            return _equal_mappings(left, right)
        if id(kind) in SETS:
            return _all_found(left, right, lambda one: one)
        return all(one is other or _equal(one, other) for one, other in zip(left, right, strict=True))
    if not is_doubtful(left) and not is_doubtful(right):
        return bool(left == right)
    return _is_consistent("Eq", left, right)


def _equal_mappings(left: Any, right: Any) -> bool:
    if kinds_of(left) <= ATOMS:
        return all(key in right and (left[key] is right[key] or _equal(left[key], right[key])) for key in left)
    return _all_found(left.items(), right.items(), operator.itemgetter(0))


def _all_found(some: Iterable[Any], others: Iterable[Any], key: Callable[[Any], Any]) -> bool:
    """Say whether each of some is equal to one of others; what is equal has keys with equal hashes."""
    by_hash: dict[int, list[Any]] = {}
    for other in others:
        by_hash.setdefault(hash(key(other)), []).append(other)
    return all(any(one is o or _equal(one, o) for o in by_hash.get(hash(key(one)), ())) for one in some)


def _is_consistent(name: str, left: Any, right: Any) -> bool:
    """Ask about the values and about decoys in a random order; return True only if every answer fits."""
    questions = [(left, right, True)] * _REPEATS
    if name == "Eq":
        questions += [(left, decoy, False) for decoy in unlike(right) if is_doubtful(right) or decoy != right]
        if is_doubtful(right):
            decoys = far_from(left) if _is_frozen(right, ("_pytest",)) else unlike(left)
            questions += [(decoy, right, False) for decoy in decoys if is_doubtful(left) or decoy != left]
    elif name == "In":
        questions += [(Decoy(), right, False)]
    elif name in ("Lt", "LtE", "Gt", "GtE") and isinstance(right, int | float) and not is_doubtful(right):
        beyond = -_INFINITE if name.startswith("L") else _INFINITE
        questions += [(left, beyond, False)] if right != beyond else []
    questions.sort(key=lambda question: urandom(4))
    for one, other, expected in questions:
        if _answer(OPERATORS[name], one, other, not expected) is not expected:
            return False
    opposite = _OPPOSITE.get(name)
    if opposite is None or not _are_of_one_class(type(left), _METHODS[name], _METHODS[opposite]):
        return True
    return not _answer(OPERATORS[opposite], left, right, True)


def _are_of_one_class(kind: type, *methods: str) -> bool:
    """Say whether the first class that defines one of these methods defines them all."""
    for one in _MRO(kind):
        if any(name in _NAMES(one) for name in methods):
            return all(name in _NAMES(one) for name in methods)
    return False


def _answer(ask: Callable[[Any, Any], Any], one: Any, other: Any, may_raise: bool) -> bool:
    try:
        return bool(ask(one, other))
    except Exception:
        if may_raise:
            return False
        raise
