"""Plain data: what is written is read again, and no text that a program may send does anything else than be refused."""

from __future__ import annotations

import collections
import contextlib
import datetime
import json
import math
import random
import resource
import time
from array import array
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest

from raysweep.execution.python.outside.codec import Malformed, decoded, encoded
from raysweep.execution.python.outside.kinds import plain_data
from raysweep.execution.python.outside.plain import DEPTH, NotPlain
from raysweep.execution.python.outside.set_order import SetOrder

FLOATS = [0.0, -0.0, 1.5, 1e308, 5e-324, math.inf, -math.inf, 0.1]
INTS = [0, 1, -1, 10**17, 10**18, -(10**18), 2**63, -(2**64), 7**5000]
TEXTS = ["", "a", '\x00\n\t"\\', "é", "\ud800", "\udfff\ud800", "😀", "\u2028", '{"@":0}', "NaN"]


class Handle:
    """What stands for an object without a plain form."""


def no_handle(value):
    raise NotPlain


def read(data):
    return plain_data(no_handle, lambda *fields: Handle(), SetOrder()).read(decoded(data))


def there_and_back(value):
    return read(encoded(plain_data(no_handle, no_handle, SetOrder()).write(value)))


def same(one, other, seen=None):
    """Return True if two values have equal classes, contents, signs and sharing."""
    seen = {} if seen is None else seen
    if type(one) is not type(other):
        return False
    if isinstance(one, (float, numpy.floating)):
        return (one != one and other != other) or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, numpy.ndarray):
        if one.dtype.kind == "O":
            return one.shape == other.shape and all(same(a, b, seen) for a, b in zip(one.flat, other.flat))
        return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, (list, tuple, dict, set, frozenset, collections.deque, collections.UserList)):
        if id(one) in seen:
            return seen[id(one)] == id(other)
        seen[id(one)] = id(other)
        if isinstance(one, (set, frozenset)):
            return repr(one) == repr(other)
        if len(one) != len(other) or getattr(one, "maxlen", 0) != getattr(other, "maxlen", 0):
            return False
        if getattr(one, "default_factory", None) is not getattr(other, "default_factory", None):
            return False
        if isinstance(one, dict) and not all(same(a, b, seen) for a, b in zip(one.values(), other.values())):
            return False
        return all(same(a, b, seen) for a, b in zip(one, other))
    return one == other or repr(one) == repr(other)


def made(draw: random.Random, depth: int, pool: list):
    """Return a value of a kind drawn at random; `pool` has the containers so far, which may be used again."""
    if pool and draw.random() < 0.15:
        return draw.choice(pool)
    kind = draw.randrange(11 if depth <= 0 else 21)
    if kind < 11:
        return atom(draw, kind)
    if kind in (12, 13, 17):
        return hashable(draw, kind, depth)
    value = (
        [list, None, None, dict, collections.deque, collections.OrderedDict, None, set, collections.UserList][kind - 11]
        if kind < 20
        else None
    )
    value = value() if value is not None else collections.defaultdict(draw.choice([int, list, None]))
    if not isinstance(value, set):
        pool.append(value)
    for _ in range(draw.randrange(5)):
        if isinstance(value, dict):
            value[hashable(draw, 13, 1)] = made(draw, depth - 1, pool)
        elif isinstance(value, set):
            value.add(hashable(draw, 13, 1))
        else:
            value.append(made(draw, depth - 1, pool))
    return value


def atom(draw, kind):
    return [
        lambda: draw.choice(INTS) + draw.randrange(5),
        lambda: draw.choice(FLOATS),
        lambda: draw.choice(TEXTS) * draw.randrange(3),
        lambda: draw.choice([None, True, False, ..., NotImplemented, int, list, ValueError]),
        lambda: draw.randbytes(draw.randrange(20)),
        lambda: complex(draw.choice(FLOATS), draw.choice(FLOATS)),
        lambda: Fraction(draw.choice(INTS[:-1]), 1 + draw.randrange(10**9)),
        lambda: Decimal(draw.choice(["1e-30", "-0.0", "NaN1", "Infinity", "123.4500", "1E+999999"])),
        lambda: draw.choice([range(-3, 10**20, 7), slice(None, 3, -1), bytearray(b"\xff\x00"), array("d", [1.0])]),
        lambda: draw.choice(
            [
                datetime.date(2000, 2, 29),
                datetime.datetime(1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3))),
                datetime.time(23, 59, 59, 999999),
                datetime.timedelta(-999999999),
            ]
        ),
        lambda: draw.choice(
            [
                numpy.arange(6, dtype=">i2").reshape(2, 3),
                numpy.zeros((0, 3)),
                numpy.array([], dtype="U5"),
                numpy.array(["ab", "c"]),
                numpy.float32(-0.0),
                numpy.int8(-7),
                numpy.bool_(True),
                numpy.datetime64("2000-01-01"),
                numpy.asfortranarray(numpy.eye(2)),
            ]
        ),
    ][kind]()


