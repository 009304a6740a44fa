"""Comparisons of the tests that a candidate's result can't answer as it likes: ``assert f(2) == 4`` asks f's result.

An object of a class that the program wrote may equal everything. Such objects are asked several times, in an order
that they can't know, about the expected value and about others like it; only who tells them apart is believed. A guard,
not a boundary: an object that knows the right answer, or that computes with the expected value, gets through.
"""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from os import urandom
from typing import Any

_IMMUTABLE, _HEAP = 1 << 8, 1 << 9  # Py_TPFLAGS_IMMUTABLETYPE, Py_TPFLAGS_HEAPTYPE
_FLAGS: Callable[[type], int] = type.__dict__["__flags__"].__get__  # a metaclass may say what it likes
_ATOMS = frozenset(
    {int, float, str, bool, bytes, complex, type(None), range, bytearray, type(...), type(NotImplemented)}
)
_SETS = frozenset({set, frozenset})
_SEQUENCES = frozenset({list, tuple, deque}) | _SETS
_MAPPINGS = frozenset({dict, OrderedDict, defaultdict})
_CONTAINERS = _SEQUENCES | _MAPPINGS
_REPEATS = 3  # of the true question, among the decoys
_INFINITE = float("inf")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda one, many: one in many, "NotIn": lambda one, many: one not in many,
}  # fmt: skip
_OPPOSITE = {"Lt": "GtE", "GtE": "Lt", "Gt": "LtE", "LtE": "Gt"}


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
    if not all(_is_frozen(one) or not is_doubtful(one) for one in (left, right)):
        return None
    result = OPERATORS[name](left, right)
    return result if _is_frozen(result) or (type(result) not in _ATOMS and _is_of_numpy(type(result), result)) else None


def _is_frozen(value: Any) -> bool:
    """Say whether an object is of a library's class that tests import, whose methods nobody can change (tested.py)."""
    return _FLAGS(type(value)) & (_HEAP | _IMMUTABLE) == _HEAP | _IMMUTABLE


def is_doubtful(value: Any) -> bool:
    """Say whether an object, or one in it, is of a class whose comparisons a program may have written or changed.

    Only what is known isn't: numbers, texts, containers of them, arrays.
    """
    waiting = [value]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind in _ATOMS or id(value) in seen:
            continue
        if kind in _CONTAINERS:
            seen.add(id(value))
        if kind in _SEQUENCES:
            if not set(map(type, value)) <= _ATOMS:
                waiting += value
        elif kind in _MAPPINGS:
            waiting += (*value.keys(), *value.values())
        elif not _is_of_numpy(kind, value):
            return True
    return False


def _is_of_numpy(kind: type, value: Any) -> bool:
    """Say whether a value is an array or a scalar of numpy's own types, without Python objects in it."""
    return (
        not _FLAGS(kind) & _HEAP
        and kind.__module__ == "numpy"
        and getattr(value, "dtype", None) is not None
        and (value.dtype.kind != "O" or set(map(type, value.ravel().tolist())) <= _ATOMS)
    )


def _questioned(name: str, left: Any, right: Any) -> bool:
    """Return what a comparison of doubtful objects says, if it is to be believed."""
    if name == "NotEq":
        return not _equal(left, right)
    if name == "Eq":
        return _equal(left, right)
    if name in ("In", "NotIn") and type(right) in _CONTAINERS:
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
    if kind is type(right) and kind in _CONTAINERS:
        if len(left) != len(right):
            return False
        if kind in _MAPPINGS:
            return _equal_mappings(left, right)
        if kind in _SETS:
            return _all_found(tuple(left), tuple(right))
        return all(one is other or _equal(one, other) for one, other in zip(left, right, strict=True))
    if not is_doubtful(left) and not is_doubtful(right):
        return bool(left == right)
    return _is_consistent("Eq", left, right)


def _equal_mappings(left: Any, right: Any) -> bool:
    if set(map(type, left)) <= _ATOMS:
        return all(key in right and (left[key] is right[key] or _equal(left[key], right[key])) for key in left)
    return _all_found(tuple(left.items()), tuple(right.items()))


def _all_found(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return all(any(one is other or _equal(one, other) for other in others) for one in some)


def _is_consistent(name: str, left: Any, right: Any) -> bool:
    """Ask about the values and about decoys in a random order; return True only if every answer fits."""
    questions = [(left, right, True)] * _REPEATS
    if name == "Eq":
        questions += [(left, decoy, False) for decoy in _decoys(left, right) if is_doubtful(right) or decoy != right]
        if is_doubtful(right):
            questions += [(decoy, right, False) for decoy in _decoys(right, left) if is_doubtful(left) or decoy != left]
    elif name == "In":
        questions += [(_Decoy(), right, False)]
    elif name in ("Lt", "LtE", "Gt", "GtE") and isinstance(right, int | float) and not is_doubtful(right):
        beyond = -_INFINITE if name.startswith("L") else _INFINITE
        questions += [(left, beyond, False)] if right != beyond else []
    questions.sort(key=lambda question: urandom(4))
    for one, other, expected in questions:
        if _answer(OPERATORS[name], one, other, not expected) is not expected:
            return False
    opposite = _OPPOSITE.get(name)
    return opposite is None or not _answer(OPERATORS[opposite], left, right, True)


def _answer(ask: Callable[[Any, Any], Any], one: Any, other: Any, may_raise: bool) -> bool:
    try:
        return bool(ask(one, other))
    except Exception:
        if may_raise:
            return False
        raise


def _decoys(asked: Any, expected: Any) -> Iterator[Any]:
    """Yield what an object must not equal if it equals `expected`: less where tests made it, as an approximation."""
    return iter([_Decoy()]) if _is_frozen(asked) else _unlike(expected)


class _Decoy:
    """Equal to itself only, and to whatever says that it equals everything."""


def _unlike(value: Any) -> Iterator[Any]:
    """Yield values that look like one, of its length and size, and aren't equal to it."""
    yield _Decoy()
    kind = type(value)
    if kind is bool:
        yield not value
    elif kind is int:
        yield from (value + 1, value - 1)  # no others: an honest class may compute modulo something
    elif kind in (float, complex):
        yield from (-value or 1.0, value * (1.1 + urandom(1)[0] / 256), value + 1)
    elif kind in (str, bytes, list, tuple):
        end: Any = "x" if kind is str else b"x" if kind is bytes else kind([0])
        yield value + end
        yield from _with_one_changed(value, kind)
    elif kind in _SETS:
        yield from (value | {_Decoy()}, value ^ {0})
    elif kind in _MAPPINGS:
        unlike: dict[Any, Any] = {key: _Decoy() for key in value}
        yield from ({**value, _Decoy(): 1}, unlike or {0: 0})
    elif kind in _ATOMS:
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
            new = kind([old + 1 if type(old) in (int, float) else _Decoy()])
        yield value[:at] + new + value[at + 1 :]
