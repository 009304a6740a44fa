"""The tests of a problem: the inputs that tell the reference from its near misses, chosen greedily.

Each step takes the input of the pool that fails most mutants not yet failed, among equals one with a new result; when
no input fails a further mutant, a second round over all mutants begins. Six inputs out of forty fail over 99 % of the
mutants that aren't equivalent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.problems.minicode.inputs import Input
from raysweep.problems.minicode.mutants import Function, compile_function, mutants

POOL_SIZE = 40
TEST_SIZE = 6


def write_tests(source: str, pool: Sequence[Input], size: int = TEST_SIZE) -> str:
    """Return ``check(candidate)`` over `size` inputs of the pool (fewer where the reference fails on the others).

    Args:
        source: the reference, a function definition.
        pool: inputs, without repetition.
        size: how many asserts.
    """
    reference = compile_function(source)
    valid = [given for given in pool if raises_not(reference, given)]
    chosen = choose(valid, reference, mutants(source), size)
    lines = [f"    assert candidate({arguments(given)}) == {reference(*given)!r}" for given in chosen]
    return "\n".join(["def check(candidate):", *lines, ""])


def choose(pool: Sequence[Input], reference: Function, wrong: Sequence[Function], size: int) -> list[Input]:
    """Return up to `size` inputs of the pool, the most telling first. The reference must accept all of them."""
    expected = [reference(*given) for given in pool]
    failed = [
        {index for index, function in enumerate(wrong) if differs(function, given, result)}
        for given, result in zip(pool, expected, strict=True)
    ]
    left, unmet, seen, chosen = list(range(len(pool))), set[int](), set[str](), list[Input]()
    while left and len(chosen) < size:
        unmet = unmet or set(range(len(wrong)))
        best = max(left, key=lambda index: (len(failed[index] & unmet), repr(expected[index]) not in seen))
        unmet = unmet - failed[best] if failed[best] & unmet else set()
        left.remove(best)
        seen.add(repr(expected[best]))
        chosen.append(pool[best])
    return chosen


def differs(function: Function, given: Input, expected: Any) -> bool:
    """Tell whether a function fails the assert on an input."""
    try:
        return bool(function(*given) != expected)
    except Exception:
        return True


def raises_not(function: Function, given: Input) -> bool:
    """Tell whether a function accepts an input."""
    try:
        function(*given)
    except Exception:
        return False
    return True


def arguments(given: Input) -> str:
    """Return an input as it stands between the parentheses of a call."""
    return ", ".join(map(repr, given))
