"""Plain data: values as text that a judge can read although a program wrote it.

Judge and program exchange arguments and results in this format; each side has one `Plain` for each call. The text is
JSON. Numbers, strings, `None`, truth values and lists stand for themselves; an object with one key is any other value,
and the key says which kind. Nothing in it can run code or name a class that isn't in a table of this module. Both sides
number lists, dictionaries and other containers in the order in which they begin, so ``{"@": 3}`` is the very object
that had this number: shared and cyclic references and the identity of a result with an argument survive.

Bounds, checked while reading: BYTES for a message, DEPTH for nesting, and the sizes of numbers. A text that breaks a
rule raises Malformed. What has no plain form becomes a handle: the other side gets its identity, truth value and class
name, and can call it or take its next item if it is a function or an iterator.
"""

from __future__ import annotations

import base64
import builtins
import collections
import datetime
import importlib
import json
import math
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import ModuleType
from typing import Any

from raysweep.execution.python.harmless import ALLOWED_TEST_MODULES

BYTES = 32 * 2**20
DEPTH = 150  # `hash` of nested tuples and comparisons of nested lists use the C stack without a check
_INT_BITS = 8 * 2**20  # of an integer, 1 MiB
_FRACTION_BITS = 8 * 8 * 2**10  # of numerator and denominator, 8 KiB each
_DECIMAL_CHARACTERS = 20_000
_SMALL = 10**18  # integers below it are written as JSON numbers
_DTYPE_KINDS = "biufcSUMm"  # of numpy arrays that contain no objects
_MAX_DIMENSIONS = 32
ATOMS = frozenset({str, bool, type(None)})
CALLABLE, ITERATOR, OPAQUE = "callable", "iterator", "opaque"  # kinds of handles
_COMPARISONS = (
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__len__", "__iter__", "__contains__",
    "__getitem__", "__bool__", "__index__",
)  # fmt: skip
_BASES = (int, float, complex, str, bytes, list, tuple, dict, set, frozenset, collections.UserList)
"""Classes as whose objects those of a subclass are passed if the subclass compares as they do."""
_TYPES = {
    name: value for name, value in vars(builtins).items() if isinstance(value, type) and not name.startswith("_")
} | {"NoneType": type(None), "Fraction": Fraction, "Decimal": Decimal, "Counter": collections.Counter}
_TYPE_NAMES = {value: name for name, value in _TYPES.items()}
_SINGLETONS: dict[str, Any] = {"...": ..., "NotImplemented": NotImplemented, "math.nan": math.nan}
_LIBRARIES = ("typing", "collections", "math", "functools", "itertools", "string")
"""Modules whose names tests take from a candidate that imports them, such as ``x: List[int]``."""
_UNFINISHED = object()  # an immutable container whose items are still being read


class Malformed(ValueError):
    """A text isn't in this format, or is beyond its bounds."""


class NotPlain(TypeError):
    """A value can't be passed on: it is nested too deeply, or it is a function or an object of the sender's own."""


def encoded(message: object) -> bytes:
    """Return a message as bytes: JSON in UTF-8, where half a surrogate pair is a character like others."""
    return "".join(_write_json(message, 0)).encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> Any:
    """Return the message that `encoded` made bytes of; raise Malformed for other bytes."""
    try:
        text = data.decode("utf-8", "surrogatepass")
        message, end = _read_json(text, 0)
    except (ValueError, RecursionError, StopIteration) as error:
        raise Malformed(f"not a message: {type(error).__name__}") from None
    if end != len(text):
        raise Malformed("more than one message")
    return message


def _refuse_constant(name: str) -> None:
    raise Malformed(f"a number is {name}")


