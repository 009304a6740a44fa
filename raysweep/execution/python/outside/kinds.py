"""How each kind of value is written as plain data and read again: containers, numbers, dates, types, libraries' names.

`plain_data` makes the `Plain` that writes and reads these. Objects of numpy are in numpy_kinds.py.
"""

from __future__ import annotations

import builtins
import collections
import datetime
import importlib
import math
import sys
from array import array
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, ModuleType
from typing import Any

from raysweep.execution.python.harmless import ALLOWED_TEST_MODULES
from raysweep.execution.python.libraries import LIBRARIES
from raysweep.execution.python.outside.codec import Malformed
from raysweep.execution.python.outside.numpy_kinds import NUMPY_READERS, count_of, write_numpy
from raysweep.execution.python.outside.plain import Kinds, NotPlain, Plain
from raysweep.execution.python.outside.set_order import SMALLEST, SetOrder, slots_of

_INT_BITS = 8 * 2**20  # of an integer, 1 MiB
_FRACTION_BITS = 8 * 8 * 2**10  # of numerator and denominator, 8 KiB each
_DECIMAL_CHARACTERS = 20_000
_COMPARISONS = (
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__len__", "__iter__", "__contains__",
    "__getitem__", "__bool__", "__index__",
)  # fmt: skip
_BASES = (
    int, float, complex, str, bytes, list, tuple, dict, set, frozenset, collections.UserList, collections.UserDict,
    collections.UserString, collections.ChainMap,
)  # fmt: skip
"""Classes as whose objects those of a subclass are passed if the subclass compares as they do."""
_TYPES = {
    name: value for name, value in vars(builtins).items() if isinstance(value, type) and not name.startswith("_")
} | {"NoneType": type(None), "Fraction": Fraction, "Decimal": Decimal, "Counter": collections.Counter}
_TYPE_NAMES = {value: name for name, value in _TYPES.items()}
_SINGLETONS: dict[str, Any] = {"...": ..., "NotImplemented": NotImplemented, "math.nan": math.nan}


def _nothing(*fields: Any) -> Any:
    raise NotPlain


def plain_data(
    handle_of: Callable[[Any], list[Any]] = _nothing,
    object_of: Callable[[int, str, bool, str], Any] = _nothing,
    sets: SetOrder | None = None,
) -> Plain:
    """Return what writes and reads the values of one call; see `Plain`. By default there are no handles."""
    return Plain(_KINDS, handle_of, object_of, sets or SetOrder())


def read_library(wanted: str, fields: Any) -> Any:
    """Return a module, or what a module has under a name; the reader takes its own.

    `wanted`: the name under which tests read it: what they take for `Counter` could be `typing.get_origin`. `fields`:
    module and name, as `library_name` returns them.
    """
    module, name = fields
    if type(module) is not str or type(name) is not str or module not in ALLOWED_TEST_MODULES:
        raise Malformed("not a library's")
    if not name:
        return importlib.import_module(module)
    if name != wanted or module not in LIBRARIES or name.startswith("_") or name not in vars(sys.modules[module]):
        raise Malformed("not a library's")
    value = vars(sys.modules[module])[name]
    if type(value) is ModuleType:  # typing has `sys`
        raise Malformed("not a library's")
    return value


# ---------------------------------------------------------------------------------------------------- writers


def _write_other(plain: Plain, value: Any, kind: type, depth: int) -> Any:
    if getattr(kind, "__module__", "") == "numpy":  # a class that `type` made in a program has none
        written = write_numpy(plain, value)
        if written is not None:
            return written
    for constant, singleton in _SINGLETONS.items():
        if value is singleton:
            return {"k": constant}
    if isinstance(value, type) and kind is type and value in _TYPE_NAMES:
        return {"ty": _TYPE_NAMES[value]}
    for base in _BASES:
        if isinstance(value, base) and _compares_as(kind, base):
            return plain.write(_as_base(plain, value, base), depth)
    return {"h": plain.handle_of(value)}


def _compares_as(kind: type, base: type) -> bool:
    """Return True if no class below a base, in the order in which methods are looked up, defines a comparison."""
    for parent in kind.__mro__:
        if parent is base:
            return True
        if any(name in vars(parent) for name in _COMPARISONS):
            return False
    return False


def _as_base(plain: Plain, value: Any, base: type) -> Any:
    if base is set:
        return plain.sets.copy(value)
    if base is frozenset:
        return plain.sets.frozen(list(value), slots_of(value))
    if base is dict:
        return dict(value.items())
    if base is collections.ChainMap:
        return base(*value.maps)
    return base(value.data) if base.__module__ == "collections" else base(value)


def _write_list(plain: Plain, value: list[Any], depth: int) -> Any:
    plain.begin(value)
    return plain.write_items(value, depth)


def _set(tag: str) -> Callable[[Plain, Any, int], Any]:
    def write(plain: Plain, value: Any, depth: int) -> Any:
        plain.begin(value)
        return {tag: [slots_of(value), plain.write_items(value, depth)]}

    return write


def _mapping(tag: str) -> Callable[[Plain, Any, int], Any]:
    return _numbered(lambda plain, value, depth: {tag: _keys_and_values(plain, value, depth)})


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
    return {"dd": [name, *_keys_and_values(plain, value, depth)]}


def _numbered(write: Callable[[Plain, Any, int], Any]) -> Callable[[Plain, Any, int], Any]:
    """Return a writer of containers to which what is written later may refer."""

    def numbered(plain: Plain, value: Any, depth: int) -> Any:
        plain.begin(value)
        return write(plain, value, depth)

    return numbered


