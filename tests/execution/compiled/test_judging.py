"""Programs in Java and C++ judged by slots, each language's in one batch; what each level holds off; what is left.

What the machine does to them, as kills and a full disk, is in a file of its own, whose tests are long.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from raysweep.errors import UsageError
from raysweep.execution import stream
from raysweep.execution.compiled.builders import OUT_OF_MEMORY, STACK_OVERFLOW
from raysweep.execution.compiled.relay import TESTS_ENDED
from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.layers import LAYERS
from raysweep.execution.oracle import oracle_of, reason_for_inside
from raysweep.execution.pool import Executor
from raysweep.programs import COMPILED, Lane, Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict
from tests.execution.compiled.forging import forging
from tests.execution.compiled.java.test_sources import ARRAY_TESTS, ARRAYS
from tests.execution.compiled.problems import references_and_mutants, rows
from tests.execution.compiled.processes import needs, needs_headers, needs_junit
from tests.execution.compiled.programs import BODIES, INCLUDES, LIMITS, TESTS, program

pytestmark = pytest.mark.slow
ANY = Sandbox(require=Level.LIMITS)
OUTSIDE, INSIDE = Oracle.OUTSIDE, Oracle.INSIDE


class Case(NamedTuple):
    """A program, the outcome that is right, and what is told of it: all, or the beginning before three dots."""

    program: Program
    outcome: str
    detail: str
    limits: Limits

    def told(self, verdict: Verdict) -> tuple[str, str]:
        """Return a verdict's outcome and detail, the latter as the case states it if it agrees."""
        start = self.detail.removesuffix("...")
        agrees = verdict.detail.startswith(start) and (start != self.detail or verdict.detail == start)
        return verdict.outcome, self.detail if agrees else verdict.detail


def case(
    language: str,
    text: str | None = None,
    outcome: str = "passed",
    detail: str | None = None,
    oracle: Oracle | None = None,
    limits: Limits = LIMITS,
    **fields: Any,
) -> Case:
    """Return a case of the program that passes, with another text or other fields. Detail: by default any, or none."""
    passing = program(language, "passed", oracle)
    detail = ("" if outcome == "passed" else "...") if detail is None else detail
    return Case(dataclasses.replace(passing, text=text or passing.text, **fields), outcome, detail, limits)


def both(language: str, text: str, outcome: str = "passed", inside: str = "", **fields: Any) -> list[Case]:
    """Return a case of tests outside and one of tests inside."""
    outcomes = {OUTSIDE: outcome, INSIDE: inside or outcome}
    return [case(language, text, of, oracle=oracle, **fields) for oracle, of in outcomes.items()]


JAVA = program("java", "passed").text
DEEP = "int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }"
OWN_MAIN = "public class Main { public static void main(String[] args) { Solution s = new Solution(); "
FULL = """\
class Solution {
    static Object[] all;
    static void fill() {
        for (int size = 1 << 22; ; size = size / 2 + 1) {
            try {
                while (true) all = new Object[] {all, new byte[size]};
            } catch (OutOfMemoryError error) {
                if (size < 3) break;
            }
        }
    }
    public int half(int a) {
        fill();
        while (a > 0) all = new Object[] {all};
        return a / 2;
    }
}
"""
"""Leaves no byte of memory for what has to be said."""
ENDS = {
    OUT_OF_MEMORY: (Outcome.MEMORY, "its tests have no memory left for its answers"),
    STACK_OVERFLOW: (Outcome.EXCEPTION, "java.lang.StackOverflowError"),
    3: TESTS_ENDED,
}
"""Exit codes of the tests' process, and what they say of the program. java/test_sources.py has tests that end so."""
TESTS_WITH_IMPORTS = """\
import java.util.*;
import static java.lang.Math.abs;

class Main {
    public static void main(String[] args) {
        List<Integer> halves = new ArrayList<>(List.of(new Solution().half(4)));
        if (abs(halves.get(0)) != 2) {
            throw new AssertionError();
        }
    }
}
"""


def solution(method: str) -> str:
    return f"public class Solution {{ {method} }}"