def _json_writer() -> Callable[[Any, int], Iterable[str]]:
    """Return `json`'s own writer of values, ready made: making it for each message costs more than writing most."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without `_json`
        whole = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
        return lambda value, level: [whole.encode(value)]
    writer: Callable[[Any, int], Iterable[str]] = make(
        None, None, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return writer


_write_json = _json_writer()
_read_json: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder(parse_constant=_refuse_constant))["scan_once"]


class Plain:
    """Writes and reads the values of one call; both sides use one, in the same order.

    Args:
        handle_of: returns the number of a handle for an object without a plain form; raises NotPlain if there is none.
        object_of: returns the object of a handle that was read: number, kind, truth value, name of its class.
    """

    def __init__(self, handle_of: Callable[[Any], list[Any]], object_of: Callable[[int, str, bool, str], Any]) -> None:
        self._handle_of, self._object_of = handle_of, object_of
        self.objects: list[Any] = []  # by number
        self._numbers: dict[int, int] = {}  # by id
        self._heights: dict[int, int] = {}  # levels of nested containers in what was read, by number
        self._deepest = 0  # level so far, below the container that is being read

    # ------------------------------------------------------------------------------------------------ writing

    def write(self, value: Any, depth: int = 0) -> Any:
        """Return a value in the form in which `json` writes it."""
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else {"i": hex(value)}
        if kind is float and value - value == 0:  # finite
            return value
        if depth > DEPTH:
            raise NotPlain(f"it is nested more than {DEPTH} levels deep")
        number = self._numbers.get(id(value))
        if number is not None:
            return {"@": number}
        writer = _WRITERS.get(kind)
        if writer is not None:
            return writer(self, value, depth)
        return self._write_other(value, kind, depth)

    def write_items(self, values: Iterable[Any], depth: int) -> list[Any]:
        """Return the items of a container in the form in which `json` writes them."""
        items = list(values)  # a copy: the container may change before what is written is sent
        kinds = set(map(type, items))
        if not kinds <= ATOMS and not (
            (kinds == {int} and min(items) > -_SMALL and max(items) < _SMALL)
            or (kinds == {float} and all(map(math.isfinite, items)))
        ):
            items = [self.write(item, depth + 1) for item in items]
        return items

    def begin(self, value: Any) -> None:
        """Give a container the next number."""
        self._numbers[id(value)] = len(self.objects)
        self.objects.append(value)

    def number_what_was_read(self) -> None:
        """Let `write` refer to the containers that were read so far."""
        self._numbers.update((id(value), number) for number, value in enumerate(self.objects))

    def mark(self) -> int:
        """Return a mark for `reset`."""
        return len(self.objects)

    def reset(self, mark: int) -> None:
        """Forget the containers that were written since a mark."""
        for value in self.objects[mark:]:
            self._numbers.pop(id(value), None)
        del self.objects[mark:]

    def _write_other(self, value: Any, kind: type, depth: int) -> Any:
        """Write an object of a class that isn't in the table: as one of a base class, of numpy, or as a handle."""
        if kind.__module__ == "numpy":
            written = _write_numpy(self, value)
            if written is not None:
                return written
        for constant, singleton in _SINGLETONS.items():
            if value is singleton:
                return {"k": constant}
        if isinstance(value, type) and kind is type and value in _TYPE_NAMES:
            return {"ty": _TYPE_NAMES[value]}
        for base in _BASES:
            if isinstance(value, base) and _compares_as(kind, base):
                return self.write(_as_base(value, base), depth)
        return {"h": self._handle_of(value)}

    # ------------------------------------------------------------------------------------------------ reading

    def read(self, node: Any, depth: int = 0) -> Any:
        """Return the value that `write` made this of; raise Malformed for what it doesn't write."""
        kind = type(node)
        if kind is list:
            result: list[Any] = []
            self.objects.append(result)
            result += self.read_items(node, depth)
            return result
        if kind is not dict:
            return node
        if depth > DEPTH:
            raise Malformed(f"it is nested more than {DEPTH} levels deep")
        try:
            ((tag, payload),) = node.items()
            return _READERS[tag](self, payload, depth)
        except (Malformed, MemoryError):
            raise
        except Exception as error:  # also what numpy raises for a text that names no dtype
            raise Malformed(f"not a value: {type(error).__name__}") from None

    def read_items(self, nodes: Any, depth: int) -> list[Any]:
        """Return the items of a container."""
        if type(nodes) is not list:
            raise Malformed("no list of items")
        if depth > DEPTH:
            raise Malformed(f"it is nested more than {DEPTH} levels deep")
        kinds = set(map(type, nodes))
        if dict in kinds or list in kinds:
            return [self.read(node, depth + 1) for node in nodes]
        return nodes

    def read_immutable(self, build: Callable[[list[Any]], Any], nodes: Any, depth: int) -> Any:
        """Return a container that is built once all its items are known; none of them may be the container itself."""
        number = len(self.objects)
        self.objects.append(_UNFINISHED)
        self.objects[number] = build(self.read_measured(number, nodes, depth))
        return self.objects[number]

    def read_measured(self, number: int, nodes: Any, depth: int) -> list[Any]:
        """Return the items of a container that C code enters without looking at the depth, to hash or to free it.

        References could nest such containers beyond DEPTH, though no text is nested so deeply. A list or dictionary in
        between ends that: it can't be hashed, and is freed in pieces.
        """
        before, self._deepest = self._deepest, depth
        items = self.read_items(nodes, depth)
        self._heights[number] = self._deepest + 1 - depth
        self._deepest = max(before, self._deepest + 1)
        return items

    def read_numbered(self, value: Any) -> Any:
        """Return a value that has a number."""
        self.objects.append(value)
        return value

    def referred(self, number: Any, depth: int) -> Any:
        """Return the object with a number."""
        if type(number) is not int or not 0 <= number < len(self.objects) or self.objects[number] is _UNFINISHED:
            raise Malformed("a reference to nothing")
        if number in self._heights:
            self._deepest = max(self._deepest, depth + self._heights[number])
            if self._deepest > DEPTH:
                raise Malformed(f"it is nested more than {DEPTH} levels deep")
        return self.objects[number]

    def read_library(self, fields: Any) -> Any:
        """Return a module, or what a module has under a name; the reader takes its own."""
        module, name = fields
        if type(module) is not str or type(name) is not str or module not in ALLOWED_TEST_MODULES:
            raise Malformed("not a library's")
        if not name:
            return importlib.import_module(module)
        if module not in _LIBRARIES or name.startswith("_") or name not in vars(sys.modules[module]):
            raise Malformed("not a library's")
        value = vars(sys.modules[module])[name]
        if type(value) is ModuleType:  # typing has `sys`
            raise Malformed("not a library's")
        return value

    def handle(self, fields: Any) -> Any:
        """Return the object of a handle."""
        number, kind, truth, name = fields
        if (type(number), type(kind), type(truth), type(name)) != (int, str, bool, str) or len(name) > 200:
            raise Malformed("not a handle")
        return self._object_of(number, kind, truth, name)


