"""Divides the calls of tests into batches that can be sent ahead, none of which tells an answer to a call in it.

Tests such as ``assert f(2) == 4`` and then ``assert f(4) == 16`` show the first answer in the second call. So a call is
sent only when every earlier call is answered whose right answer is among its arguments, as a whole or as a part of one.
Small integers are often equal by chance; then a batch ends early, which costs one more message.

Values are compared in a coarse form, in which at least all equal values are alike: also lists, tuples and arrays,
mappings of all kinds, and numbers that agree in six digits, since tests may compare floats with a tolerance. Only truth
values differ from 0 and 1, of which tests are full.
"""

from __future__ import annotations

import math
from array import array
from collections import UserList, UserString, deque
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from typing import Any

from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.outside.plain import Plain

_ITEMS: tuple[type, ...] = (list, tuple, deque, array, UserList, type({}.values()))
_MAX_RANGE = 10_000  # items of a range that is compared with lists


def ends_of_batches(
    calls: Sequence[Sequence[Any]], answers: Sequence[Sequence[Any]], beside: Sequence[Sequence[Any]]
) -> list[int]:
    """Return the number of calls up to the end of each batch.

    `calls`: (name, arguments, options) of each. `answers`: the right one to each, as candidate.py sends it: (kind,
    changes, value or error). `beside`: further values that tell one, for each call (beside.py). All are plain data.
    Raises RecursionError for a value that is nested too deeply.
    """
    ends: list[int] = []
    waiting: set[int] = set()
    forms = _Forms()
    for index, ((_, arguments, options), answer, more) in enumerate(zip(calls, answers, beside, strict=True)):
        plain = _plain()
        given = plain.read_items(arguments, 0)
        parts: set[int] = set()
        for value in [*given, *([given] if len(given) > 1 else []), *([plain.read(options)] if options else [])]:
            forms.number(value, parts, {})
        if not waiting.isdisjoint(parts):
            ends.append(index)
            waiting.clear()
        telling = [*_values(plain, answer), *(_plain().read(value) for value in more)]
        waiting.update(forms.number(value, set(), {}) for value in telling)
    return [*ends, len(calls)]


def _values(plain: Plain, answer: Sequence[Any]) -> list[Any]:
    """Return what an answer consists of: the result, or an error's arguments, and what changed arguments have then."""
    kind, changes, value = answer
    values = [plain.read(content) for _, content in changes]
    if kind == "error":
        return [*values, _plain().read(value[1])]
    if type(value) is dict and "@" in value:  # an argument itself
        return values
    return [*values, plain.read(value)]


class _Forms:
    """Numbers the coarse forms of values, so that forms within forms are compared at once, however often they occur."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def number(self, value: Any, parts: set[int], seen: dict[int, tuple[Any, int]]) -> int:
        """Return the number of a value's form; add it, and those of all its parts, to `parts`.

        `value`: the value. `parts`: numbers. `seen`: by id, the values that were seen so far, with their numbers; a
        value in itself has the number -1.
        """
        if id(value) not in seen:
            seen[id(value)] = value, -1
            form = self._form(value, parts, seen)
            seen[id(value)] = value, self._numbers.setdefault(form, len(self._numbers))
        number = seen[id(value)][1]
        parts.add(number)
        return number

    def _form(self, value: Any, parts: set[int], seen: dict[int, tuple[Any, int]]) -> Any:
        """Return what can be hashed, and is equal for values that are alike."""

        def numbers(items: Any) -> tuple[int, ...]:
            return tuple([self.number(item, parts, seen) for item in items])

        form: Any = value
        if isinstance(value, bool):
            form = "bool", value
        elif isinstance(value, float) and math.isfinite(value) and not value.is_integer():
            form = float(f"{value:.6g}")
        elif isinstance(value, Mapping):
            form = "mapping", frozenset(zip(numbers(value.keys()), numbers(value.values()), strict=True))
        elif isinstance(value, Set):
            form = "set", frozenset(numbers(value))
        elif isinstance(value, _ITEMS) or (isinstance(value, range) and not value[_MAX_RANGE:]):
            form = "items", numbers(value)
        elif isinstance(value, slice):
            form = "slice", numbers((value.start, value.stop, value.step))
        elif isinstance(value, bytearray):
            form = bytes(value)
        elif isinstance(value, UserString):
            form = value.data
        elif isinstance(value, Decimal) and value.is_snan():  # it can't be hashed
            form = str(value)
        elif type(value).__module__ == "numpy":
            listed = value.tolist()
            form = listed if type(listed) is type(value) else self._form(listed, parts, seen)
        return form


def _plain() -> Plain:
    return plain_data(object_of=lambda *fields: object())