def hidden_in_java() -> list[Case]:
    """Each would pass if the tests behind it were no part of the text, or only the last of them."""
    text_block = '"""\n /*""" + "*/"'
    tests = TESTS["java"].replace("if (s.half(4) != 2 ||", f"if (s.half(4) != 2) throw new Error({text_block}); if (")
    whole = [f"{OWN_MAIN} }} }}\n{end}" for end in ("\x1a", "\\u001a", "/*")]
    parts = [f"{OWN_MAIN}{start}" for start in ("/*", 'Object o = """\n')]
    outside_of_it = "javac refused it, for a reason that lies outside of its own text"
    return [
        case(
            "java", f"{JAVA.replace('a / 2', '3')}\n{end}", "compile_error", outside_of_it if at < 2 else None, INSIDE,
            tests=tests,
        )
        for at, end in enumerate((*whole, *parts))
    ]  # fmt: skip


def java_cases() -> dict[str, list[Case]]:
    """Return the cases in Java, by what they are about."""
    java = functools.partial(case, "java")
    own = JAVA.replace("return", "if (a > 4) throw new Own(); return") + "class Own extends AssertionError { }\n"
    deep = JAVA.replace("{\n", f"{{\n{DEEP}\n", 1).replace("return a", "return deep(40_000) - 40_000 + a")
    temporary = 'try { java.nio.file.Files.createTempFile("a", "b"); } catch (java.io.IOException e) { return 0; }'
    nested = f"Object deep = {'new Object[]{' * 20_000}{'}' * 20_000};\n"
    doubled = "".join(f"static final String S{n} = S{n - 1} + S{n - 1};\n" for n in range(1, 20))
    end = "s.half(1); Runtime.getRuntime().halt({}); if (s"
    return {
        "names of classes that no folder holds": [
            java(f"{JAVA}class {'C' * 200} {{ }}"),
            java(JAVA.replace("{\n", '{\nstatic { System.err.println("of the one before"); }\n', 1)),
            java(f"{JAVA}class {'C' * 250} {{ }}", "compile_error"),
            java(f"{JAVA}// behind them"),
        ],
        "a text that hides the tests behind it": hidden_in_java(),
        "methods of the declared types and errors": [
            *both("java", solution("public short half(int a) { return (short) (a / 2); }")),
            *both("java", solution("public double half(int a) { return a / 2; }"), "compile_error", "passed"),
            java(
                solution("public Object half(int a) { return a / 2; }"), "compile_error",
                "where it is called: incompatible types: java.lang.Object cannot be converted to int", OUTSIDE,
            ),
            java(solution("public Object half(int a) { return a / 2; }"), "compile_error", None, INSIDE),
            *both("java", solution("public int half(int a) throws Exception { return a / 2; }"), "compile_error"),
            *both(
                "java", solution("public Solution() throws Exception { } public int half(int a) { return a / 2; }"),
                "compile_error",
            ),
            *both("java", solution("public int half(int a) { return a / 2; } } public interface Other {")),
        ],
        "the stack of a program in C++": both("java", deep),
        "assertion errors of its own": both("java", own, "failed", detail="Own"),
        "no memory left to say so": both(
            "java", FULL, "memory", limits=dataclasses.replace(LIMITS, memory_mib=384, timeout=20)
        ),
        "as many cores on every machine": [  # with 128, a parallel stream would have more threads than a program may
            java(JAVA.replace("a / 2", "Runtime.getRuntime().availableProcessors() == 4 ? a / 2 : -1"))
        ],
        "tests that end for want of memory or stack": [
            java(None, *told, OUTSIDE, tests=TESTS["java"].replace("if (s", end.format(code)))
            for code, told in ENDS.items()
        ],
        "classes that no plain name names": [
            java(
                f"class Solution {{ public int half(int a) {{ return new {name}().half(a); }} }}\n"
                f"class {name} {{ int half(int a) {{ return a / 2; }} }}\n"
            )
            for name in ("TheClassThatHalves" * 6, "\u20ac", "\u65e5" * 70)
        ],
        "tests that import and whose class isn't public": [
            case("java", program("java", outcome).text, outcome, oracle=oracle, tests=TESTS_WITH_IMPORTS)
            for outcome in ("passed", "failed")
            for oracle in Oracle
        ],
        "tests without a class that runs them": [
            java(
                None, "harness_error", "ValueError: its tests define no class Main, whose method `main` runs them",
                tests="class Test {}",
            )
        ],
        "a class Main, and files for a while": [
            java("class Main {}\nclass Solution { public int half(int a) { return a / 2; } }\n"),
            java("@interface SuppressWarnings {}\nclass Solution { public int half(int a) { return a / 2; } }\n"),
            java(f"class Solution {{ public int half(int a) {{ {temporary} return a / 2; }} }}\n"),
        ],
        "what no compiler can compile": [
            java(JAVA.replace("{\n", f"{{\n{nested}", 1), "compile_error", "it is nested too deeply"),
            java(f"{JAVA}// behind what has no compiler"),
        ],
        "a compiler that has no memory or no room": [
            java(
                JAVA.replace("{\n", f'{{\nstatic final String S0 = "{"x" * 60_000}";\n{doubled}', 1),
                "compile_error", "its compiler ended, for want of memory",
            ),
            java(JAVA + "".join(f"class C{number} {{ }}\n" for number in range(5000)), "compile_error"),
            java(f"{JAVA}// behind what has no memory"),
        ],
    }  # fmt: skip