def library_name(name: str, value: Any) -> list[str] | None:
    """Return (module, name) of a module that computes, or of what such a module has under the same name."""
    if type(value) is ModuleType:
        return [value.__name__, ""] if value.__name__ in ALLOWED_TEST_MODULES else None
    module = next((one for one in _LIBRARIES if name in vars(sys.modules[one]) and not name.startswith("_")), None)
    return [module, name] if module and vars(sys.modules[module])[name] is value else None


def changed_items(value: Any) -> Any:
    """Return what a container has now, to compare it with later by `is_changed`; None for what can't change."""
    snapshot = _SNAPSHOTS.get(type(value))
    return snapshot(value) if snapshot else _numpy_bytes(value) if type(value).__name__ == "ndarray" else None


def is_changed(value: Any, before: Any) -> bool:
    """Return True if a container no longer has the very items that it had when `changed_items` was called."""
    now = changed_items(value)
    if type(now) is bytes:
        return bool(now != before)
    return len(now) != len(before) or not all(map(_is, now, before))


def _is(one: object, other: object) -> bool:
    return one is other


_SNAPSHOTS: dict[type, Callable[[Any], Any]] = {
    list: list.copy,
    dict: lambda value: [*value.keys(), *value.values()],
    set: list,
    bytearray: bytes,
    collections.deque: list,
    collections.Counter: lambda value: [*value.keys(), *value.values()],
    collections.OrderedDict: lambda value: [*value.keys(), *value.values()],
    collections.defaultdict: lambda value: [*value.keys(), *value.values()],
    array: lambda value: value.tobytes(),
    collections.UserList: lambda value: list(value.data),
}


def replace_items(value: Any, new: Any) -> None:
    """Give a container the items of another one of its class; raise Malformed if it has another class."""
    kind = type(value)
    if kind is not type(new) or (kind not in _SNAPSHOTS and kind.__name__ != "ndarray"):
        raise Malformed("a changed argument of another class")
    if kind in (list, bytearray, array):
        value[:] = new
    elif kind is collections.UserList:
        value.data[:] = new.data
    elif kind is collections.deque:
        value.clear()
        value.extend(new)
    elif kind.__name__ == "ndarray":
        if value.shape != new.shape or value.dtype != new.dtype:
            raise Malformed("a changed array of another shape")
        value[...] = new
    else:
        value.clear()
        value.update(new)