def hashable(draw, kind, depth):
    items = [atom(draw, draw.choice([0, 2, 4, 6])) for _ in range(draw.randrange(4))]
    if kind == 12 and depth > 1:
        return tuple(hashable(draw, 12, depth - 1) for _ in range(draw.randrange(3)))
    return frozenset(items) if kind == 17 else tuple(items)


def test_what_is_written_is_read_again():
    draw = random.Random(1)
    for _ in range(3000):
        value = made(draw, 5, [])
        if not same(value, there_and_back(value)):
            pytest.fail(f"{value!r} became {there_and_back(value)!r}")


def test_sharing_cycles_and_identity_survive():
    shared, cycle = [1], []
    cycle += [cycle, {"self": cycle}, shared, (shared, shared)]
    result = there_and_back(cycle)
    assert result[0] is result and result[1]["self"] is result and result[3][0] is result[3][1] is result[2]
    number = float("nan")
    result = there_and_back([number, number, float("nan"), math.nan, numpy.nan])
    assert result[0] is result[1] is not result[2] and result[3] is math.nan and result[4] is numpy.nan
    assert result[:2] == result[:2] and result[2] != result[2]
    objects = numpy.empty(3, dtype=object)
    objects[0], objects[1], objects[2] = [1, 2], [3, 4], "x"
    assert there_and_back(objects).tolist() == [[1, 2], [3, 4], "x"]
    lists = numpy.empty(2, dtype=object)
    lists[0], lists[1] = [1, 2], [3, 4]
    assert there_and_back(lists).shape == (2,)


def test_what_is_nested_too_deeply_has_no_plain_form():
    value = []
    for _ in range(DEPTH + 2):
        value = [value]
    with pytest.raises(NotPlain):
        there_and_back(value)


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["t", "fs", "dq", "dd", "no"])
def test_references_cannot_nest_what_c_code_enters_without_looking_at_the_depth(tag):
    """`hash` of a tuple and the end of a deque crash when they are nested some 50,000 levels deep."""
    forms = {
        "dd": '{"dd":[null,[0],[%s]]}',
        "no": '{"no":[[1],[%s]]}',
        "dq": '{"dq":[null,[%s]]}',
        "fs": '{"fs":[8,[%s]]}',
    }
    form = forms.get(tag, f'{{"{tag}":[%s]}}')
    parts, number = [form.replace("%s", "1")], 1
    for _ in range(60_000):
        parts.append(form.replace("%s", f'{{"@":{number}}}'))
        number += 1
    with pytest.raises(Malformed):
        read(f"[{','.join(parts)}]".encode())
    shared = ",".join([form.replace("%s", "1")] + [form.replace("%s", '{"@":1}')] * 1000)
    assert len(read(f"[{shared}]".encode())) == 1001


MALFORMED = """
[ {"@":0} {"@":-1} {"@":true} {"@":1e0} {"t":[{"@":0}]} {"i":"1"*9} {"i":5} {"f":"1"} {"f":[]} {"k":"x"}
{"k":[]} {"ty":"eval"} {"ty":[]} {"l":["os",""]} {"l":["typing","sys"]} {"l":["math","pi"]} {"h":[1]}
{"h":[1,"x",1,""]} {"t":5} {"t":{"a":1}} {"s":[8,[[]]]} {"s":[8,[{"d":[[],[]]}]]} {"fs":[8,[{"s":[8,[]]}]]}
{"s":[]} {"s":[8]} {"s":[9,[]]} {"s":[4,[]]} {"s":[-8,[]]} {"s":["8",[]]} {"s":[true,[]]} {"s":[8,8]} {"d":[[[]],[1]]}
{"d":[[1],[]]} {"d":[1]} {"d":[1,2]} {"C":[[1],[1],[1]]} {"dd":["eval",[],[]]} {"dd":[]} {"dq":[-1,[]]}
{"dq":[1e9,[]]} {"c":[1,2]} {"c":[1.5]} {"b":"Ā"} {"b":5} {"ba":null} {"r":[1.0]} {"r":[]} {"r":[1,2,0]}
{"r":"abc"} {"r":[[1]]} {"sl":[1]} {"F":["0x1","0x0"]} {"F":["x","1"]} {"D":"x"} {"D":1} {"date":[0,1,1]}
{"date":["a"]} {"time":[25,0,0,0,null]} {"time":[]} {"datetime":[1,1,1,0,0,0,0,1e300]} {"delta":[1e300]}
{"delta":["a"]} {"ar":["x",[]]} {"ar":["b",[300]]} {"ar":["i",["a"]]} {"na":["O",[1],"AAAAAAAAAAA="]}
{"na":["<i4",[1],""]} {"na":["<i4",[-1],""]} {"na":["(1,",[0],""]} {"na":["i4,i4",[0],""]}
{"na":["<i4",[99999999999],""]} {"na":["<i4",[0],"*"]} {"na":[5,[0],""]} {"no":[[2],[1]]}
{"no":[[],[{"@":0}]]} {"ns":["<i4",""]} {"ns":["V4","AAAA"]} {"dk":[[]]} {"dk":5} {"di":[5]} {"di":["abc"]} {}
{"a":1,"b":2} {"x":1} NaN Infinity -Infinity nan tru "\\x" 1.2.3 01 [1,] {"t":[1]}}
"""


