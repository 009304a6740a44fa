"""Both lanes give the same verdicts; candidates and tests meet as in one text, and no closer."""

from __future__ import annotations

import psutil
import pytest

from raysweep.errors import UsageError
from raysweep.execution import execute, slot
from raysweep.execution.pool import Executor
from raysweep.execution.python import lanes
from raysweep.programs import Level, Limits, Oracle, Outcome, Program, Sandbox
from tests.execution.scarce import NO_DISK

pytestmark = pytest.mark.slow

LIMITS = Limits(timeout=2)
CHECK = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\ncheck(square)"
SAME = "assert P(1) == P(1)"
GOOD, WRONG = "def square(x):\n    return x * x", "def square(x):\n    return 4"


@pytest.fixture(scope="module")
def usual():
    """A slot as `execute` has."""
    with Executor(1) as executor:
        yield executor


def outcomes(executor: Executor, *programs: Program) -> list[str]:
    padding = [Program(f"{GOOD} # {n}", CHECK) for n in range(2)]  # a program alone never shares
    return [verdict.outcome for verdict in executor.run([*programs, *padding], LIMITS)][: len(programs)]


@pytest.mark.parametrize(
    ("text", "tests"),
    [
        (GOOD, CHECK),
        ("def sum(a, b): return a * b", "assert sum(2, 3) == 6"),  # named as a built-in function, called by the tests
        ("def f(x): return math.sqrt(x)", "import math\nassert f(4) == 2"),  # sees what the tests import
        ("def f(x): return sqrt(x)", "from math import sqrt\nassert f(4) == 2"),
        ("def f(x): return np.sum(x)", "import numpy as np\nassert f([4]) == 4"),
        ("def helper(x): return -x\ndef f(x): return helper(x)", "assert f(helper(1)) == 1"),
        ("from typing import List\ndef f(x: List[int]): return x", "x: List[int] = [1]\nassert f(x) is x"),
        ("import math\ndef f(x): return math.pi * x", "import math\nassert abs(f(2) - 2 * math.pi) < 1e-9"),
        ("def f(x):\n    x.append(1)\n    return x", "a = []\nassert f(a) is a and a == [1]"),
        (
            "counter = 0\ndef f():\n    global counter\n    counter += 1\n    return counter",
            "assert f() == 1\nassert f() == 2",
        ),
    ],
)
def test_honest_programs_pass(executor, text, tests):
    assert outcomes(executor, Program(text, tests)) == [Outcome.PASSED]


def test_objects_that_compare_by_a_method_of_their_own_are_for_tests_inside(executor):
    text = "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return self.x == o.x"
    assert outcomes(executor, Program(text, SAME, oracle=Oracle.INSIDE)) == [Outcome.PASSED]
    assert outcomes(executor, Program(text, SAME)) == [Outcome.FAILED]


@pytest.mark.parametrize(
    "text",
    [
        WRONG,
        f"{WRONG}\ndef check(candidate): pass",
        f"{WRONG}\nimport builtins\nbuiltins.exec = lambda *a: None\nbuiltins.compile = lambda *a, **k: None",
        f"{WRONG}\ndef check(c): pass\nimport sys\nsys.modules['builtins'] = None",
        "class square(int):\n    def __eq__(self, other): return True",
        "class E:\n    def __eq__(self, other): return True\ndef square(x): return E()",
        "from unittest.mock import ANY\ndef square(x): return ANY",
        f"{WRONG}\nfor c in tuple.__subclasses__():\n    if c.__name__ == 'PreparedTests': c.text = c.guarded = 'pass'",
    ],
)
def test_wrong_programs_do_not_pass(executor, text):
    assert outcomes(executor, Program(text, CHECK))[0] not in (Outcome.PASSED, Outcome.HARNESS_ERROR)


