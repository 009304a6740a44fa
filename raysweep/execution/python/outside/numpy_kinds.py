"""How arrays and scalars of numpy are written as plain data and read again.

numpy is looked up where it is used: the judge's process imports it only for a program that does.
"""

from __future__ import annotations

import base64
import importlib
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

from raysweep.execution.python.outside.codec import BYTES, Malformed
from raysweep.execution.python.outside.plain import Plain

_DTYPE_KINDS = "biufcSUMm"  # of arrays that contain no objects
_MAX_DIMENSIONS = 32


def write_numpy(plain: Plain, value: Any) -> Any:
    """Write an array or a scalar of numpy; return None for those with objects in them, and other things of numpy."""
    numpy = sys.modules["numpy"]
    kind = type(value)
    if kind is numpy.ndarray and value.dtype.kind in _DTYPE_KINDS:
        plain.begin(value)
        return {"na": [value.dtype.str, list(value.shape), _numpy_text(value)]}
    if kind is numpy.ndarray and value.dtype.kind == "O":
        plain.begin(value)
        return {"no": [list(value.shape), plain.write_items(value.ravel().tolist(), 0)]}
    if isinstance(value, numpy.generic) and value.dtype.kind in _DTYPE_KINDS:
        return {"ns": [value.dtype.str, _numpy_text(value)]}
    return None


def _numpy_text(value: Any) -> str:
    return base64.b64encode(value.tobytes()).decode()


def content_of(value: Any) -> Any:
    """Return the content of an array, as bytes or, where it contains objects, as a list of these; else None."""
    if type(value).__module__ != "numpy":
        return None
    return value.ravel().tolist() if value.dtype.hasobject else value.tobytes()


def count_of(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= BYTES:
        raise Malformed("not a count")
    return value


def _dtype(text: Any) -> Any:
    numpy = importlib.import_module("numpy")
    if type(text) is not str or len(text) > 40:
        raise Malformed("not a dtype")
    dtype = numpy.dtype(text)
    if dtype.kind not in _DTYPE_KINDS or dtype.hasobject or dtype.fields or dtype.itemsize == 0 or dtype.subdtype:
        raise Malformed("not a plain dtype")
    return dtype


def _comparable(array: Any) -> Any:
    """Return an array as it is, or in double precision if it might equal numbers that are far from its own.

    numpy gives a Python number the precision of what it is compared with. In half precision infinity equals 70,000 and
    2,048 equals 2,049; in single precision infinity equals 1e39.
    """
    kind, precision = array.dtype.kind, array.real.dtype.itemsize
    if kind in "fc" and (precision == 2 or (precision == 4 and importlib.import_module("numpy").isinf(array).any())):
        return array.astype("f8" if kind == "f" else "c16")
    return array


def _read_numpy_array(plain: Plain, payload: Any, depth: int) -> Any:
    text, shape, data = payload
    dtype, content = _dtype(text), base64.b64decode(data, validate=True)
    sizes = [count_of(size) for size in shape]
    if len(sizes) > _MAX_DIMENSIONS or math.prod(sizes) * dtype.itemsize != len(content):
        raise Malformed("an array of another size")
    array = importlib.import_module("numpy").frombuffer(content, dtype).reshape(sizes)
    return plain.read_numbered(_comparable(array).copy())


def _read_numpy_objects(plain: Plain, payload: Any, depth: int) -> Any:
    shape, nodes = payload
    sizes = [count_of(size) for size in shape]

    def build(items: list[Any]) -> Any:
        if len(sizes) > _MAX_DIMENSIONS or math.prod(sizes) != len(items):
            raise Malformed("an array of another size")
        array = importlib.import_module("numpy").empty(len(items), dtype=object)
        for index, item in enumerate(items):  # numpy takes lists of equal lengths for further dimensions
            array[index] = item
        return array.reshape(sizes)

    return plain.read_immutable(build, nodes, depth)


def _read_numpy_scalar(plain: Plain, payload: Any, depth: int) -> Any:
    text, data = payload
    dtype, content = _dtype(text), base64.b64decode(data, validate=True)
    if len(content) != dtype.itemsize:
        raise Malformed("a scalar of another size")
    return _comparable(importlib.import_module("numpy").frombuffer(content, dtype))[0]


NUMPY_READERS: Mapping[str, Callable[[Plain, Any, int], Any]] = {
    "na": _read_numpy_array,
    "no": _read_numpy_objects,
    "ns": _read_numpy_scalar,
}
