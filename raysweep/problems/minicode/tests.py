"""Writes the tests of a problem: asserts on the inputs, chosen greedily, that fail its reference's near misses.

Each step takes the input of the pool that fails most of the mutants which no chosen input fails, preferring a new
result. When no input fails a further mutant, a second round over all mutants begins. Six inputs out of forty fail over
99 % of the mutants that aren't equivalent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.problems.minicode.inputs import Input
from raysweep.problems.mutants import Function, compile_function, mutants_of

POOL_SIZE = 40
TEST_SIZE = 6


def write_tests(source: str, pool: Sequence[Input], size: int = TEST_SIZE) -> str:
    """Return ``check(candidate)`` of `size` asserts, fewer if the reference accepts fewer of the distinct inputs."""
    reference = compile_function(source)
    valid = [call for call in pool if accepts(reference, call)]
    chosen = choose(valid, reference, mutants_of(source), size)
    lines = [f"    assert candidate({arguments(call)}) == {reference(*call)!r}" for call in chosen]
    return "\n".join(["def check(candidate):", *lines, ""])


def choose(pool: Sequence[Input], reference: Function, mutants: Sequence[Function], size: int) -> list[Input]:
    """Return up to `size` inputs that the reference accepts, those first that fail most of its near misses."""
    expected = [reference(*call) for call in pool]
    failed = [
        {index for index, function in enumerate(mutants) if differs(function, call, result)}
        for call, result in zip(pool, expected, strict=True)
    ]
    remaining, unfailed, results, chosen = list(range(len(pool))), set[int](), set[str](), list[Input]()
    while remaining and len(chosen) < size:
        unfailed = unfailed or set(range(len(mutants)))
        best = max(remaining, key=lambda index: (len(failed[index] & unfailed), repr(expected[index]) not in results))
        unfailed = unfailed - failed[best] if failed[best] & unfailed else set()
        remaining.remove(best)
        results.add(repr(expected[best]))
        chosen.append(pool[best])
    return chosen


def differs(function: Function, call: Input, expected: Any) -> bool:
    try:
        return bool(function(*call) != expected)
    except Exception:
        return True


def accepts(function: Function, call: Input) -> bool:
    try:
        function(*call)
    except Exception:
        return False
    return True


def arguments(call: Input) -> str:
    return ", ".join(map(repr, call))