def hidden_in_cpp() -> list[Case]:
    """Its `main` begins in its own text and ends in the tests' one, behind all but the last of them."""
    last = 'std::string end = /* */ ")"; assert(half(7) == 3)'
    tests = f"#include <string>\n{TESTS['cpp'].replace('assert(half(7) == 3)', last)}"
    starts = 'std::string all = R"(', "std::string all = /*"
    texts = [f"#include <cassert>\n{INCLUDES}int half(int a) {{ return 3; }}\nint main() {{ {one}" for one in starts]
    return [case("cpp", text, "compile_error", OUTSIDE_OF_IT, INSIDE, tests=tests) for text in texts]


OUTSIDE_OF_IT = "g++ refused it, for a reason that lies outside of its own text"
_KILLED = "g++: fatal error: Killed signal terminated program cc1plus\\ncompilation terminated."
REFUSED = {
    "int more[5 << 20] = {1};\n": "a file that g++ writes for it has more than 16 MiB",
    "#error File too large\n": "line 1: #error File too large",
    f'#pragma message "x\\n{_KILLED}"\nstatic_assert(false, "x\\n{_KILLED}");\n': (
        "line 2: static assertion failed: x"
    ),
    '#line 1 "g++"\n#include "Killed signal terminated program x"\n': OUTSIDE_OF_IT,
    '#line 1 "g++"\n#include "ld terminated with signal 9 x"\n': OUTSIDE_OF_IT,
}
"""Texts in front of a function, and what is said of them."""
MUCH = 'for (int i = 0; i < 999; i++) cerr << "Assertion `no\' failed" << i << endl;'
ENDED = "#include <cassert>\n#include <iostream>\n#include <stdexcept>\nusing namespace std;\n"
ENDED += f"int half(int a) noexcept {{{{ {MUCH} {{}} return a / 2; }}}}\n"
NAMED = [("abs", "int a", "3"), ("div", "int a, int b", "3, 4"), ("log", "double a", "2.0"), ("abs", "double a", "2.0")]
NAMED += [("remove", "int a", "3"), ("read", "int a", "3"), ("EOF", "int a", "3")]
"""Functions that are called like those of the C library: name, parameters and arguments."""


def named(oracle: Oracle, functions: list[tuple[str, str, str]]) -> list[Case]:
    texts = [(f"int {name}({taken}) {{", f"{name}({given}) == 7") for name, taken, given in functions]
    return [
        case(
            "cpp", f"{heading} return 7; }}", oracle=oracle, declaration=f"{heading}\n",
            tests=f"#include <cassert>\nint main() {{ assert({asserted}); }}\n",
        )
        for heading, asserted in texts
    ]  # fmt: skip


def maps(oracle: Oracle) -> Case:
    """A program that doesn't use the namespace std, which its declaration does."""
    text = (
        "#include <map>\n#include <string>\n#include <vector>\n"
        "std::map<std::string, int> sizes(std::vector<std::string> all) {\n"
        "    std::map<std::string, int> found;\n    for (auto& one : all) found[one] = one.size();\n"
        "    return found;\n}\n"
    )
    declaration = "#include <map>\n#include <vector>\nusing namespace std;\ntypedef map<string, int> Sizes;\n"
    declaration += "Sizes sizes(vector<string> all) {\n"
    tests = '#include <cassert>\nint main() { assert(sizes({"a", "bc"})["bc"] == 2); }\n'
    return case("cpp", text, oracle=oracle, tests=tests, declaration=declaration)