# ---------------------------------------------------------------------------------------------------- writers


def _compares_as(kind: type, base: type) -> bool:
    """Return True if no class below a base, in the order in which methods are looked up, defines a comparison."""
    for one in kind.__mro__:
        if one is base:
            return True
        if any(name in vars(one) for name in _COMPARISONS):
            return False
    return False


def _as_base(value: Any, base: type) -> Any:
    if base is dict:
        return dict(value.items())
    return collections.UserList(value.data) if base is collections.UserList else base(value)


def _write_list(plain: Plain, value: list[Any], depth: int) -> Any:
    plain.begin(value)
    return plain.write_items(value, depth)


def _container(tag: str) -> Callable[[Plain, Any, int], Any]:
    """Return a writer of containers that are a list of items."""

    def write(plain: Plain, value: Any, depth: int) -> Any:
        plain.begin(value)
        return {tag: plain.write_items(value, depth)}

    return write


def _mapping(tag: str) -> Callable[[Plain, Any, int], Any]:
    """Return a writer of mappings: a list of keys and one of values."""

    def write(plain: Plain, value: Any, depth: int) -> Any:
        plain.begin(value)
        return {tag: [plain.write_items(value.keys(), depth), plain.write_items(value.values(), depth)]}

    return write


def _write_float(plain: Plain, value: float, depth: int) -> Any:
    if value is math.nan:
        return {"k": "math.nan"}
    if "numpy" in sys.modules and value is sys.modules["numpy"].nan:
        return {"k": "numpy.nan"}
    if value != value:
        plain.begin(value)  # [nan] == [nan] holds if both are one object
    return {"f": repr(value)}


def _write_defaultdict(plain: Plain, value: Any, depth: int) -> Any:
    factory = value.default_factory
    plain.begin(value)
    name = _TYPE_NAMES.get(factory) if type(factory) is type else None
    return {"dd": [name, plain.write_items(value.keys(), depth), plain.write_items(value.values(), depth)]}


def _write_deque(plain: Plain, value: Any, depth: int) -> Any:
    plain.begin(value)
    return {"dq": [value.maxlen, plain.write_items(value, depth)]}


def _write_user_list(plain: Plain, value: Any, depth: int) -> Any:
    plain.begin(value)
    return {"ul": plain.write_items(value.data, depth)}


def _write_array(plain: Plain, value: Any, depth: int) -> Any:
    plain.begin(value)
    return {"ar": [value.typecode, plain.write_items(value, depth)]}


def _write_bytearray(plain: Plain, value: bytearray, depth: int) -> Any:
    plain.begin(value)
    return {"ba": value.decode("latin-1")}


def _write_fields(tag: str, *names: str) -> Callable[[Plain, Any, int], Any]:
    return lambda plain, value, depth: {tag: [getattr(value, name) for name in names]}


def _write_time(tag: str, *names: str) -> Callable[[Plain, Any, int], Any]:
    """Return a writer of times of day: their time zone is an offset in seconds, or None."""

    def write(plain: Plain, value: Any, depth: int) -> Any:
        offset = value.utcoffset()
        seconds = None if offset is None else offset.total_seconds()
        return {tag: [*(getattr(value, name) for name in names), seconds]}

    return write


_DATE, _TIME = ("year", "month", "day"), ("hour", "minute", "second", "microsecond")
_DICT_VIEWS = tuple(map(type, ({}.keys(), {}.values(), {}.items())))
_WRITERS: dict[type, Callable[[Plain, Any, int], Any]] = {
    float: _write_float,
    list: _write_list,
    tuple: _container("t"),
    set: _container("s"),
    frozenset: _container("fs"),
    dict: _mapping("d"),
    collections.Counter: _mapping("C"),
    collections.OrderedDict: _mapping("od"),
    collections.defaultdict: _write_defaultdict,
    collections.deque: _write_deque,
    collections.UserList: _write_user_list,
    complex: lambda plain, value, depth: {"c": [plain.write(value.real), plain.write(value.imag)]},
    bytes: lambda plain, value, depth: {"b": value.decode("latin-1")},
    bytearray: _write_bytearray,
    range: _write_fields("r", "start", "stop", "step"),
    slice: lambda plain, value, depth: {
        "sl": [plain.write(part, depth + 1) for part in (value.start, value.stop, value.step)]
    },
    Fraction: lambda plain, value, depth: {"F": [hex(value.numerator), hex(value.denominator)]},
    Decimal: lambda plain, value, depth: {"D": str(value)},
    datetime.date: _write_fields("date", *_DATE),
    datetime.time: _write_time("time", *_TIME),
    datetime.datetime: _write_time("datetime", *_DATE, *_TIME),
    datetime.timedelta: _write_fields("delta", "days", "seconds", "microseconds"),
    array: _write_array,
    _DICT_VIEWS[0]: lambda plain, value, depth: {"dk": plain.write_items(value, depth)},
    _DICT_VIEWS[1]: lambda plain, value, depth: {"dv": plain.write_items(value, depth)},
    _DICT_VIEWS[2]: lambda plain, value, depth: {"di": plain.write_items(value, depth)},
}


