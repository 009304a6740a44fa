"""EvalPlus's comparison: numpy's `allclose` where both can be asked, and the rules of single tasks."""

import math
import random

import pytest

from raysweep.problems.evalplus import oracle

FLOATS = [0.0, 1.0, 1.0 + 1e-7, 1.0 + 3e-6, -1.0, 1e9, 1e9 + 50, math.inf, -math.inf, 5e-7, 1 / 3]


def numpy_says(result, expected, tolerance):
    numpy = pytest.importorskip("numpy")
    if isinstance(expected, list | tuple) and len(result) != len(expected):
        return False
    try:
        return bool(numpy.allclose(result, expected, rtol=1e-07, atol=tolerance))
    except (TypeError, ValueError):
        return False


def test_numbers_are_close_where_numpy_says_so():
    rng = random.Random(1)
    values = [*FLOATS, *(rng.choice(FLOATS) * rng.choice([1, 1 + 1e-6, 1 - 2e-7]) for _ in range(15))]
    for one in values:
        for other in values:
            for tolerance in (1e-6, 1e-4):
                assert oracle._are_close(one, other, tolerance) == numpy_says(one, other, tolerance), (one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1.0, 2], [1.0, 2.0000001]),
        ((1.0, 2.0), (1.0, 2.1)),
        ([[1.0], [2.0]], [[1.0], [2.0]]),
        ([[1.0], [2.0, 3.0]], [[1.0], [2.0, 3.0]]),
        ([1.0, [2.0]], [1.0, [2.0]]),
        (["1"], ["1"]),
        ("1.0", "1.0"),
        ([None], [None]),
        ({1.0}, {1.0}),
        ({1.0: 2.0}, {1.0: 2.0}),
        ([], []),
        ([True], [1.0]),
        ([1 + 1e-9j], [1.0]),
        ([2**70], [2**70]),
        ([math.nan], [math.nan]),
        ([1.0], [1.0, 2.0]),
    ],
)
def test_what_is_no_array_of_numbers_is_never_close(one, other):
    assert oracle._are_close(one, other, 1e-6) == numpy_says(one, other, 1e-6)


def agrees(result, expected, tolerance=0.0, rule="", arguments=()):
    return oracle._agrees(rule, result, expected, list(arguments), tolerance)


def test_without_a_tolerance_only_floats_may_differ_and_close_results_have_the_expected_type():
    assert agrees(0.1 + 0.2, 0.3) and agrees([0.1 + 0.2], [0.3]) and not agrees([0.1 + 0.2], [0.3, 1])
    assert not agrees(3, 4) and not agrees("a", "b") and agrees([1, "a"], [1, "a"])
    assert agrees(1, 1.0) and agrees(True, 1)  # equal
    assert not agrees((0.1 + 0.2,), [0.3]) and not agrees(1, 1 + 1e-9, 1e-6)


def test_a_tolerance_stays_for_later_inputs_once_floats_were_expected():
    expected = [(1, 0, 0), (1.5, 0, 1e-6), (7, 1e-6, 1e-6), (1.5, 1e-4, 1e-4)]
    assert [oracle._tolerance_after("", one, before) for one, before, _ in expected] == [
        after for *_, after in expected
    ]


def test_rules_of_single_tasks():
    assert agrees([2, 1, 2], (1, 2), rule="same elements") and not agrees([1], (1, 2), rule="same elements")
    assert agrees(-1.0, 1.0, 1e-4, "root", [[-1, 0, 1]]) and not agrees(0.5, 1.0, 1e-4, "root", [[-1, 0, 1]])
    assert agrees(33, 32, 0, "pyramid", [3, 4]) is agrees(33, 32, 0, "", [3, 4]) is False
    assert agrees(oracle._surface(3, 4), 1, 0, "pyramid", [3, 4])
    assert agrees(7, 0, 0, "padded digits", [123, 256]) and agrees(0, 0, 0, "padded digits", [123, 256])
    for result, expected, right in (
        ("x", object(), True),
        (None, object(), False),
        (None, None, True),
        (True, 1, True),
    ):
        assert agrees(result, expected, 0, "not None") is right


def test_copies_share_nothing_that_can_change():
    value = [1, (2, [3]), {"a": [4]}, {5}]
    copied = oracle._fresh(value)
    assert copied == value
    copied[1][1].append(0)
    copied[2]["a"].append(0)
    copied[3].add(0)
    assert value == [1, (2, [3]), {"a": [4]}, {5}]