def cpp_cases() -> dict[str, list[Case]]:
    """Return the cases in C++, by what they are about."""
    cpp = functools.partial(case, "cpp")
    passing = program("cpp", "passed").text
    clash = "#include <cassert>\n{}\nint half(int a) {{ {} }}\n"
    late = "#include <cmath>\nusing namespace std;\nint half(int a) {{ {} }}"
    tested = "#include <cassert>\nint main() {{ assert({} && half(4) == 2); }}"
    static = "{} char all[1300000000];\nint half(int a) {{ all[a] = 1; return a / 2; }}\n"
    return {
        "a text that hides some of the tests behind it": hidden_in_cpp(),
        "what ends it stands behind all else that it wrote": [
            cpp(ENDED.format("assert(a < 0);"), "failed", "Assertion `a < 0' failed"),
            cpp(ENDED.format('throw std::logic_error("odd");'), "exception", "std::logic_error: odd"),
        ],
        "names that are those of a header": [
            cpp(clash.format("using namespace std;\nint map[9];", "map[0] = a / 2; return map[0];")),
            cpp(clash.format("int y1, gamma;", "y1 = a / 2; return y1;")),
            cpp(clash.format("int read, write;", "write = a / 2; return read + write;")),
        ],
        "functions called like those of the C library": named(OUTSIDE, NAMED[:1] + NAMED[-1:]) + named(INSIDE, NAMED),
        "more functions called like those of the C library": named(OUTSIDE, NAMED[1:-1]),
        "headers that only the second compilation has": [
            cpp(late.format("cerr << a; return a / 2;")),
            cpp(late.format("return beta(1.0, 1.0) * a / 2;")),
        ],
        "tests have the headers that programs have": [
            cpp(None, oracle=OUTSIDE, tests=tested.format("signbit(-INFINITY)")),
            cpp(
                None, "harness_error",
                "ValueError: its tests can't be compiled: line 2: 'nowhere' was not declared in this scope",
                OUTSIDE, tests=tested.format("nowhere(1)"),
            ),
        ],
        "the machine's locale, and short macros": [
            *both("cpp", '#include <locale>\nint half(int a) { std::locale::global(std::locale("")); return a / 2; }'),
            *both("cpp", "#define a0 7\nint half(int a) { return a / 2; }"),
        ],
        "a backslash at the end": both("cpp", "int half(int a) { return a / 2; } // C:\\"),
        "the namespace std need not be used": [maps(oracle) for oracle in Oracle],
        "static variables beyond the limit of memory": [
            cpp(static.format(kind), "memory", "its static variables take 1,240 MiB, and it may have 1,024")
            for kind in ("static", "thread_local")
        ],
        "what no compiler can compile": [
            *(cpp(text + passing, "compile_error", reason) for text, reason in REFUSED.items()),
            cpp(f"{passing}// behind what has no compiler"),
        ],
    }  # fmt: skip


ERRORS = {"java": "line 3: incompatible types...", "cpp": "line 6: invalid conversion..."}
"""What is told of the programs that don't compile."""


def ends(language: str) -> list[Case]:
    """Return a language's programs by how they end, those with tests outside first."""
    return [
        Case(program(language, one, oracle), one, ERRORS[language] if one == "compile_error" else "...", LIMITS)
        for oracle in Oracle
        for one in BODIES[language]
    ]


def forged(language: str) -> list[Case]:
    return [Case(one, outcome, "...", LIMITS) for one, outcome in forging(language).values()]


FORGING = "tests that a program would make pass"
CASES = {
    "java": {"all ends": ends("java"), FORGING: forged("java"), **java_cases()},
    "cpp": {"all ends": ends("cpp"), FORGING: forged("cpp"), **cpp_cases()},
}
LATER = {"more functions called like those of the C library", "a compiler that has no memory or no room"}
"""What only `make test-long` runs; other entries have some of these functions, and texts that no compiler compiles."""


def _named() -> Iterator[object]:
    for language, all_cases in CASES.items():
        for what in all_cases:
            marks = [pytest.mark.long] if what in LATER else []
            yield pytest.param(language, what, id=f"{language}, {what}", marks=marks)


