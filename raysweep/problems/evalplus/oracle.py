"""Compares results with expected ones as EvalPlus does. The tests of a problem hold the text of this module.

So it is self-contained and imports only what any judge of tests has. All names begin with an underscore, and modules
are imported under such names, so that a candidate neither hides them nor uses them by accident. The function `sum` is
not used, since Mbpp/126 asks for a function of that name.

EvalPlus's rule (https://github.com/evalplus/evalplus, ``evalplus/eval/__init__.py``, version 0.3.1): results are equal,
or the task has a tolerance and they are close as numpy's `allclose` says with ``rtol=1e-7``. A task without a tolerance
gets 1e-6 once an expected result consists of floats, and keeps it for all later inputs of the same part.
"""

import cmath as _cmath
import math as _math
import numbers as _numbers
from typing import Any as _Any

_FLOAT_TOLERANCE = 1e-6
_RELATIVE_TOLERANCE = 1e-7


def _fresh(value: _Any) -> _Any:
    """Return a copy of plain data, since a candidate may change its arguments."""
    if isinstance(value, list):
        return [_fresh(item) for item in value]
    if isinstance(value, tuple):
        return tuple([_fresh(item) for item in value])
    if isinstance(value, dict):
        return {key: _fresh(item) for key, item in value.items()}
    return set(value) if isinstance(value, set) else value


def _agrees(rule: str, result: _Any, expected: _Any, arguments: _Any, tolerance: float) -> bool:
    """Return True if a result is right.

    `rule`: "" for most tasks, otherwise the name of the task's own rule (`tests.RULES`). `tolerance`: absolute; 0 where
    results must be equal.
    """
    if rule == "root":
        value = 0
        for power, factor in enumerate(arguments[0]):
            value += factor * _math.pow(result, power)
        return bool(abs(value) <= tolerance)
    equal = _is_equal(rule, result, expected, arguments, tolerance)
    tolerance = _tolerance_after(rule, expected, tolerance)
    if equal or not tolerance:
        return bool(equal)
    if type(result) is not type(expected):
        return False
    return _are_close(result, expected, tolerance)


def _tolerance_after(rule: str, expected: _Any, tolerance: float) -> float:
    """Return the tolerance for this expected result, which also holds for all later inputs of the part."""
    return _FLOAT_TOLERANCE if not tolerance and rule != "root" and _is_float(expected) else tolerance


def _is_equal(rule: str, result: _Any, expected: _Any, arguments: _Any, tolerance: float) -> _Any:
    if rule == "same elements":
        return set(result) == set(expected)
    if rule == "not None":
        found = expected is not None
        return result == found if isinstance(result, bool) else (result is not None) == found
    equal = result == expected
    if rule == "pyramid":
        return equal or abs(result - _surface(*arguments)) <= tolerance
    if rule == "padded digits":
        return equal or result == _digit_distance(*arguments)
    return equal


def _surface(base_edge: float, height: float) -> int:
    """Return the surface of a square pyramid whose `height` is that of its apex over the base, not that of a face."""
    return round(base_edge * (base_edge + 2 * _math.sqrt((base_edge / 2) ** 2 + height**2)))


def _digit_distance(one: int, other: int) -> int:
    width = max(len(str(one)), len(str(other)))
    distance = 0
    for a, b in zip(str(one).zfill(width), str(other).zfill(width), strict=True):
        distance += abs(int(a) - int(b))
    return distance


def _is_float(value: _Any) -> bool:
    """Return True for a float, or a list or tuple of at least one float and nothing else."""
    if isinstance(value, list | tuple):
        return bool(value) and all([isinstance(item, float) for item in value])
    return isinstance(value, float)


def _are_close(result: _Any, expected: _Any, tolerance: float) -> bool:
    shape, values = _shape_and_numbers(result)
    wanted_shape, wanted_values = _shape_and_numbers(expected)
    if shape is None or shape != wanted_shape:
        return False
    return all([_is_close(*pair, tolerance) for pair in zip(values, wanted_values, strict=True)])


def _is_close(value: _Any, wanted: _Any, tolerance: float) -> bool:
    if value == wanted:
        return True
    return _cmath.isfinite(wanted) and abs(value - wanted) <= tolerance + _RELATIVE_TOLERANCE * abs(wanted)


def _shape_and_numbers(value: _Any) -> _Any:
    """Return (shape, numbers in order) of a number or of nested lists; (None, []) for what isn't an array of numbers.

    Integers of more than 64 bits aren't numbers here: numpy takes them for objects and compares nothing then.
    """
    if isinstance(value, list | tuple):
        items = [_shape_and_numbers(item) for item in value]
        shapes = [shape for shape, _ in items]
        if None in shapes or any([shape != shapes[0] for shape in shapes]):
            return None, []
        return (len(items), *(shapes[0] if shapes else ())), [number for _, numbers in items for number in numbers]
    if not isinstance(value, _numbers.Complex) or (isinstance(value, int) and not -(2**63) <= value < 2**64):
        return None, []
    return (), [value]