def _write_numpy(plain: Plain, value: Any) -> Any:
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


def _numpy_bytes(value: Any) -> Any:
    """Return the content of an array, as bytes or, where it contains objects, as a list of these."""
    if type(value).__module__ != "numpy":
        return None
    return value.ravel().tolist() if value.dtype.hasobject else value.tobytes()


# ---------------------------------------------------------------------------------------------------- readers


def _integer(text: Any, bits: int = _INT_BITS) -> int:
    if type(text) is not str or 4 * len(text) > bits + 16:
        raise Malformed("a number is too large")
    return int(text, 16)  # linear in its length, unlike decimal digits


def _read_float(plain: Plain, text: Any, depth: int) -> float:
    if text not in ("inf", "-inf", "nan"):
        raise Malformed("not a float")
    value = float(text)
    return plain.read_numbered(value) if value != value else value


def _read_mapping(
    build: Callable[[], Any], update: Callable[..., None] = dict.update
) -> Callable[[Plain, Any, int], Any]:
    def read(plain: Plain, payload: Any, depth: int) -> Any:
        keys, values = payload
        result = plain.read_numbered(build())
        names = plain.read_items(keys, depth)
        items = plain.read_items(values, depth)
        if len(names) != len(items):
            raise Malformed("keys without values")
        update(result, zip(names, items, strict=True))
        return result

    return read


def _read_set(plain: Plain, nodes: Any, depth: int) -> set[Any]:
    result: set[Any] = plain.read_numbered(set())
    result.update(plain.read_items(nodes, depth))
    return result


def _read_defaultdict(plain: Plain, payload: Any, depth: int) -> Any:
    name, *fields = payload
    keys, values = fields
    result = plain.read_numbered(collections.defaultdict(None if name is None else _TYPES[name]))
    number = len(plain.objects) - 1
    names = plain.read_items(keys, depth)
    items = plain.read_measured(number, values, depth)
    if len(names) != len(items):
        raise Malformed("keys without values")
    result.update(zip(names, items, strict=True))
    return result


def _read_deque(plain: Plain, payload: Any, depth: int) -> Any:
    maxlen, nodes = payload
    result = plain.read_numbered(collections.deque(maxlen=None if maxlen is None else _count(maxlen)))
    result.extend(plain.read_measured(len(plain.objects) - 1, nodes, depth))
    return result


def _read_user_list(plain: Plain, nodes: Any, depth: int) -> Any:
    result = plain.read_numbered(collections.UserList())
    result.data += plain.read_items(nodes, depth)
    return result


def _read_array(plain: Plain, payload: Any, depth: int) -> Any:
    typecode, nodes = payload
    result = plain.read_numbered(array(typecode))
    result.extend(plain.read_items(nodes, depth))
    return result


def _read_complex(plain: Plain, payload: Any, depth: int) -> complex:
    real, imaginary = (plain.read(node, depth + 1) for node in payload)
    if type(real) is not float or type(imaginary) is not float:
        raise Malformed("not a complex number")
    return complex(real, imaginary)


def _read_slice(plain: Plain, payload: Any, depth: int) -> slice:
    start, stop, step = (plain.read(node, depth + 1) for node in payload)
    return slice(start, stop, step)


def _read_range(plain: Plain, payload: Any, depth: int) -> range:
    if set(map(type, payload)) != {int}:
        raise Malformed("not a range")
    return range(*payload)


def _read_decimal(plain: Plain, text: Any, depth: int) -> Decimal:
    if type(text) is not str or len(text) > _DECIMAL_CHARACTERS:
        raise Malformed("a number is too large")
    return Decimal(text)


