"""Divides the calls of tests into batches that can be sent ahead, none of which tells an answer to a call in it.

Tests such as ``assert f(2) == 4`` and then ``assert f(4) == 16`` show the first answer in the second call. So a call is
sent only when every earlier call is answered whose right answer is among its arguments, as a whole or as a part of one.
Small integers are often equal by chance; then a batch ends early, which costs one more message.

Values are compared as plain data (plain.py) in a coarse form: lists, tuples and arrays are alike, numbers of all kinds
too if they agree in six digits, since tests may compare floats with a tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.outside.plain import NotPlain
from raysweep.execution.python.outside.set_order import SetOrder

_DICTS = frozenset(("d", "C", "od", "dd", "ud", "mp"))
_SETS = frozenset(("s", "fs"))
_ITEMS = frozenset(("t", "ul", "dk", "dv", "di"))  # whose payload is a list of items
_ITEMS_LAST = frozenset(("dq", "ar"))  # or ends with one
_NUMBERS = frozenset(("i", "D", "F", "c"))  # equal numbers of these kinds have equal hashes
_OF_NUMPY = frozenset(("ns", "na"))


def ends_of_batches(calls: Sequence[Sequence[Any]], answers: Sequence[Sequence[Any]]) -> list[int]:
    """Return the number of calls up to the end of each batch.

    Args:
        calls: (name, arguments, options) of each, as plain data.
        answers: the right answer to each, as candidate.py sends it: (kind, changes, value or error).
    """
    ends: list[int] = []
    waiting: set[Any] = set()
    for index, ((_, arguments, options), answer) in enumerate(zip(calls, answers, strict=True)):
        parts: set[Any] = set()
        given = tuple([_form(argument, parts) for argument in arguments])
        if len(given) > 1:
            parts.add(given)
        if options is not None:
            _form(options, parts)
        if not waiting.isdisjoint(parts):
            ends.append(index)
            waiting.clear()
        waiting.update(_form(value, set()) for value in _values(answer))
    return [*ends, len(calls)]


def _values(answer: Sequence[Any]) -> Iterator[Any]:
    """Yield what an answer consists of: the result, or an error's arguments, and what changed arguments have then."""
    kind, changes, value = answer
    yield from (content for _, content in changes)
    if kind == "error":
        yield value[1]
    elif type(value) is not dict or "@" not in value:  # an argument itself
        yield value


def _form(node: Any, parts: set[Any]) -> Any:
    """Return the coarse form of a value, which can be hashed; add it, and those of all its parts, to `parts`."""
    kind = type(node)
    form: Any = node
    if kind is float and not node.is_integer():
        form = float(f"{node:.6g}") if math.isfinite(node) else node
    elif kind is bool:
        form = ("bool", node)
    elif kind is list:
        form = tuple([_form(item, parts) for item in node])
    elif kind is dict:
        ((tag, payload),) = node.items()
        if tag in _SETS:
            form = (tag[-1], frozenset([_form(item, parts) for item in payload[1]]))
        elif tag in _DICTS:
            keys, values = ([_form(item, parts) for item in side] for side in payload[-2:])
            form = ("d", frozenset(zip(keys, values, strict=True)))
        elif tag in _ITEMS:
            form = _form(payload, parts)
        elif tag in _ITEMS_LAST:
            form = _form(payload[-1], parts)
        elif tag in _NUMBERS:
            form = node[tag] if tag == "D" and "s" in payload else _read(node)  # a signalling NaN can't be hashed
        elif tag in _OF_NUMPY:
            form = _form(_read(node).tolist(), parts)
        else:
            form = (tag, _form(payload, parts))
    parts.add(form)
    return form


def _read(node: Any) -> Any:
    return plain_data(_nothing, _nothing, SetOrder()).read(node)


def _nothing(*fields: Any) -> Any:
    raise NotPlain