def _write_chain_map(plain: Plain, value: Any, depth: int) -> Any:
    maps = [one if type(one) is dict else dict(one) for one in value.maps]
    return {"cm": [plain.write(one, depth + 1) for one in maps]}


def _keys_and_values(plain: Plain, value: Any, depth: int) -> list[Any]:
    return [plain.write_items(value.keys(), depth), plain.write_items(value.values(), depth)]


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
    tuple: _numbered(lambda plain, value, depth: {"t": plain.write_items(value, depth)}),
    set: _set("s"),
    frozenset: _set("fs"),
    dict: _mapping("d"),
    collections.Counter: _mapping("C"),
    collections.OrderedDict: _mapping("od"),
    collections.defaultdict: _write_defaultdict,
    collections.deque: _numbered(lambda plain, value, depth: {"dq": [value.maxlen, plain.write_items(value, depth)]}),
    collections.UserList: _numbered(lambda plain, value, depth: {"ul": plain.write_items(value.data, depth)}),
    collections.UserDict: _numbered(lambda plain, value, depth: {"ud": _keys_and_values(plain, value.data, depth)}),
    collections.UserString: lambda plain, value, depth: {"us": str(value.data)},
    collections.ChainMap: _write_chain_map,
    MappingProxyType: lambda plain, value, depth: {"mp": _keys_and_values(plain, value, depth)},
    complex: lambda plain, value, depth: {"c": [plain.write(value.real), plain.write(value.imag)]},
    bytes: lambda plain, value, depth: {"b": value.decode("latin-1")},
    bytearray: _numbered(lambda plain, value, depth: {"ba": value.decode("latin-1")}),
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
    array: _numbered(lambda plain, value, depth: {"ar": [value.typecode, plain.write_items(value, depth)]}),
    _DICT_VIEWS[0]: lambda plain, value, depth: {"dk": plain.write_items(value, depth)},
    _DICT_VIEWS[1]: lambda plain, value, depth: {"dv": plain.write_items(value, depth)},
    _DICT_VIEWS[2]: lambda plain, value, depth: {"di": plain.write_items(value, depth)},
}


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


def _read_set(plain: Plain, payload: Any, depth: int) -> set[Any]:
    slots, nodes = _slots(payload)
    result: set[Any] = plain.read_numbered(set())
    plain.sets.fill(result, plain.read_items(nodes, depth), slots)
    return result


def _read_frozenset(plain: Plain, payload: Any, depth: int) -> frozenset[Any]:
    slots, nodes = _slots(payload)
    made: frozenset[Any] = plain.read_immutable(lambda items: plain.sets.frozen(items, slots), nodes, depth)
    return made


def _slots(payload: Any) -> tuple[int, Any]:
    slots, nodes = payload
    if type(slots) is not int or slots < SMALLEST or slots & (slots - 1):
        raise Malformed("not a set")
    return slots, nodes


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
    result = plain.read_numbered(collections.deque(maxlen=None if maxlen is None else count_of(maxlen)))
    result.extend(plain.read_measured(len(plain.objects) - 1, nodes, depth))
    return result


def _read_user_list(plain: Plain, nodes: Any, depth: int) -> Any:
    result = plain.read_numbered(collections.UserList())
    result.data += plain.read_items(nodes, depth)
    return result


def _read_chain_map(plain: Plain, nodes: Any, depth: int) -> Any:
    maps = [plain.read(node, depth + 1) for node in nodes]
    if set(map(type, maps)) - {dict}:
        raise Malformed("not mappings")
    return collections.ChainMap(*maps)


def _read_mapping_proxy(plain: Plain, payload: Any, depth: int) -> Any:
    keys, values = (plain.read_items(nodes, depth) for nodes in payload)
    return MappingProxyType(dict(zip(keys, values, strict=True)))


def _read_user_string(plain: Plain, text: Any, depth: int) -> Any:
    if type(text) is not str:
        raise Malformed("not a text")
    return collections.UserString(text)


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


_READERS: Mapping[str, Callable[[Plain, Any, int], Any]] = {
    "@": lambda plain, number, depth: plain.referred(number, depth),
    "i": lambda plain, text, depth: _integer(text),
    "f": _read_float,
    "k": lambda plain, name, depth: importlib.import_module("numpy").nan if name == "numpy.nan" else _SINGLETONS[name],
    "ty": lambda plain, name, depth: _TYPES[name],
    "h": lambda plain, fields, depth: plain.handle(fields),
    "t": lambda plain, nodes, depth: plain.read_immutable(tuple, nodes, depth),
    "s": _read_set,
    "fs": _read_frozenset,
    "d": _read_mapping(dict),
    "C": _read_mapping(collections.Counter),
    "od": _read_mapping(collections.OrderedDict, collections.OrderedDict.update),
    "dd": _read_defaultdict,
    "dq": _read_deque,
    "ul": _read_user_list,
    "ud": _read_mapping(collections.UserDict, collections.UserDict.update),
    "us": _read_user_string,
    "cm": _read_chain_map,
    "mp": _read_mapping_proxy,
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
    "dk": lambda plain, nodes, depth: dict.fromkeys(plain.read_items(nodes, depth)).keys(),
    "dv": lambda plain, nodes, depth: dict(enumerate(plain.read_items(nodes, depth))).values(),
    "di": lambda plain, nodes, depth: dict(plain.read_items(nodes, depth)).items(),
    **NUMPY_READERS,
}
_KINDS = Kinds(_WRITERS, _READERS, _write_other)