def _read_time(build: Callable[..., Any]) -> Callable[[Plain, Any, int], Any]:
    def read(plain: Plain, payload: Any, depth: int) -> Any:
        *fields, offset = payload
        zone = None if offset is None else datetime.timezone(datetime.timedelta(seconds=offset))
        return build(*fields, tzinfo=zone)

    return read


def _count(value: Any) -> int:
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


def _read_numpy_array(plain: Plain, payload: Any, depth: int) -> Any:
    text, shape, data = payload
    dtype, content = _dtype(text), base64.b64decode(data, validate=True)
    sizes = [_count(size) for size in shape]
    if len(sizes) > _MAX_DIMENSIONS or math.prod(sizes) * dtype.itemsize != len(content):
        raise Malformed("an array of another size")
    return plain.read_numbered(importlib.import_module("numpy").frombuffer(content, dtype).reshape(sizes).copy())


def _read_numpy_objects(plain: Plain, payload: Any, depth: int) -> Any:
    shape, nodes = payload
    sizes = [_count(size) for size in shape]
    number = len(plain.objects)
    plain.objects.append(_UNFINISHED)
    items = plain.read_measured(number, nodes, depth)
    if len(sizes) > _MAX_DIMENSIONS or math.prod(sizes) != len(items):
        raise Malformed("an array of another size")
    numpy = importlib.import_module("numpy")
    array_of_objects = numpy.empty(len(items), dtype=object)
    for index, item in enumerate(items):  # numpy takes lists of equal lengths for further dimensions
        array_of_objects[index] = item
    plain.objects[number] = array_of_objects.reshape(sizes)
    return plain.objects[number]


def _read_numpy_scalar(plain: Plain, payload: Any, depth: int) -> Any:
    text, data = payload
    dtype, content = _dtype(text), base64.b64decode(data, validate=True)
    if len(content) != dtype.itemsize:
        raise Malformed("a scalar of another size")
    return importlib.import_module("numpy").frombuffer(content, dtype)[0]


def _read_singleton(plain: Plain, name: Any, depth: int) -> Any:
    return importlib.import_module("numpy").nan if name == "numpy.nan" else _SINGLETONS[name]


def _read_type(plain: Plain, name: Any, depth: int) -> type:
    return _TYPES[name]


_READERS: Mapping[str, Callable[[Plain, Any, int], Any]] = {
    "@": lambda plain, number, depth: plain.referred(number, depth),
    "i": lambda plain, text, depth: _integer(text),
    "f": _read_float,
    "k": _read_singleton,
    "ty": _read_type,
    "h": lambda plain, fields, depth: plain.handle(fields),
    "t": lambda plain, nodes, depth: plain.read_immutable(tuple, nodes, depth),
    "s": _read_set,
    "fs": lambda plain, nodes, depth: plain.read_immutable(frozenset, nodes, depth),
    "d": _read_mapping(dict),
    "C": _read_mapping(collections.Counter),
    "od": _read_mapping(collections.OrderedDict, collections.OrderedDict.update),
    "dd": _read_defaultdict,
    "dq": _read_deque,
    "ul": _read_user_list,
    "c": _read_complex,
    "b": lambda plain, text, depth: text.encode("latin-1"),
    "ba": lambda plain, text, depth: plain.read_numbered(bytearray(text.encode("latin-1"))),
    "r": _read_range,
    "sl": _read_slice,
    "F": lambda plain, fields, depth: Fraction(*(_integer(field, _FRACTION_BITS) for field in fields)),
    "D": _read_decimal,
    "date": lambda plain, fields, depth: datetime.date(*fields),
    "time": _read_time(datetime.time),
    "datetime": _read_time(datetime.datetime),
    "delta": lambda plain, fields, depth: datetime.timedelta(*fields),
    "ar": _read_array,
    "na": _read_numpy_array,
    "no": _read_numpy_objects,
    "ns": _read_numpy_scalar,
    "dk": lambda plain, nodes, depth: dict.fromkeys(plain.read_items(nodes, depth)).keys(),
    "dv": lambda plain, nodes, depth: dict(enumerate(plain.read_items(nodes, depth))).values(),
    "di": lambda plain, nodes, depth: dict(plain.read_items(nodes, depth)).items(),
}