@pytest.mark.parametrize("liar", ["abs = lambda x: 0", "def all(x): return True", "def len(x): return 1"])
def test_a_candidates_own_built_in_functions_do_not_decide(executor, liar):
    tests = "assert abs(f(1) - 2) < 1e-6 and all([f(1) == 2]) and len(str(f(1))) == 1"
    assert outcomes(executor, Program(f"{liar}\ndef f(x): return 50", tests)) == [Outcome.FAILED]


@pytest.mark.parametrize(
    "text",
    [
        "def square(n): return results[inputs.index([n])]",
        "def square(n):\n    results.clear()\n    inputs.clear()\n    return 4",
        "def square(n):\n    assertion.__code__ = (lambda a, b: None).__code__\n    return 0",
        "def square(n):\n    math.isclose = lambda *a: True\n    return 4",
        "import sys, _imp\ng = _imp.create_builtin(sys.__spec__)._getframe\ndef square(n): return g(1).f_locals['exp']",
        "import sys\nsys.modules.pop('sys')\nimport sys\ndef square(n): return sys._getframe(1).f_locals['exp']",
        "import math\ndef f(): pass\nf.__code__ = (lambda: 1).__code__\nsquare = f",
    ],
)
def test_the_tests_data_and_functions_are_not_handed_out(executor, text):
    tests = """import math
inputs = [[2], [3]]
results = [4, 9]
def assertion(out, exp): assert math.isclose(out, exp)
for given, exp in zip(inputs, results): assertion(square(*given), exp)
"""
    assert outcomes(executor, Program(text, tests))[0] not in (Outcome.PASSED, Outcome.HARNESS_ERROR)


def test_a_wrong_neighbour_of_a_candidate_that_changed_a_module_fails(executor):
    tests = (
        "import math\ndef check(c):\n    assert math.isclose(c(2), 4)\n    assert math.isclose(c(3), 9)\ncheck(square)"
    )
    evil = "def square(n):\n    math.isclose = lambda *a, **k: True\n    return 4"
    texts = [evil, *(f"def square(n): return {n}" for n in range(3))]
    assert Outcome.PASSED not in outcomes(executor, *(Program(text, tests) for text in texts))


def test_the_time_of_a_program_is_measured_in_both_lanes(executor):
    texts = ["import time\ntime.sleep(0.3)", "n = 0\nfor i in range(4 * 10**6): n += i"]
    sleeper, worker = executor.run([Program(text) for text in texts], Limits(timeout=10))
    assert 0.28 <= sleeper.seconds < 3 and worker.seconds > 0.05


def test_memory_that_the_slot_needs_itself_is_not_charged(executor):
    text = "import numpy\nx = bytearray(100 * 2**20)"
    assert executor.run([Program(text)], Limits(memory_mib=128, timeout=5))[0].outcome is Outcome.PASSED


def test_what_a_candidate_sets_in_modules_is_not_seen_by_the_tests(executor):
    text = "import math\nmath.isclose = lambda *a, **k: True\ndef f(): return 5.0"
    assert outcomes(executor, Program(text, "import math\nassert math.isclose(f(), 4)")) == [Outcome.FAILED]


def test_verdicts_tell_lane_level_and_limit(usual):
    shared, odd = usual.run([Program(GOOD, CHECK), Program(f"import os\n{GOOD}", CHECK)], Limits(timeout=3))
    assert (shared.lane, odd.lane) == ("shared", "strict")
    assert shared.level == odd.level != ""
    assert shared.limit_seconds == 3 and not shared.near_limit


def test_only_the_strict_lane_shares_nothing(executor):
    verdicts = executor.run([Program(f"{GOOD} # {n}", CHECK) for n in range(5)], LIMITS)
    assert [verdict.lane for verdict in verdicts] == [executor.sandbox.lane] * 5


def test_a_program_that_sets_attributes_does_not_share_where_its_tests_hand_it_modules(executor):
    setting = "def area(module, r):\n    module.pi = 3\n    return module.pi * r"
    right = "def area(module, r):\n    return module.pi * r"
    first = Program(setting, "import math\nassert area(math, 1) == 3")
    second = Program(right, "import math\nassert area(math, 1) > 3.1")
    assert outcomes(executor, first, second) == [Outcome.PASSED, Outcome.PASSED]


