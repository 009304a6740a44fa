"""Sets keep their order on the way between judge and program: a program sees what plain Python would show it."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from raysweep.execution import execute
from raysweep.execution.python.outside.set_order import EFFORT, SetOrder, slots_of
from raysweep.programs import Limits, Oracle, Program

pytestmark = pytest.mark.slow


def drawn_items(draw: random.Random, size: int) -> list[object]:
    """Return items of one kind: small numbers, large ones, multiples of 8, words or pairs; some are equal."""
    kinds = [
        lambda: draw.randrange(4 * size + 4),
        lambda: draw.randrange(-(10**9), 10**9),
        lambda: 8 * draw.randrange(100),
        lambda: "".join(draw.choices("abcdefgh", k=draw.randrange(1, 6))),
        lambda: (draw.randrange(9), draw.randrange(9)),
    ]
    item = draw.choice(kinds)
    return [item() for _ in range(size)]


def drawn_set(draw: random.Random) -> set[object]:
    """Return a set that was made in one of the ways in which programs make sets; nothing was removed from it."""
    values: set[object] = set()
    for _ in range(draw.randrange(1, 4)):
        items = drawn_items(draw, draw.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 18, 19, 20, 31, 33, 60, 77, 200]))
        ways = [
            lambda items=items: values | set(items),
            lambda items=items: values.union(dict.fromkeys(items)),
            lambda items=items: {*values, *items},
            lambda items=items: set(items) ^ values,
            lambda items=items: values.union(items) - set(items[::3]),
            lambda items=items: (values | set(items)).copy(),
        ]
        values = draw.choice(ways)()
    return values


def made_again(values):
    """Return a set like the given one, made from its items and size alone."""
    if isinstance(values, frozenset):
        return SetOrder().frozen(list(values), slots_of(values))
    result: set[object] = set()
    SetOrder().fill(result, list(values), slots_of(values))
    return result


def is_the_same(again, values) -> bool:
    """Whether two sets have equal items, order and size of the table; their items must be equal."""
    assert again == values
    return (list(again), slots_of(again)) == (list(values), slots_of(values))


def test_a_set_is_made_again_with_its_order_and_size():
    draw = random.Random(10)
    kept = sum(is_the_same(made_again(values), values) for values in (drawn_set(draw) for _ in range(600)))
    assert kept >= 597  # 1 of 3,000 has an order that isn't found; words have another hash in each run


def test_each_set_of_few_items_is_made_again():
    """Where the likeliest slots can't be reached, others are."""
    draw = random.Random(9)
    for _ in range(3000):
        values: set[int] = set()
        for _ in range(draw.randrange(5)):  # a table of 8 slots holds no more
            values.add(draw.choice([0, 3, 7]) + 8 * draw.randrange(2**50))
        assert is_the_same(made_again(values), values) and is_the_same(made_again(frozenset(values)), frozenset(values))


def test_a_frozenset_is_made_again_with_its_order():
    draw = random.Random(11)
    kept = 0
    for _ in range(300):
        values = drawn_set(draw)
        frozen = draw.choice([frozenset, lambda items: frozenset(list(items)), lambda items: frozenset([0]) | items])(
            values
        )
        kept += is_the_same(made_again(frozen), frozen)
    assert kept >= 297


def test_a_set_without_some_of_its_items_is_made_again_with_its_order():
    draw = random.Random(12)
    kept = 0
    for _ in range(300):
        values = drawn_set(draw)
        for item in draw.sample(list(values), len(values) * draw.randrange(1, 9) // 10):
            values.discard(item)
        kept += is_the_same(made_again(values), values)
    assert kept >= 285


def test_large_sets_and_many_sets_take_bounded_effort():
    draw = random.Random(13)
    order = SetOrder()
    words = list({f"word {draw.randrange(10**9)}" for _ in range(1000)})
    draw.shuffle(words)
    for _ in range(3 * EFFORT // len(words)):  # orders that no set of them has
        again: set[object] = set()
        order.fill(again, words, 4096)
        assert len(again) == len(words)
    assert order._left < len(words)
    large = set(range(200_000))
    order.fill(again := set(), list(large), slots_of(large))
    assert list(again) == list(large)
    order.fill(again := set(), [1, 2, 3], 2**40)  # such a table can't be made
    assert list(again) == [1, 2, 3]


PROGRAMS = {
    "a tuple of what it is given": "def f(s):\n    return tuple(s)\n",
    "a set of its own, read by the tests": "def f(s):\n    return {x for x in s if x != 3} | {'b', 'a', 'c'}\n",
    "a frozenset in a list": "def f(s):\n    return [frozenset(s), frozenset(list(s)[::-1])]\n",
    "what pop gives": "def f(s):\n    return [s.pop() for _ in range(len(s) // 2)]\n",
    "a changed argument": "def f(s):\n    s.update(range(20, 40, 7))\n    s.discard(33)\n    return len(s)\n",
    "a class of its own": "class Own(set):\n    pass\n\n\ndef f(s):\n    return Own(x for x in sorted(map(str, s)))\n",
    "keys of a dictionary by a set": "def f(s):\n    return dict.fromkeys(s).keys()\n",
}
SETS = [
    "{12, 13, 14, 15, 16}",
    "set([16, 12, 13, 14, 15])",
    "{0, 16, 8}",
    "{8, 0, 16}",
    "set('hello world')",
    "frozenset([33, 1, 65, 97]) | {2, 3}",
    "set(range(100)) - set(range(5, 100)) | {64}",
    "{(x, y) for x in range(4) for y in range(5)}",
    "set(map(str, range(30)))",
]
ASK = "s = set({made})\nr = f(s)\nseen = (list(r) if not isinstance(r, int) else r, list(s))\n"


PLAIN = """
import sys

def listed(value):
    return [list(x) if isinstance(x, frozenset) else x for x in value] if isinstance(value, list) else value

for text in eval(sys.stdin.read()):
    names = {}
    exec(text, names)
    print((listed(names["seen"][0]), names["seen"][1]))
"""


def test_programs_that_depend_on_the_order_get_the_verdict_of_plain_python():
    """Python itself, with the hash seed of the programs, says which order is seen; the judge must see it too."""
    asked = [(program, ASK.format(made=made)) for program in PROGRAMS.values() for made in SETS]
    texts = repr([program + ask for program, ask in asked])
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    python = [sys.executable, "-c", PLAIN]
    shown = subprocess.run(python, input=texts, env=environment, capture_output=True, text=True, check=True).stdout
    listed = PLAIN[PLAIN.index("def") : PLAIN.index("for text")]
    tests = [
        f"{ask}{listed}assert (listed(seen[0]), seen[1]) == {line}\n"
        for (_, ask), line in zip(asked, shown.splitlines(), strict=True)
    ]
    programs = [Program(program, test) for (program, _), test in zip(asked, tests, strict=True)]
    verdicts = list(execute(programs, Limits(timeout=10)))
    assert {verdict.oracle for verdict in verdicts} == {Oracle.OUTSIDE}
    assert [asked[at] for at, verdict in enumerate(verdicts) if verdict.outcome != "passed"] == []