@pytest.fixture(params=COMPILED)
def language(request: pytest.FixtureRequest) -> str:
    needs(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(sandbox=ANY) as executor:
        yield executor


Judged = Callable[[str, str], list[Verdict]]


@pytest.fixture(scope="module")
def judged(executor: Executor) -> Judged:
    """Return a function for the verdicts of one entry of the table; the table of a language is judged in one go."""

    @functools.cache
    def verdicts(language: str, is_long: bool) -> dict[str, list[Verdict]]:
        chosen = {what: cases for what, cases in CASES[language].items() if (what in LATER) is is_long}
        cases = [one for of in chosen.values() for one in of]
        found = iter(executor.run([one.program for one in cases], [one.limits for one in cases]))
        return {what: [next(found) for _ in of] for what, of in chosen.items()}

    def of(language: str, what: str) -> list[Verdict]:
        needs(language)
        return verdicts(language, what in LATER)[what]

    return of


@pytest.mark.parametrize(("language", "what"), _named())
def test_each_program_gets_its_verdict(language, what, judged):
    cases, verdicts = CASES[language][what], judged(language, what)
    told = [one.told(verdict) for one, verdict in zip(cases, verdicts, strict=True)]
    assert told == [(one.outcome, one.detail) for one in cases]
    wanted = [(one.program.oracle or oracle_of(one.program), Lane.STRICT) for one in cases]
    assert [(verdict.oracle, verdict.lane) for verdict in verdicts] == wanted
    assert what != "all ends" or all(verdict.seconds < 5 for verdict in verdicts)


def test_what_a_compiler_or_a_program_wrote_is_kept_and_not_told_of_the_next_one(judged):
    assert all(
        verdict.stderr.startswith("Assertion `no' failed0\n")
        for verdict in judged("cpp", "what ends it stands behind all else that it wrote")
    )
    _, loud, then, _ = judged("java", "names of classes that no folder holds")
    assert "of the one before" in loud.stderr and "of the one before" not in then.stderr


SAMPLE = (38, 95, 137)  # problems of HumanEval-X: with a helper function, of a mapping, of a type of boost


def test_references_and_mutants_have_the_same_verdicts_outside_and_inside(language, executor):
    """test_oracles.py has all problems."""
    if language == "cpp":
        needs_headers()
    programs = references_and_mutants([rows(language)[number] for number in SAMPLE], language, 1, len(SAMPLE))
    outside, inside = (
        executor.run([dataclasses.replace(one, oracle=oracle) for one in programs], LIMITS) for oracle in Oracle
    )
    outcomes = [verdict.outcome for verdict in outside]
    assert outcomes[: len(SAMPLE)] == [Outcome.PASSED] * len(SAMPLE) and Outcome.FAILED in outcomes
    assert [verdict.outcome for verdict in inside] == outcomes


def test_junits_tests_see_arrays_that_a_candidate_changed_in_place(executor):
    needs_junit()
    changes = {
        "": Outcome.PASSED,
        "Arrays.sort(a); return a;": Outcome.FAILED,
        'names[0] = "first"; ': Outcome.FAILED,
        "shares[1] = shares[0]; ": Outcome.FAILED,
        "lists.get(0)[0] = (int) n; ": Outcome.FAILED,
    }
    texts = [ARRAYS.replace(old, "return a.clone();" if "sort" in old else "") if old else ARRAYS for old in changes]
    outside = [Program(text, ARRAY_TESTS, "java", declaration=ARRAYS) for text in texts]
    verdicts = executor.run([*outside, *(Program(text, ARRAY_TESTS, "java") for text in texts)], Limits())
    assert [verdict.outcome for verdict in verdicts] == [*changes.values()] * 2
    assert [verdict.oracle for verdict in verdicts] == [OUTSIDE] * 5 + [INSIDE] * 5


JUNIT = """\
// JUnit 4: T
// file: T.java
import org.junit.Test;
import static org.junit.Assert.*;
public class T { @Test public void adds() { assertEquals(3, A.f(1)); } }
"""


def test_a_program_in_java_may_be_called_anything_in_any_comment(executor):
    """Its tests are JUnit's, and inside, where each has a file of its own."""
    needs_junit()
    own = "public class A { public static int f(int x) { return 3; } }"
    starts = ["", "/*\npublic class is nice\n*/ ", "/*\npublic class \u00dcber\n*/ ", "public class \u00c4 { } "]
    texts = [*(f"{start}{own}" for start in starts), own.replace("A {", f"A{'a' * 70_000} {{"), own]
    verdicts = executor.run([Program(text, JUNIT, "java", INSIDE) for text in texts], LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["passed"] * 4 + ["compile_error", "passed"]


def test_verdicts_do_not_depend_on_order_or_batch(language, executor, judged, monkeypatch):
    """Programs one by one, the last ones first and inside and outside mixed, beside all together in their order."""
    endings = ("compile_error", OUTSIDE), ("failed", INSIDE), ("exception", OUTSIDE)
    monkeypatch.setitem(stream.BATCH_SIZES, Lane.STRICT, (1, 1))
    back = executor.run([program(language, *ending) for ending in endings], LIMITS)
    in_order = dict(zip(((one, oracle) for oracle in Oracle for one in BODIES[language]), judged(language, "all ends")))
    assert _told(back) == _told([in_order[ending] for ending in endings])
    assert [(verdict.outcome, verdict.oracle) for verdict in back] == list(endings)
    assert back[1].stderr


@pytest.mark.long
def test_verdicts_do_not_depend_on_slot_order_batch_or_load(language, monkeypatch):
    """In small: test_verdicts_do_not_depend_on_order_or_batch."""
    endings = [(name, oracle) for name in BODIES[language] if name != "memory" for oracle in Oracle]
    programs = [program(language, *ending) for ending in endings]
    found = []
    for slots, sizes, seed in [(1, (1, 8), 0), (1, (1, 1), 1), (2, (1, 8), 2), (2, (8, 8), 3)]:
        monkeypatch.setitem(stream.BATCH_SIZES, Lane.STRICT, sizes)
        order = random.Random(seed).sample(range(len(programs)), len(programs))
        with Executor(slots, ANY) as executor, _load(2 if slots == 2 else 0):
            verdicts = executor.run([programs[at] for at in order], LIMITS)
        by_place = dict(zip(order, verdicts, strict=True))
        found.append(_told([by_place[at] for at in range(len(programs))]))
    assert found[1:] == found[:1] * 3
    assert [(outcome, oracle) for outcome, _, _, oracle, _ in found[0]] == endings


def _told(verdicts: list[Verdict]) -> list[tuple[str, ...]]:
    """Return what verdicts say, without times."""
    return [(v.outcome, v.detail, v.stderr, v.oracle, v.lane) for v in verdicts]


@contextmanager
def _load(processes: int) -> Iterator[None]:
    """Keep cores busy for the length of the block, and no longer where this process is killed."""
    code = f"import ctypes\nctypes.CDLL(None).prctl({kernel.PR_SET_PDEATHSIG}, {signal.SIGKILL:d})\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_tests_that_call_what_is_declared_run_outside(language):
    of = program(language, "passed")
    assert oracle_of(of) is OUTSIDE
    without = Program(of.text, of.tests, language)
    assert oracle_of(without) is INSIDE and "declaration" in reason_for_inside(without)


@pytest.mark.parametrize("language", [pytest.param("java", marks=pytest.mark.long), "cpp"])
def test_a_slot_whose_processes_are_killed_judges_again_and_at_the_end_nothing_is_left(language):
    """C++ in `make test`, where a slot starts sooner."""
    needs(language)
    with Executor(sandbox=ANY) as executor:
        executor.run([program(language, "passed")], LIMITS)
        for process in _below(executor)[1]:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        verdicts = executor.run([program(language, name) for name in ("failed", "passed")], LIMITS)
        folder, below = _below(executor)
        assert below and folder.is_dir()
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAILED, Outcome.PASSED]
    assert not folder.exists()
    assert psutil.wait_procs(below, 20)[1] == []


def _below(executor: Executor) -> tuple[Path, list[psutil.Process]]:
    """Return the folder of an executor's slot, and the processes below its keeper."""
    ((pid, folder),) = executor._slots[0].running
    return Path(folder), psutil.Process(pid).children(recursive=True)


TRIED = {
    "java": {
        "landlock": 'try { new java.io.FileInputStream("@SECRET@"); return -1; } catch (java.io.IOException e) { }'
        'try { new java.io.FileOutputStream("@SECRET@.new"); return -1; } catch (java.io.IOException e) { }'
        'try { new ProcessBuilder("@SECRET@").start(); return -1; } catch (java.io.IOException e) { }',
        "seccomp": 'try { new ProcessBuilder("/bin/true").start(); return -1; } catch (java.io.IOException e) { }',
    },
    "cpp": {
        "landlock": 'if (fopen("@SECRET@", "r") != nullptr || fopen("@SECRET@.new", "w") != nullptr) return -1;'
        'if (execl("@SECRET@", "x", nullptr) == 0 || execl("/bin/true", "true", nullptr) == 0) return -1;',
        "seccomp": "if (socket(2, 1, 0) >= 0 || fork() >= 0) return -1;",
    },
}
"""What each layer refuses, whatever the others do."""
LOOKS = """\
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <unistd.h>
static bool opens(const std::string& path) {
    int file = open(path.c_str(), O_RDONLY);
    if (file >= 0) close(file);
    return file >= 0;
}
static int parent(int pid) {
    char line[512] = {};
    FILE* file = fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
    if (file == nullptr) return 0;
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    int found = 0;
    return size > 0 && sscanf(strrchr(line, ')'), ") %*c %d", &found) == 1 ? found : 0;
}
static bool is_below(int pid, int keeper) {
    while (pid > 1 && pid != keeper) pid = parent(pid);
    return pid == keeper;
}
int half(int a) {
    int found = 0, opened = 0, keeper = parent(getppid());
    DIR* all = opendir("/proc");
    while (dirent* one = readdir(all)) {
        std::string folder = std::string("/proc/") + one->d_name;
        char command[6] = {};
        FILE* file = fopen((folder + "/cmdline").c_str(), "r");
        if (file == nullptr) continue;
        size_t size = fread(command, 1, sizeof command, file);
        fclose(file);
        if (size != 6 || memcmp(command, "tests", 6) != 0 || !is_below(atoi(one->d_name), keeper)) continue;
        found++;
        opened += opens(folder + "/mem") || opens(folder + "/exe") || opens(folder + "/fd/3");
    }
    closedir(all);
    return found > 0 && opened == 0 && opens("/proc/self/mem") ? a / 2 : -1;
}
"""
"""Looks for the tests' process, and passes if it can't read its memory, its executable or its files."""
UNSHOWN = "g++ refused it, and why isn't shown: without Landlock the reason may have words of other files"


class Held(NamedTuple):
    """What programs met at a level: verdicts by what they try, those on texts with an error, and missing layers."""

    verdicts: dict[str, Verdict]
    errors: list[Verdict]
    missing: dict[str, str]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Held]:
    """Return a function that judges, without some layers, programs that try what the others hold off."""
    folder = tmp_path_factory.mktemp("outside")
    secret, words = folder / "secret", folder / "words"
    secret.write_text("#!/bin/sh\n")
    secret.chmod(0o755)
    words.write_text("a_secret of somebody\n")

    @functools.cache
    def held(without: tuple[str, ...], languages: tuple[str, ...]) -> Held:
        needs(*languages)
        programs = {}
        for language in languages:
            layers = () if language == "java" and "landlock" in without else ("landlock", "seccomp")
            tried = "".join(TRIED[language][one] for one in layers if one not in without)
            of = program(language, "passed")
            text = of.text.replace("return", f"{tried.replace('@SECRET@', str(secret))} return")
            programs[language] = dataclasses.replace(of, text=text)
        errors = []
        if "landlock" in without:
            of = program("cpp", "passed", OUTSIDE)
            programs["memory of its tests"] = dataclasses.replace(of, text=LOOKS)
            texts = [f'{of.text}int more = (1\n#include "{words}"\n;', of.text.replace("return", "retrun")]
            errors = [dataclasses.replace(of, text=text, oracle=oracle) for text in texts for oracle in Oracle]
        with Executor(sandbox=ANY) as whole:
            if whole.level() < Level.FILTERED:
                pytest.skip("this machine has not all layers")
        with Executor(sandbox=ANY, without=without) as executor:
            verdicts = executor.run([*programs.values(), *errors][:1], LIMITS)
            missing = executor.missing_layers()  # for programs in Java, if there are any
            verdicts += executor.run([*programs.values(), *errors][1:], LIMITS)
            return Held(dict(zip(programs, verdicts)), verdicts[len(programs) :], missing)

    return held