@pytest.mark.parametrize("terms", [600, 3000])
def test_tests_of_many_terms_are_judged_or_told_as_what_cannot_be_compiled(usual, terms):
    tests = f"assert {' + '.join(['1'] * terms)} + square(2) == {terms + 4}"
    try:
        compile(tests, "", "exec")
    except RecursionError:
        wanted = (Outcome.HARNESS_ERROR, Outcome.HARNESS_ERROR)
    else:
        wanted = (Outcome.PASSED, Outcome.FAILED)
    right, wrong = usual.run([Program(GOOD, tests), Program(WRONG.replace("4", "5"), tests)], LIMITS)
    assert (right.outcome, wrong.outcome) == wanted


@pytest.mark.slow
def test_slow_and_endless_programs_leave_the_shared_process_and_hold_up_nobody():
    texts = [f"{GOOD} # {n}" for n in range(6)]
    texts[1] += "\nfor i in range(10**8): pass"
    texts[4] += "\nwhile True: pass"
    verdicts = execute([Program(text, CHECK) for text in texts], Limits(timeout=1), 1)
    assert [verdict.outcome for verdict in verdicts].count(Outcome.PASSED) == 4
    assert verdicts[4].outcome is Outcome.TIMEOUT and verdicts[4].near_limit
    assert [verdict.lane for verdict in verdicts] == ["shared", "strict", "shared", "shared", "strict", "shared"]


def test_shared_verdicts_are_audited_and_the_strict_lane_counts(monkeypatch):
    programs = [Program(f"{GOOD} # {n}", CHECK) for n in range(1500)]
    verdicts = execute(programs, LIMITS, 2)
    audited = [verdict for verdict in verdicts if verdict.audit]
    assert 1 <= len(audited) <= 60  # 15 are to be expected
    assert {verdict.audit for verdict in audited} == {"same"}
    assert lanes.AUDITED == 100


def test_tests_that_cannot_be_compiled_are_a_harness_error(usual):
    verdict = usual.run([Program(GOOD, "def check(:")], LIMITS)[0]
    assert verdict.outcome is Outcome.HARNESS_ERROR and "the tests can't be compiled" in verdict.detail


def test_each_program_may_have_limits_of_its_own(usual):
    texts = ["import time; time.sleep(0.5)", "import time; time.sleep(0.5) #"]
    limits = [Limits(timeout=0.2), Limits(timeout=5)]
    verdicts = usual.run([Program(text) for text in texts], limits)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.TIMEOUT, Outcome.PASSED]
    assert [verdict.limit_seconds for verdict in verdicts] == [0.2, 5]


@pytest.mark.parametrize(
    ("without", "level"),
    [
        (("namespaces",), Level.FILTERED),
        (("namespaces", "landlock"), Level.PARTIAL),
        (("seccomp",), Level.PARTIAL),
        (("namespaces", "landlock", "seccomp"), Level.LIMITS),
    ],
)
def test_a_missing_layer_lowers_the_level_and_is_named(without, level):
    with Executor(1, Sandbox(require=Level.LIMITS), without) as executor:
        assert executor.level() == level
        assert set(executor.missing_layers()) == set(without)
        assert executor.run([Program("assert 1")], LIMITS)[0].level == level


def test_nothing_runs_below_the_required_level_and_the_error_says_why():
    before = psutil.Process().children()
    with (
        Executor(1, Sandbox(require=Level.STRONG), ("landlock",)) as executor,
        pytest.raises(UsageError, match=r"'partial' here, and 'strong' is required \(no landlock: switched off"),
    ):
        executor.run([Program("assert 1")], LIMITS)
    assert psutil.Process().children() == before


