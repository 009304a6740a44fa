"""Draws inputs for MiniCode's functions: random ones, and edge cases, on which near misses of a function go wrong.

An input is the tuple of a call's arguments. Edge cases aim at a task's constants: numbers around ``k``, words of ``k``
letters, the letter ``c`` in first, middle and last place, lists of which a filter removes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from raysweep.problems.minicode.families import Argument

Input = tuple[Any, ...]
Constants = Mapping[str, int | str]  # k and j: 2 to 9; c: a letter

LETTERS = "abdelnst"
"""The letters that a letter constant can be."""

_MIXED_CASE = "aeioubdlnstAEBDNST"
_NO_LETTERS = "  0379 .-"


def draw_input(argument: Argument, constants: Constants, rng: Random) -> Input:
    k, c = int(constants.get("k", 5)), str(constants.get("c", "e"))
    match argument:
        case "pair":
            return rng.randint(-9, 20), rng.choice([-4, -3, -1, 1, 2, 3, 5, 7, 10])
        case "int":
            return (rng.randint(-30, 60),)
        case "nat":
            return (rng.randint(1, rng.choice([12, 99])),)
        case "list":
            size = rng.choice([1, 2, 3, 4, 4, 5, 5, 6, 7, 9, 11])
            near = ([rng.randint(-12, 20), rng.randint(-4, 9), k + rng.randint(-1, 1)] for _ in range(size))
            return ([rng.choice(numbers) for numbers in near],)
        case "string":
            size = rng.choice([2, 4, 5, 6, 7, 8, 9, 12])
            return ("".join(rng.choices(_MIXED_CASE + c * 2 + _NO_LETTERS, k=size)),)
    sizes = rng.choices([1, 2, 3, 4, 5, k - 1, k, k + 1], k=rng.randint(1, 6))
    return ([_word(rng, size, "abdelnstiour" + c * 2) for size in sizes],)


def draw_pool(argument: Argument, constants: Constants, rng: Random, size: int) -> list[Input]:
    """Return `size` different inputs, or fewer if there are no more; edge cases come first."""
    k, c = int(constants.get("k", 5)), str(constants.get("c", "e"))
    pool = {repr(call): call for call in _edges(argument, rng, k, c)}
    drawn = (draw_input(argument, constants, rng) for _ in range(4 * size))
    pool |= {repr(call): call for call in drawn}
    return list(pool.values())[:size]


def _edges(argument: Argument, rng: Random, k: int, c: str) -> list[Input]:
    match argument:
        case "pair":
            n = rng.randint(3, 9)
            return [(n, n), (n, n + 1), (n + 1, n), (-n, n), (n, -n), (0, n), (3 * n, n), (-n, -n - 1), (n, 1)]
        case "int":
            numbers = (0, 1, -1, 2, k - 1, k, k + 1, 2 * k, 2 * k + 1, -k, 3 * k - 1, k * k, k + 20, -k - 1)
            return [(number,) for number in numbers]
        case "nat":
            return [(n,) for n in (1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 19, 25, 28, 49, 60, 91, 97, 80)]
        case "list":
            return [(numbers,) for numbers in _edge_lists(rng, k)]
        case "string":
            return [(text,) for text in _edge_strings(rng, k, c)]
    return [(words,) for words in _edge_words(rng, k, c)]


def _edge_lists(rng: Random, k: int) -> list[list[int]]:
    def some(accepts: Callable[[int], bool], size: int = 4) -> list[int]:
        return rng.sample([n for n in range(-3 * k, 4 * k + 6) if accepts(n)], size)

    size = rng.randint(3, 5)
    filtered = [
        some(lambda n: n % 2 == 1, size),
        some(lambda n: n % 2 == 0, size),
        some(lambda n: n > 0, size),
        some(lambda n: n < 0, size),
        some(lambda n: n > k, size),
        some(lambda n: n < k, size),
        some(lambda n: n % k == 0, size),
        some(lambda n: n % k != 0, 5),
    ]
    edges = [[], [k], [0], [k - 1, k, k + 1], [k + 1, k, k - 1, k], [0, 1, -1], [-1, -2], [2, 1], [1, 2, 3, 2, 1]]
    edges += [[0, -1], [k, k + 1], [k, k - 1], [k - 1, k - 2], [k + 1, k + 2], [2 * k, 2 * k + 1], [-k, k, -k]]
    ordered = sorted(some(lambda n: True, 6))
    rich = [k, k, *some(lambda n: True, 6), k, -k, k + 1]
    rng.shuffle(rich)
    return [rich, *filtered, *edges, ordered, ordered[::-1], ordered * 2]


def _word(rng: Random, size: int, letters: str = "abdelnstiourm") -> str:
    return "".join(rng.choices(letters, k=size))


def _edge_strings(rng: Random, k: int, c: str) -> list[str]:
    half = _word(rng, 3)
    return [
        f"{half} {c}O7{half.title()}-{c}{c.upper()} {rng.randint(10, 99)}",
        f" {half.upper()}{c}4_A5x  {_word(rng, 4)}u",
        "", c, c.upper(), "x", half + half[::-1], half + "o" + half[::-1], half + half[1::-1] + "z", half.upper(),
        half + c, c + half, f"{half}{c}{half}", f"{c}{half} {half}{c}", f"{half} {half.title()}", f"  {half}   ok ",
        "2 Big Dogs", "7402", "a1B2 c3", "bcd fgh", "AEIOU xyz", "aeiou", "BCDF", "!? -", "    ", "Zz9_z", "tab\tend",
        "y-3.5", "ue", "tT", "DE", "4 2",
        _word(rng, k - 1), _word(rng, k), _word(rng, k + 1), _word(rng, 2 * k + 1),
    ]  # fmt: skip


def _edge_words(rng: Random, k: int, c: str) -> list[list[str]]:
    plain = "gumpfy"
    near = [_word(rng, size) for size in (k - 1, k, k + 1)]
    places = [c + _word(rng, 2, plain), _word(rng, 2, plain) + c, f"{_word(rng, 2, plain)}{c}{_word(rng, 1, plain)}"]
    return [
        [], [c], near, near[::-1], places, places[::-1], [*near, *places], [_word(rng, 3, plain)], near[:1], near[1:2],
        near[2:], places[:1], places[1:2], places[2:], [c.upper() + "um", "um" + c.upper()], [*near[:2], *near[:2]],
        ["gum", "py", "fumy"], [f"{c}y{c}", "gym"], [_word(rng, 9), "o", _word(rng, 9)], ["", c], [near[1], near[0]],
    ]  # fmt: skip