@pytest.mark.parametrize(
    ("without", "levels"),
    [
        pytest.param(("namespaces",), {"java": Level.FILTERED, "cpp": Level.FILTERED}, marks=pytest.mark.long),
        pytest.param(("namespaces", "seccomp"), {"java": Level.PARTIAL, "cpp": Level.PARTIAL}, marks=pytest.mark.long),
        (("namespaces", "landlock"), {"java": Level.LIMITS, "cpp": Level.PARTIAL}),
    ],
)
def test_each_layer_can_be_left_out_and_seccomp_alone_does_not_count_for_a_jvm(without, levels, held):
    found = held(without, COMPILED)
    for language, level in levels.items():
        assert (found.verdicts[language].outcome, found.verdicts[language].level) == (Outcome.PASSED, level)
    if levels["java"] is Level.LIMITS:
        assert found.missing["seccomp"] == "without Landlock it can't tell a JVM's first execve from a later one"


@pytest.mark.parametrize(
    ("without", "languages"),
    [(("namespaces", "landlock"), COMPILED), pytest.param(LAYERS, ("cpp",), marks=pytest.mark.long)],
    ids=["seccomp alone", "limits alone"],
)
def test_gxx_shows_no_word_of_a_file_that_it_could_read(without, languages, held):
    """At a place in the text it names the first word of the file behind it."""
    errors = held(without, languages).errors
    assert [(verdict.outcome, verdict.detail) for verdict in errors] == [(Outcome.COMPILE_ERROR, UNSHOWN)] * 4