def test_a_slot_keeps_a_process_for_each_place_in_which_tests_run():
    def keepers() -> set[int]:
        return {child.pid for child in psutil.Process().children()}

    before = keepers()
    outside, inside = Program("def f(): return 1", "assert f() == 1"), Program("assert 1")
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        verdicts = [executor.run([program], LIMITS)[0] for program in (outside, inside)]
        both = keepers() - before
        verdicts += [executor.run([program], LIMITS)[0] for program in (outside, inside, outside)]
        assert len(both) == 2 and keepers() - before == both
    assert [verdict.oracle for verdict in verdicts] == [Oracle.OUTSIDE, Oracle.INSIDE] * 2 + [Oracle.OUTSIDE]
    assert {verdict.outcome for verdict in verdicts} == {Outcome.PASSED}
    assert keepers() == before


def test_a_stream_holds_few_programs_at_a_time_and_can_be_left():
    taken = 0

    def work():
        nonlocal taken
        for number in range(100_000):
            taken += 1
            yield number, Program(f"x = {number}"), LIMITS

    with Executor(1) as executor:
        stream = executor.stream(work())
        seen = {next(stream)[0] for _ in range(100)}
        stream.close()
        assert len(seen) == 100 and taken <= 300
        assert executor.run([Program("assert 1")], LIMITS)[0].outcome is Outcome.PASSED


def test_levels_are_ordered():
    assert Level.LIMITS < Level.PARTIAL < Level.FILTERED < Level.STRONG
    assert Level.STRONG >= Level.FILTERED and Level("limits") <= Level.LIMITS and max(Level) is Level.STRONG


def test_namespaces_that_can_be_made_but_not_used_are_left_out_whole(monkeypatch):
    spoil = (
        "import sys; sys.path.append(sys.argv[1])\nfrom raysweep.execution.isolation import kernel, layers\n"
        "def refuse(*a): raise OSError(1, 'uid_map: Operation not permitted')\n"
        "layers._mount = refuse\nunshare = kernel.unshare\n"
    )
    monkeypatch.setattr(slot, "_START_CODE", spoil + slot._START_CODE)
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        assert executor.level() <= Level.FILTERED
        assert "uid_map" in executor.missing_layers()["namespaces"]
        assert executor.run([Program(GOOD, CHECK)], LIMITS)[0].outcome is Outcome.PASSED


def test_a_slot_whose_box_cannot_be_mounted_anew_ends_and_another_judges_on(monkeypatch):
    """Each program has a disk of its own. tests/execution/compiled/test_machine.py tries it with g++."""
    monkeypatch.setattr(slot, "_START_CODE", NO_DISK)
    text = "open('x', 'w').close()\ndef half(a): return a // 2"
    with Executor() as executor:
        if executor.level() < Level.STRONG:
            pytest.skip("this machine mounts no disks")
        programs = [Program(f"{text} # {n}", "assert half(4) == 2", oracle=Oracle.INSIDE) for n in range(7)]
        verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * 7


PARTS = """\
PARTS_PASSED = []
def check(candidate):
    assert candidate(2) == 4
    PARTS_PASSED.append("base")
    assert candidate(3) == 9
    PARTS_PASSED.append("plus")
check(square)
"""


def test_the_parts_that_passed_are_told_also_of_a_program_that_fails(executor):
    texts = [GOOD, WRONG, "def square(x):\n    return 5", "def square(x):\n    return x * x if x < 3 else x.y"]
    forged = "PARTS_PASSED = ['base']\ndef square(x):\n    return 5"
    programs = [Program(text, PARTS) for text in (*texts, forged)]
    verdicts = executor.run([*programs, Program(GOOD, CHECK), Program(forged, CHECK)], LIMITS)
    assert [verdict.parts for verdict in verdicts] == ["base,plus", "base", "", "base", "", "", ""]
    assert [verdict.outcome for verdict in verdicts[:4]] == ["passed", "failed", "failed", "exception"]
