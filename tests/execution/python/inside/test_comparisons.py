"""Objects that answer comparisons as they like aren't believed; honest objects of all kinds are."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import enum
from collections import Counter, OrderedDict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from unittest.mock import ANY

import numpy
import pytest

from raysweep.execution.python.inside.comparisons import compare


class Always:
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return True

    def __lt__(self, other):
        return True

    __le__ = __gt__ = __ge__ = __lt__

    def __contains__(self, other):
        return True

    def __hash__(self):
        return 4

    def __iter__(self):
        return iter([1])


class Once(Always):
    asked = 0

    def __eq__(self, other):
        self.asked += 1
        return self.asked == 1

    __hash__ = Always.__hash__


class Kind(Always):
    def __eq__(self, other):
        return type(other).__module__ == "builtins"

    __hash__ = Always.__hash__


class LyingInt(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class LyingList(list):
    def __eq__(self, other):
        return True


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = 1


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize("liar", [Always(), Once(), Kind(), LyingInt(3), LyingList([9]), ANY])
def test_liars_are_not_believed(liar):
    believed = [
        (place, value)
        for value in (4, "four", None, True, 4.5, [1, 2], (1,), {1: 2}, {1}, b"x", Decimal(1), Point(1))
        for place, pair in {
            "left": [liar, value],
            "right": [value, liar],
            "in lists": [[liar], [value]],
            "in mappings": [{"k": (liar,)}, {"k": (value,)}],
        }.items()
        if compare(["Eq"], pair)
    ]
    assert believed == []


@pytest.mark.parametrize("name", ["Lt", "LtE", "Gt", "GtE", "In"])
def test_liars_are_not_believed_about_order_and_membership(name):
    assert not compare([name], [Always(), 4] if name != "In" else [4, Always()])


HONEST = [
    Point(1, 2), Colour.RED, Pair(1, 2), Decimal("1.5"), Fraction(1, 3), Counter("abc"), OrderedDict(a=1), deque([1]),
    datetime.date(2020, 1, 1), [Point(1), {"a": Pair(1, 2)}], {Fraction(1, 2): Counter()}, float("inf"), 2**100, "", [],
    {}, set(), frozenset({1}), (), b"", None, True, range(3), 1 + 2j, [[[]]], numpy.float64(1.5), numpy.int64(3),
]  # fmt: skip


@pytest.mark.parametrize("value", HONEST, ids=repr)
def test_honest_objects_equal_themselves_and_nothing_else(value):
    assert compare(["Eq"], [value, copy.deepcopy(value)])
    assert compare(["NotEq"], [value, "other"])
    assert not compare(["Eq"], [value, "other"])
    assert compare(["In"], [value, [0.25, value]])
    assert compare(["NotIn"], [value, [0.25, "x"]])
    assert compare(["Is"], [value, value]) and not compare(["IsNot"], [value, value])


class Ready:
    """Equals whatever is a list or a text as long as the expected one, and whatever is a number."""

    def __eq__(self, other):
        return len(other) == 3 if isinstance(other, list | str) else isinstance(other, int | float)

    __hash__ = None


@pytest.mark.parametrize("value", [[1, 2, 3], "abc", 4, 2.5, {"a": 1}])
def test_decoys_look_like_the_expected_value(value):
    assert not compare(["Eq"], [Ready(), value])


def test_deep_and_long_values_are_compared():
    deep: list = []
    for _ in range(400):
        deep = [deep]
    assert compare(["Eq"], [deep, copy.deepcopy(deep)])
    assert compare(["In"], [(2999, 2999), [Pair(n, n) for n in range(3000)]])
    assert compare(["GtE"], [float("inf"), float("inf")])


class Text(str): ...


class Accepts:
    def __eq__(self, other):
        return other is None

    __hash__ = None


class Number(enum.IntEnum):
    SEVEN = -7


@pytest.mark.parametrize(
    "pair",
    [
        (Fraction(-7), -7), (Fraction(0), Fraction(0)), (Number.SEVEN, -7), (Text("x"), "x"), (Text(""), Text("")),
        (Accepts(), None), (Pair(0, 0), Pair(0, 0)), (Decimal(0), Decimal("0.0")),
    ],
)  # fmt: skip
def test_honest_values_that_decoys_might_equal_are_believed(pair):
    assert compare(["Eq"], pair) and compare(["Eq"], pair[::-1])
    assert compare(["Eq"], [[pair[0]], [pair[1]]])


def test_an_iterator_is_asked_once():
    assert compare(["In"], [Text("b"), (letter for letter in "abc")])


def test_subclasses_and_mixed_types_compare_as_python_does():
    assert compare(["Eq"], [Pair(1, 2), (1, 2)]) and compare(["Eq"], [(1, 2), Pair(1, 2)])
    assert compare(["Eq"], [Fraction(1, 2), 0.5]) and compare(["Eq"], [Decimal(2), 2])
    assert compare(["Eq"], [Counter("aab"), {"a": 2, "b": 1}]) and compare(["Eq"], [True, 1])
    assert compare(["Lt", "LtE"], [Fraction(1, 2), 1], lambda: Fraction(3, 2))
    assert not compare(["Lt", "Lt"], [1, 3], lambda: 2)
    assert not compare(["Lt", "Lt"], [3, 1], lambda: 1 / 0)  # never asked
    assert compare(["Lt"], [abs(Decimal("0.1") - Decimal("0.1")), 1e-6])


def test_arrays_keep_their_elementwise_answer():
    assert compare(["Eq"], [numpy.array([1, 2]), numpy.array([1, 3])]).tolist() == [True, False]


def test_errors_of_comparisons_are_the_tests_errors():
    class Broken:
        def __eq__(self, other):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        compare(["Eq"], [Broken(), 1])
    with pytest.raises(TypeError):
        compare(["Lt"], [1, "x"])