def test_seccomp_alone_shows_no_program_the_memory_of_its_tests(held):
    verdict = held(("namespaces", "landlock"), COMPILED).verdicts["memory of its tests"]
    assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


@pytest.mark.long
def test_java_without_landlock_is_refused_with_its_reason_and_cpp_is_not():
    """In small: test_each_layer_can_be_left_out_and_seccomp_alone_does_not_count_for_a_jvm."""
    needs(*COMPILED)
    with Executor(without=("namespaces", "landlock")) as executor:
        if executor.level() < Level.PARTIAL:
            pytest.skip("this machine has no seccomp")
        with pytest.raises(
            UsageError, match="seccomp: without Landlock it can't tell a JVM's first execve from a later"
        ):
            executor.run([program("java", "passed")], LIMITS)
        (verdict,) = executor.run([program("cpp", "passed")], LIMITS)
    assert (verdict.outcome, verdict.level) == (Outcome.PASSED, Level.PARTIAL)


def test_what_nothing_could_judge_is_refused():
    with Executor() as executor:
        with pytest.raises(UsageError, match="a program in java has no tests"):
            executor.run([Program("class Solution { }", "", "java")], LIMITS)
        with pytest.raises(UsageError, match="memory_mib is 128; a JVM alone needs"):
            executor.run([program("java", "passed")], Limits(memory_mib=128))