def test_what_breaks_a_rule_is_malformed():
    taken = []
    for text in MALFORMED.split():
        with contextlib.suppress(Malformed):
            taken.append((text, read(text.encode())))
    assert taken == []


def mutated(draw: random.Random, data: bytes) -> bytes:
    """Return a message with a few bytes, pieces or references changed."""
    changed = bytearray(data)
    for _ in range(1 + draw.randrange(4)):
        place = draw.randrange(len(changed) + 1)
        choice = draw.randrange(5)
        if choice == 0:
            changed[place : place + draw.randrange(4)] = draw.randbytes(draw.randrange(3))
        elif choice == 1:
            changed[place : place + draw.randrange(8)] = draw.choice(PIECES)
        elif choice == 2:
            start = draw.randrange(len(changed) + 1)
            changed[place:place] = changed[start : start + draw.randrange(40)]
        elif choice == 3:
            del changed[place : place + draw.randrange(20)]
        else:
            tags = [index for index in range(len(changed) - 3) if changed[index : index + 2] == b'{"']
            if tags:
                start = draw.choice(tags) + 2
                end = changed.find(b'"', start)
                changed[start:end] = draw.choice(TAGS).encode()
    return bytes(changed)


TAG_NAMES = "@ i f k ty l h t s fs d C od dd dq ul c b ba r sl F D date time datetime delta ar na no ns dk dv di"
TAGS = TAG_NAMES.split()
PIECES = [
    b"1e999",
    b"[]",
    b"{}",
    b'{"@":0}',
    b'{"@":1}',
    b"null",
    b"-1",
    b"99999999999999999999",
    b'"0x1"',
    b"]",
    b'"',
    b",",
]


def generated(draw: random.Random, depth: int):
    """Return a random message: JSON with the format's tags."""
    choice = draw.randrange(8)
    if depth <= 0 or choice < 3:
        return draw.choice([0, 1, -1, 10**30, 1.5, "", "0x10", "nan", "int", "<i4", "numpy.nan", None, True, "AAAA"])
    items = [generated(draw, depth - 1) for _ in range(draw.randrange(4))]
    return items if choice == 3 else {draw.choice(TAGS): draw.choice([*items, items, items])}


@pytest.mark.slow
def test_random_and_mutated_messages_give_a_value_or_are_malformed():
    draw = random.Random(2)
    written = [encoded(plain_data(no_handle, no_handle, SetOrder()).write(made(draw, 4, []))) for _ in range(200)]
    written = [data for data in written if len(data) < 5000]
    before, start, values = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), 0
    for number in range(30_000):
        data = json.dumps(generated(draw, 5)).encode() if number % 2 else mutated(draw, draw.choice(written))
        begun = time.process_time()
        try:
            read(data)
            values += 1
        except Malformed:
            pass
        assert time.process_time() - begun < 10, data  # of CPU time, garbage collection included
    assert 3000 < values < 27_000
    assert time.process_time() - start < 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 2**10


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 10**6,
        b'{"t":[' * 10**5,
        b"[" * 200 + b"]" * 200,
        b"1" * 10**6,
        b'{"i":"0x' + b"f" * (2**21 + 100) + b'"}',
        b'{"D":"' + b"1" * 20_001 + b'"}',
        b'{"F":["0x' + b"f" * 20_000 + b'","0x1"]}',
        b"\xff",
        b"",
        b"1 1",
    ],
    ids=range(10),
)
def test_what_is_too_long_or_too_deep_is_malformed_at_once(data):
    start = time.process_time()
    with pytest.raises(Malformed):
        read(data)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (numpy.float16("inf"), 70_000),
        (numpy.array([numpy.inf], "f2"), 2**60),
        (numpy.float16(2048), 2049),
        (numpy.float16(0), 1e-9),
        (numpy.float32("-inf"), -1e39),
        (numpy.array([numpy.inf, 0], "f4"), 1e300),
        (numpy.complex64("inf"), 1e39),
    ],
)
def test_numbers_of_low_precision_do_not_equal_far_ones(value, number):
    with numpy.errstate(over="ignore"):
        assert (value == number).any()
        assert not (there_and_back(value) == number).any()
    assert (there_and_back(value) == value).all()


def test_numbers_of_single_precision_stay_as_they_are():
    assert there_and_back(numpy.float32(0.1)) == 0.1
    assert there_and_back(numpy.array([0.1], "f4")).dtype == "f4"