@pytest.mark.long
@pytest.mark.parametrize("oracle", Oracle)
def test_a_program_with_all_headers_of_the_library_gets_the_verdict_of_one_with_few(oracle):
    """The first one has few: for the second one, the slot's process starts again with all of them precompiled."""
    needs("cpp")
    all_headers = "#include <bits/stdc++.h>\nusing namespace std;\n"
    texts = {
        "passed": all_headers + "int half(int a) { assert(vector<int>{a}[0] == a); return a / 2; }",
        "failed": all_headers + "int half(int a) { return a; }",
        "compile_error": all_headers + "int half(int a) {\n    return nowhere(a);\n}",
    }
    linked = all_headers + "int half(int a) { return int(beta(1.0, 1.0)) * a / 2; }"
    switched_off = f"#define NDEBUG\n{all_headers}int half(int a) {{ assert(a < 0); return a / 2; }}"
    programs = [program("cpp", "passed", oracle)]
    for text in (*texts.values(), linked, switched_off):
        programs.append(dataclasses.replace(programs[0], text=text, declaration=f"{all_headers}int half(int a) {{\n"))
    with Executor() as executor:
        verdicts = executor.run(programs[:1], LIMITS) + executor.run(programs[1:], LIMITS)
    assert [verdict.outcome for verdict in verdicts] == ["passed", *texts, "passed", "passed"]
    assert verdicts[3].detail == "line 4: 'nowhere' was not declared in this scope"


@pytest.mark.parametrize(("standard", "check"), [("c++11", "== 201103L"), ("c++23", "> 202002L")])
def test_programs_in_cpp_are_of_the_standard_and_as_optimised_as_is_asked_for(standard, check):
    needs("cpp")
    must = f"#if !defined(__OPTIMIZE__) || !(__cplusplus {check})\n#error\n#endif\n"
    text = must + program("cpp", "passed").text
    asked = [dataclasses.replace(program("cpp", "passed", oracle), text=text) for oracle in Oracle]
    with Executor(sandbox=Sandbox(Lane.STRICT, Level.LIMITS, cpp_standard=standard, cpp_optimise=2)) as executor:
        assert [verdict.outcome for verdict in executor.run(asked, LIMITS)] == ["passed", "passed"]
