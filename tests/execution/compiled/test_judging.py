"""Programs in Java and C++ judged by a slot: outcomes, levels, and what is left behind."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from raysweep.errors import UsageError
from raysweep.execution import slot, stream
from raysweep.execution.compiled.builders import OUT_OF_MEMORY, STACK_OVERFLOW
from raysweep.execution.compiled.java.junit import missing_jars
from raysweep.execution.compiled.relay import TESTS_ENDED
from raysweep.execution.isolation import kernel
from raysweep.execution.isolation.layers import LAYERS
from raysweep.execution.oracle import oracle_of, reason_for_inside
from raysweep.execution.pool import Executor
from raysweep.programs import (
    COMPILED,
    CPP,
    PYTHON,
    Lane,
    Level,
    Limits,
    Oracle,
    Outcome,
    Program,
    Sandbox,
    Verdict,
)
from tests.execution.compiled.processes import needs
from tests.execution.scarce import few_processes
from tests.patience import eventually

pytestmark = pytest.mark.slow
LIMITS = Limits(timeout=5)
DECLARATIONS = {"java": "class Solution {\n    public int half(int a) {\n", "cpp": "int half(int a) {\n"}
BODIES = {
    "java": {
        "passed": "return a / 2;",
        "failed": "return a;",
        "exception": "int none = 0; return a / none;",
        "compile_error": 'return "half";',
        "killed": "System.exit(0); return a / 2;",
        "memory": "int[][] all = new int[1 << 20][]; for (int i = 0; ; i++) all[i] = new int[1 << 20];",
    },
    "cpp": {
        "passed": "return a / 2;",
        "failed": "return a;",
        "exception": 'throw std::string("half").substr(9);',
        "compile_error": 'return "half";',
        "killed": "exit(0);",
        "memory": "std::vector<long> all; for (;;) all.resize(2 * all.size() + 1);",
    },
}
TESTS = {
    "java": """\
public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        if (s.half(4) != 2 || s.half(7) != 3) {
            throw new AssertionError();
        }
    }
}
""",
    "cpp": "#include <cassert>\nint main() {\n    assert(half(4) == 2);\n    assert(half(7) == 3);\n}\n",
}
ENDLESS = {
    "java": "class Solution {\n    public int half(int a) {\n        while (true) a++;\n    }\n}\n",
    "cpp": "int half(int a) {\n    for (volatile int b = a;; b = b + 1) {}\n}\n",
}
INCLUDES = "".join(f"#include <{one}>\n" for one in ("sys/socket.h", "unistd.h", "string", "vector"))
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
ODD_NAMES = {
    "java": [
        f"class Solution {{ public int half(int a) {{ return new {name}().half(a); }} }}\n"
        f"class {name} {{ int half(int a) {{ return a / 2; }} }}\n"
        for name in ("TheClassThatHalves" * 6, "\u20ac", "\u65e5" * 70)
    ],
    "cpp": [
        "#include <cassert>\nusing namespace std;\nint map[9];\nint half(int a) { map[0] = a / 2; return map[0]; }\n",
        "#include <cassert>\nint y1, gamma;\nint half(int a) { y1 = a / 2; return y1; }\n",
        "#include <cassert>\nint read, write;\nint half(int a) { write = a / 2; return read + write; }\n",
    ],
}
"""Programs that don't include what the compiler has for all, or whose classes no plain name names."""


def program(language: str, outcome: str, oracle: Oracle | None = None) -> Program:
    """Return a program that ends in a way."""
    body = BODIES[language][outcome]
    if language == "java":
        text = f"class Solution {{\n    public int half(int a) {{\n        {body}\n    }}\n}}\n"
    else:
        text = f"{INCLUDES}int half(int a) {{\n    {body}\n}}\n"
    return Program(text, TESTS[language], language, oracle, DECLARATIONS[language])


@pytest.fixture(params=COMPILED)
def language(request: pytest.FixtureRequest) -> str:
    needs(request.param)
    return str(request.param)


@pytest.fixture(params=[pytest.param("java", marks=pytest.mark.long), "cpp"])
def one_language(request: pytest.FixtureRequest) -> str:
    """C++ in `make test`, where a slot starts sooner."""
    needs(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        yield executor


@pytest.fixture(scope="module")
def judged(executor: Executor) -> Callable[[str, Oracle], dict[str, Verdict]]:
    """Return the verdicts on a language's programs, judged together in their order, by the outcome that is expected."""

    @functools.cache
    def verdicts(language: str, oracle: Oracle) -> dict[str, Verdict]:
        found = executor.run([program(language, outcome, oracle) for outcome in BODIES[language]], LIMITS)
        return dict(zip(BODIES[language], found, strict=True))

    return verdicts


@pytest.mark.parametrize("oracle", Oracle)
def test_programs_end_as_they_should_wherever_their_tests_run(language, oracle, judged):
    verdicts = judged(language, oracle)
    assert {outcome: str(verdict.outcome) for outcome, verdict in verdicts.items()} == {o: o for o in BODIES[language]}
    assert {(verdict.oracle, verdict.lane) for verdict in verdicts.values()} == {(oracle, Lane.STRICT)}
    assert all(verdict.seconds < 5 for verdict in verdicts.values())


def test_an_error_of_the_compiler_is_told_with_its_line(language, executor):
    (verdict,) = executor.run([program(language, "compile_error")], LIMITS)
    assert verdict.detail.startswith(
        {"java": "line 3: incompatible types", "cpp": "line 6: invalid conversion"}[language]
    )


def test_classes_that_no_folder_holds_are_an_error_of_the_compiler(executor):
    needs("java")
    passing = program("java", "passed")
    many = "".join(f"class C{number} {{ }}\n" for number in range(5000))
    texts = [f"{passing.text}{more}" for more in (f"class {'C' * 200} {{ }}", f"class {'C' * 250} {{ }}", many)]
    verdicts = executor.run([dataclasses.replace(passing, text=text) for text in (*texts, passing.text)], LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["passed", "compile_error", "compile_error", "passed"]
    loud = passing.text.replace("{\n", '{\nstatic { System.err.println("of the one before"); }\n', 1)
    first, then = executor.run([dataclasses.replace(passing, text=text) for text in (loud, texts[1])], LIMITS)
    assert "of the one before" in first.stderr and "of the one before" not in then.stderr


def both(language: str, texts: Iterable[str]) -> list[Program]:
    """Return programs with other texts, each with its tests outside and then inside."""
    return [dataclasses.replace(program(language, "passed", oracle), text=text) for text in texts for oracle in Oracle]


OWN_MAIN = "public class Main { public static void main(String[] args) { Solution s = new Solution(); "


def test_a_text_in_java_that_hides_the_tests_behind_it_does_not_compile(executor):
    """Each would pass if the tests behind it were no part of the text, or only the last of them."""
    needs("java")
    wrong = program("java", "passed", Oracle.INSIDE)
    wrong = dataclasses.replace(wrong, text=wrong.text.replace("a / 2", "3"))
    text_block = '"""\n /*""" + "*/"'
    tests = TESTS["java"].replace("if (s.half(4) != 2 ||", f"if (s.half(4) != 2) throw new Error({text_block}); if (")
    whole = [f"{OWN_MAIN} }} }}\n{end}" for end in ("\x1a", "\\u001a", "/*")]
    parts = [f"{OWN_MAIN}{start}" for start in ("/*", 'Object o = """\n')]
    texts = [f"{wrong.text}\n{end}" for end in (*whole, *parts)]
    verdicts = executor.run([dataclasses.replace(wrong, text=text, tests=tests) for text in texts], LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["compile_error"] * len(texts)
    assert {verdict.detail for verdict in verdicts[:2]} == {
        "javac refused it, for a reason that lies outside of its own text"
    }


def test_a_text_in_cpp_that_hides_some_of_the_tests_behind_it_does_not_compile(executor):
    """Its `main` begins in its own text and ends in the tests' one, behind all but the last of them."""
    needs("cpp")
    last = 'std::string end = /* */ ")"; assert(half(7) == 3)'
    tests = f"#include <string>\n{TESTS['cpp'].replace('assert(half(7) == 3)', last)}"
    starts = 'std::string all = R"(', "std::string all = /*"
    texts = [f"#include <cassert>\n{INCLUDES}int half(int a) {{ return 3; }}\nint main() {{ {one}" for one in starts]
    wrong = program("cpp", "passed", Oracle.INSIDE)
    verdicts = executor.run([dataclasses.replace(wrong, text=text, tests=tests) for text in texts], LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["compile_error"] * 2
    assert {verdict.detail for verdict in verdicts} == {
        "g++ refused it, for a reason that lies outside of its own text"
    }


METHODS = {
    "public short half(int a) { return (short) (a / 2); }": ("passed", "passed"),
    "public double half(int a) { return a / 2; }": ("compile_error", "passed"),
    "public Object half(int a) { return a / 2; }": ("compile_error", "compile_error"),
    "public int half(int a) throws Exception { return a / 2; }": ("compile_error", "compile_error"),
    "public Solution() throws Exception { } public int half(int a) { return a / 2; }": ("compile_error",) * 2,
    "public int half(int a) { return a / 2; } } public interface Other {": ("passed", "passed"),
}
"""Ways to write a method that is declared to return an int, and the outcomes outside and inside."""


def test_results_and_errors_of_a_function_in_java_have_the_declared_types(executor):
    needs("java")
    verdicts = executor.run(both("java", (f"public class Solution {{ {method} }}" for method in METHODS)), LIMITS)
    outcomes = [str(verdict.outcome) for verdict in verdicts]
    assert dict(zip(METHODS, zip(outcomes[::2], outcomes[1::2], strict=True), strict=True)) == METHODS
    assert verdicts[4].detail == "where it is called: incompatible types: java.lang.Object cannot be converted to int"


DEEP = "int deep(int n) { return n == 0 ? 0 : 1 + deep(n - 1); }"


def test_a_program_in_java_has_the_stack_of_one_in_cpp_and_fails_with_any_assertion_error(executor):
    needs("java")
    of = program("java", "passed").text
    deep = of.replace("{\n", f"{{\n{DEEP}\n", 1).replace("return a", "return deep(40_000) - 40_000 + a")
    own = of.replace("return", "if (a > 4) throw new Own(); return") + "class Own extends AssertionError { }\n"
    verdicts = executor.run(both("java", [deep, own]), LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["passed"] * 2 + ["failed"] * 2
    assert [verdict.detail for verdict in verdicts[2:]] == ["Own"] * 2


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


def test_a_program_in_java_that_leaves_no_memory_to_say_so_is_told_as_one_that_wants_too_much(executor):
    needs("java")
    verdicts = executor.run(both("java", [FULL]), dataclasses.replace(LIMITS, memory_mib=384, timeout=20))
    assert [str(verdict.outcome) for verdict in verdicts] == ["memory"] * 2


JUNIT = """\
// JUnit 4: T
// file: T.java
import org.junit.Test;
import static org.junit.Assert.*;
public class T { @Test public void adds() { assertEquals(3, A.f(1)); } }
"""


@pytest.mark.skipif(bool(missing_jars()), reason="needs JUnit 4")
def test_a_program_in_java_may_be_called_anything_in_any_comment(executor):
    """Its tests are JUnit's, and inside, where each has a file of its own."""
    needs("java")
    own = "public class A { public static int f(int x) { return 3; } }"
    starts = ["", "/*\npublic class is nice\n*/ ", "/*\npublic class \u00dcber\n*/ ", "public class \u00c4 { } "]
    texts = [*(f"{start}{own}" for start in starts), own.replace("A {", f"A{'a' * 70_000} {{"), own]
    verdicts = executor.run([Program(text, JUNIT, "java", Oracle.INSIDE) for text in texts], LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["passed"] * 4 + ["compile_error", "passed"]


def test_a_jvm_counts_as_many_cores_on_every_machine(executor):
    """On a node with 128 cores, a parallel stream would have more threads than a program may."""
    needs("java")
    passing = program("java", "passed")
    counted = passing.text.replace("a / 2", "Runtime.getRuntime().availableProcessors() == 4 ? a / 2 : -1")
    (verdict,) = executor.run([dataclasses.replace(passing, text=counted)], LIMITS)
    assert verdict.outcome is Outcome.PASSED


def test_verdicts_do_not_depend_on_order_or_batch(language, executor, judged, monkeypatch):
    """Programs one by one, the last ones first and inside and outside mixed, beside all together in their order."""
    endings = ("compile_error", Oracle.OUTSIDE), ("failed", Oracle.INSIDE), ("exception", Oracle.OUTSIDE)
    monkeypatch.setitem(stream.BATCH_SIZES, Lane.STRICT, (1, 1))
    back = executor.run([program(language, *ending) for ending in endings], LIMITS)
    assert _told(back) == _told([judged(language, oracle)[outcome] for outcome, oracle in endings])
    assert [(verdict.outcome, verdict.oracle) for verdict in back] == list(endings)
    assert back[1].stderr


@pytest.mark.long
def test_verdicts_do_not_depend_on_slot_order_batch_or_load(language, monkeypatch):
    """The short sibling is test_verdicts_do_not_depend_on_order_or_batch."""
    endings = [(name, oracle) for name in BODIES[language] if name != "memory" for oracle in Oracle]
    programs = [program(language, *ending) for ending in endings]
    found = []
    for slots, sizes, seed in [(1, (1, 8), 0), (1, (1, 1), 1), (2, (1, 8), 2), (2, (8, 8), 3)]:
        monkeypatch.setitem(stream.BATCH_SIZES, Lane.STRICT, sizes)
        order = random.Random(seed).sample(range(len(programs)), len(programs))
        with Executor(slots, Sandbox(require=Level.LIMITS)) as executor, _load(2 if slots == 2 else 0):
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


THREADS = {
    "java": """\
        for (int i = 0; i < 40; i++) {
            Thread asleep = new Thread(() -> { try { Thread.sleep(60_000); } catch (InterruptedException e) { } });
            asleep.setDaemon(true);
            asleep.start();
        }
        return a / 2;""",
    "cpp": "for (int i = 0; i < 40; i++) std::thread([] { sleep(60); }).detach(); return a / 2;",
}
"""What starts threads at each of two calls, fewer than a program may have."""
HURRIED = (
    "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.isolation import capacity; "
    "from raysweep.execution.isolation.room import with_room; capacity.ROOM_SECONDS = 0.1; "
    "with_room.__defaults__ = (0.1,); from {} import main; main()"
)
"""Starts a slot that doesn't wait for room."""
NO_ROOM = {
    ("java", Oracle.OUTSIDE): 3,
    ("java", Oracle.INSIDE): 3,
    ("cpp", Oracle.OUTSIDE): 0,
    ("cpp", Oracle.INSIDE): 1,
}
"""How many more processes and threads a slot gets when it gets too few for any program.

With one, g++ starts, and waits 15 seconds for room for the compiler itself, which only the long test has time for.
"""


@pytest.mark.parametrize("oracle", [Oracle.OUTSIDE, pytest.param(Oracle.INSIDE, marks=pytest.mark.long)])
def test_what_the_machine_refuses_a_program_is_no_fault_of_the_program(language, oracle, monkeypatch):
    """Outside in `make test`; both places differ in what tells of the error."""
    monkeypatch.setattr(slot, "_START_CODE", HURRIED)
    passing, failing = program(language, "passed", oracle), program(language, "failed", oracle)
    text = passing.text.replace("return a / 2;", THREADS[language]).replace(
        "<unistd.h>", "<unistd.h>\n#include <thread>"
    )
    threads = dataclasses.replace(passing, text=text)
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        first = executor.run([threads, passing, failing], LIMITS)
        ((pid, _),) = executor._slots[0].running
        with few_processes(pid, 30):
            some = executor.run([threads, passing, program(language, "killed", oracle)], LIMITS)
        with few_processes(pid, NO_ROOM[language, oracle]):
            none = executor.run([passing, failing], LIMITS)
        last = executor.run([threads, passing], LIMITS)
        assert executor._slots[0].running[0][0] == pid
    assert [str(verdict.outcome) for verdict in first] == ["passed", "passed", "failed"]
    assert [str(verdict.outcome) for verdict in some] == ["harness_error", "passed", "killed"]
    assert some[0].detail == "it got no further thread, and the machine had no room for 128, which it may have"
    assert [str(verdict.outcome) for verdict in none] == ["harness_error"] * 2
    assert {verdict.detail for verdict in none} == {"it could not be started" if language == "java" else DIED["cpp"]}
    assert [str(verdict.outcome) for verdict in last] == ["passed"] * 2


NO_FORKS = """
import os, sys
sys.path.append(sys.argv.pop(1))
from raysweep.execution.compiled import launcher
from raysweep.execution.python import forks
serve, has_room, left = launcher.CompiledLauncher.serve, forks.with_room, [{}]
def refuse(start):
    left[0] -= 1
    if left[0] >= 0:
        raise OSError(11, os.strerror(11))
    return has_room(start)
def refusing(launcher):
    forks.with_room = refuse
    serve(launcher)
launcher.CompiledLauncher.serve = refusing
from {{}} import main
main()
"""
"""Starts a slot whose launcher finds no room for so many processes of programs."""


@pytest.mark.parametrize(("failures", "outcomes"), [(1, ["passed"] * 2), (3, ["harness_error", "passed"])])
def test_a_program_for_which_there_is_no_process_is_run_again(one_language, failures, outcomes, monkeypatch):
    """Both are judged by the slot that has begun with the first one."""
    monkeypatch.setattr(slot, "_START_CODE", NO_FORKS.format(failures))
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        verdicts = executor.run([program(one_language, "passed")], LIMITS)
        begun = executor._slots[0].running
        verdicts += executor.run([program(one_language, "passed", Oracle.OUTSIDE)], LIMITS)
        assert executor._slots[0].running == begun
    assert [str(verdict.outcome) for verdict in verdicts] == outcomes
    told = "it could not be started: Resource temporarily unavailable"
    assert verdicts[0].detail == ("" if failures == 1 else told)


HUNG = (
    "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.compiled.cpp import builder; "
    "builder.WALL_FACTOR = 0.1; from {} import main; main()"
)
"""Starts a slot that waits two seconds for g++."""


NO_DISK = (
    "import sys; sys.path.append(sys.argv.pop(1)); from raysweep.execution.isolation import box; "
    "mount, left = box.mount_empty_disk, iter(range(6)); "
    "box.mount_empty_disk = lambda *of: mount(*of) if next(left, 0) < 5 else box.os.listdir('/no'); "
    "from {} import main; main()"
)
"""Starts a slot in which each process can mount an empty disk five times, and then never again."""


@pytest.mark.parametrize("language", [PYTHON, pytest.param(CPP, marks=pytest.mark.long)])
def test_a_slot_whose_box_cannot_be_mounted_anew_ends_and_another_judges_on(language, monkeypatch):
    """Each program has a disk of its own, and so has each run of g++."""
    needs(*{language} & {CPP})
    monkeypatch.setattr(slot, "_START_CODE", NO_DISK)
    of = program(CPP, "passed", Oracle.INSIDE)
    if language == PYTHON:
        of = Program("open('x', 'w').close()\ndef half(a): return a // 2", "assert half(4) == 2", oracle=Oracle.INSIDE)
    with Executor() as executor:
        if executor.level() < Level.STRONG:
            pytest.skip("this machine mounts no disks")
        programs = [
            dataclasses.replace(of, text=of.text + "\n" * number) for number in range(4 if language == CPP else 7)
        ]
        verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(programs)


def test_a_gxx_that_hangs_is_the_machines_doing(tmp_path, monkeypatch):
    """Here it sleeps, as if its container had been stopped, when it is to compile a program."""
    needs("cpp")
    (tmp_path / "g++").write_text(
        f'#!/bin/sh\ncase "$*" in *-o?a.out*) sleep 3600;; *) exec {shutil.which("g++")} "$@";; esac\n'
    )
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(slot, "_START_CODE", HUNG)
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=LAYERS) as executor:
        (verdict,) = executor.run([program("cpp", "passed")], LIMITS)
    assert (verdict.outcome, verdict.detail) == (Outcome.HARNESS_ERROR, DIED["cpp"])


def test_tests_in_java_that_end_for_want_of_memory_or_stack_are_told_from_those_that_are_killed(executor):
    """java/test_sources.py has tests that end in this way, at an answer that doesn't fit."""
    needs("java")
    passing = program("java", "passed", Oracle.OUTSIDE)
    texts = [TESTS["java"].replace("if (s", f"s.half(1); Runtime.getRuntime().halt({code}); if (s") for code in ENDS]
    programs = [dataclasses.replace(passing, tests=text) for text in texts]
    verdicts = executor.run([*programs, passing], LIMITS)
    told = [(verdict.outcome, verdict.detail) for verdict in verdicts]
    assert told == [*ENDS.values(), (Outcome.PASSED, "")]


ENDS = {
    OUT_OF_MEMORY: (Outcome.MEMORY, "its tests have no memory left for its answers"),
    STACK_OVERFLOW: (Outcome.EXCEPTION, "java.lang.StackOverflowError"),
    3: TESTS_ENDED,
}
"""Exit codes of the tests' process, and what they say of the program."""


def test_tests_that_call_what_is_declared_run_outside(language):
    of = program(language, "passed")
    assert oracle_of(of) is Oracle.OUTSIDE
    without = Program(of.text, of.tests, language)
    assert oracle_of(without) is Oracle.INSIDE and "declaration" in reason_for_inside(without)


def test_nothing_is_left_when_the_executor_is_closed(one_language):
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        executor.run([program(one_language, "passed")], LIMITS)
        ((pid, folder),) = executor._slots[0].running
        below = psutil.Process(pid).children(recursive=True)
        assert below and Path(folder).is_dir()
    assert not Path(folder).exists()
    _, alive = psutil.wait_procs(below, 20)
    assert alive == []


@pytest.mark.long
@pytest.mark.parametrize("without", [(), ("namespaces",)], ids=["all layers", "no namespaces"])
@pytest.mark.parametrize("killed", ["nothing", "the keeper", "the program", "all below the keeper"])
def test_no_process_file_or_mount_is_left_whatever_was_killed(language, killed, without, tmp_path, monkeypatch):
    """The short sibling is test_nothing_is_left_when_the_executor_is_closed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    endless = dataclasses.replace(program(language, "passed"), text=ENDLESS[language])
    programs = [endless, program(language, "passed"), program(language, "failed")]
    seen: set[psutil.Process] = set()
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=without) as executor:
        executor.run(programs[1:2], LIMITS)
        ((pid, folder),) = executor._slots[0].running
        assert Path(folder).parent == tmp_path
        killer = threading.Thread(target=_kill_once, args=(killed, psutil.Process(pid), seen))
        killer.start()
        verdicts = executor.run(programs, Limits(timeout=4, wall_factor=1000))
        killer.join()
    expected = Outcome.KILLED if killed == "the program" else Outcome.TIMEOUT
    assert [verdict.outcome for verdict in verdicts] == [expected, Outcome.PASSED, Outcome.FAILED], verdicts
    assert len(seen) > 3 and psutil.wait_procs(seen, 20)[1] == []
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert [process for process in psutil.process_iter() if _belongs_to(process, str(tmp_path))] == []


def test_a_program_that_the_kernel_does_not_start_is_an_error_of_the_machine(tmp_path, monkeypatch):
    """Here g++ makes something else than a program, as if the kernel executed no file in memory."""
    needs("cpp")
    script = f'case "$*" in *server.o*) echo no program > a.out;; *) exec {shutil.which("g++")} "$@";; esac\n'
    (tmp_path / "g++").write_text(f"#!/bin/sh\n{script}")
    (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=LAYERS) as executor:
        (verdict,) = executor.run([program("cpp", "passed")], LIMITS)
    told = "it could not be started: Exec format error"
    assert (verdict.outcome, verdict.detail) == (Outcome.HARNESS_ERROR, told)


def test_what_ends_a_program_in_cpp_is_found_behind_all_else_that_it_wrote(executor):
    needs("cpp")
    much = 'for (int i = 0; i < 999; i++) cerr << "Assertion `no\' failed" << i << endl;'
    ends = {"assert(a < 0);": "Assertion `a < 0' failed", 'throw std::logic_error("odd");': "std::logic_error: odd"}
    text = "#include <cassert>\n#include <iostream>\n#include <stdexcept>\nusing namespace std;\n"
    text += "int half(int a) noexcept {{ {} {} return a / 2; }}\n"
    passing = program("cpp", "passed")
    verdicts = executor.run([dataclasses.replace(passing, text=text.format(much, end)) for end in ends], LIMITS)
    assert [verdict.detail for verdict in verdicts] == list(ends.values())
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAILED, Outcome.EXCEPTION]
    assert all(verdict.stderr.startswith("Assertion `no' failed0\n") for verdict in verdicts)


LONG = """\
template <int N, int M> struct Bomb { static const int value = Bomb<N - 1, M>::value + Bomb<N - 1, M + 1>::value; };
template <int M> struct Bomb<0, M> { static const int value = 1; };
int half(int a) { return Bomb<800, 0>::value; }
"""
"""Keeps g++ busy until its limit ends it."""
OWNER = """
import os, time
from raysweep.execution.pool import Executor
from raysweep.programs import *
executor = Executor(1, Sandbox(require=Level.LIMITS), {without!r})
executor.run([Program("", {tests!r}, "cpp", Oracle.INSIDE)], Limits())
fork = os.fork()
if fork == 0:
    time.sleep(3600)
print(fork, flush=True)
executor.run([Program({text!r}, {tests!r}, "cpp", Oracle.INSIDE)], Limits())
"""


@pytest.mark.parametrize("without", [(), ("namespaces",)], ids=["all layers", "no namespaces"])
def test_a_killed_slot_leaves_nothing_that_gxx_has_started(without):
    needs("cpp")
    seen: list[psutil.Process] = []
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=without) as executor:
        executor.run([program("cpp", "failed", Oracle.INSIDE)], LIMITS)
        (slot,) = executor._slots

        def compiles(since: float) -> bool:
            """Return whether the program's text is compiled; a slot that starts compiles one of its own before."""
            return slot.deadline > since and bool(_compilers(slot.running))

        def kill() -> None:
            """Kill the keeper as often as the program is tried."""
            last = slot.deadline
            for _ in range(2):
                assert eventually(functools.partial(compiles, last))
                last = slot.deadline
                seen.extend(_compilers(slot.running))
                os.kill(slot.running[0][0], signal.SIGKILL)
                assert eventually(lambda: not _compilers(slot.running))

        killer = threading.Thread(target=kill)
        killer.start()
        (verdict,) = executor.run([Program(LONG, TESTS["cpp"], "cpp", Oracle.INSIDE)], LIMITS)
        killer.join()
    assert verdict.detail.startswith("it ended its slot 2 times; the last time it ended with ")
    assert verdict.outcome == (Outcome.HARNESS_ERROR if verdict.level >= Level.FILTERED else Outcome.KILLED)
    assert len(seen) == 2 and [process for process in seen if _works(process)] == []


@pytest.mark.parametrize("without", [(), ("namespaces",)], ids=["all layers", "no namespaces"])
def test_the_death_of_the_owner_leaves_nothing_that_gxx_has_started(without, tmp_path):
    """A fork of the owner holds the slot's pipes open, so only the keeper notices it. It removes its folder last."""
    needs("cpp")
    code = OWNER.format(without=without, text=LONG, tests=TESTS["cpp"])
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    fork = int(owner.stdout.readline())
    try:
        assert eventually(lambda: bool(_compilers([(owner.pid, "")])))
        seen = _compilers([(owner.pid, "")])
        owner.kill()
        owner.wait()
        assert eventually(lambda: list(tmp_path.iterdir()) == [])
        assert seen and [process for process in seen if _works(process)] == []
    finally:
        owner.kill()
        os.kill(fork, signal.SIGKILL)
        owner.communicate()


def _compilers(of: list[tuple[int, str]]) -> list[psutil.Process]:
    """Return the processes of slots that compile a program's text, as g++ starts them."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in [one for pid, _ in of for one in psutil.Process(pid).children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                if process.name() == "cc1plus" and "program.cpp" in process.cmdline():
                    found.append(process)
    return found


def _works(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _kill_once(what: str, keeper: psutil.Process, seen: set[psutil.Process]) -> None:
    """Wait until the endless program works, note a slot's processes, and kill some of them."""
    first: dict[psutil.Process, float] = {}
    busy: list[psutil.Process] = []

    def is_working() -> bool:
        """The endless program works for seconds; compilers and tests don't."""
        for process in keeper.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                seconds = sum(process.cpu_times()[:2])
                if seconds - first.setdefault(process, seconds) > 2:
                    busy.append(process)
        return busy != []

    assert eventually(is_working)
    below = keeper.children(recursive=True)
    seen |= {keeper, *below}
    for process in {"nothing": [], "the keeper": [keeper], "the program": busy}.get(what, below):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _belongs_to(process: psutil.Process, folder: str) -> bool:
    with suppress(psutil.Error):
        return any(folder in text for text in (*process.cmdline(), *process.environ().values()))
    return False


def test_a_slot_whose_processes_are_killed_judges_again(one_language):
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        executor.run([program(one_language, "passed")], LIMITS)
        ((pid, _),) = executor._slots[0].running
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        verdicts: list[Verdict] = executor.run([program(one_language, name) for name in ("failed", "passed")], LIMITS)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAILED, Outcome.PASSED]


def test_programs_with_odd_names_pass(language, executor):
    declared = None, DECLARATIONS[language]
    programs = [Program(text, TESTS[language], language, *declared) for text in ODD_NAMES[language]]
    verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(verdicts)


@pytest.mark.parametrize("oracle", Oracle)
def test_functions_may_be_called_like_those_of_the_c_library(oracle, executor):
    needs("cpp")
    declared = [("abs", "int a", "3"), ("div", "int a, int b", "3, 4"), ("log", "double a", "2.0")]
    declared += [("abs", "double a", "2.0"), ("remove", "int a", "3"), ("read", "int a", "3"), ("EOF", "int a", "3")]
    programs = [
        Program(
            f"int {name}({taken}) {{ return 7; }}",
            f"#include <cassert>\nint main() {{ assert({name}({given}) == 7); }}\n",
            "cpp",
            oracle,
            f"int {name}({taken}) {{\n",
        )
        for name, taken, given in declared
    ]
    verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(declared)


def test_programs_have_the_headers_that_only_the_second_compilation_has(executor):
    needs("cpp")
    bodies = ["cerr << a; return a / 2;", "return beta(1.0, 1.0) * a / 2;"]
    texts = [f"#include <cmath>\nusing namespace std;\nint half(int a) {{ {body} }}" for body in bodies]
    programs = [dataclasses.replace(program("cpp", "passed"), text=text) for text in texts]
    verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(bodies)


def test_tests_have_the_headers_that_programs_have_and_what_they_lack_is_told(executor):
    needs("cpp")
    passing = program("cpp", "passed", Oracle.OUTSIDE)
    main = "#include <cassert>\nint main() {{ assert({} && half(4) == 2); }}"
    programs = [dataclasses.replace(passing, tests=main.format(text)) for text in ("signbit(-INFINITY)", "nowhere(1)")]
    verdicts = executor.run(programs, LIMITS)
    told = "ValueError: its tests can't be compiled: line 2: 'nowhere' was not declared in this scope"
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [
        (Outcome.PASSED, ""),
        (Outcome.HARNESS_ERROR, told),
    ]


@pytest.mark.parametrize("oracle", Oracle)
def test_programs_may_take_the_machines_locale_and_define_short_macros(oracle, executor):
    needs("cpp")
    texts = [
        '#include <locale>\nint half(int a) { std::locale::global(std::locale("")); return a / 2; }',
        "#define a0 7\nint half(int a) { return a / 2; }",
    ]
    programs = [dataclasses.replace(program("cpp", "passed"), text=text, oracle=oracle) for text in texts]
    verdicts = executor.run(programs, LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(texts)


@pytest.mark.parametrize("oracle", Oracle)
def test_a_program_in_cpp_may_end_in_a_backslash_and_need_not_use_namespace_std(oracle, executor):
    needs("cpp")
    passing = dataclasses.replace(program("cpp", "passed", oracle), text="int half(int a) { return a / 2; } // C:\\")
    whole = Program(
        "#include <map>\n#include <string>\n#include <vector>\n"
        "std::map<std::string, int> sizes(std::vector<std::string> all) {\n"
        "    std::map<std::string, int> found;\n    for (auto& one : all) found[one] = one.size();\n"
        "    return found;\n}\n",
        '#include <cassert>\nint main() { assert(sizes({"a", "bc"})["bc"] == 2); }\n',
        "cpp",
        oracle,
        "#include <map>\n#include <vector>\nusing namespace std;\ntypedef map<string, int> Sizes;\n"
        "Sizes sizes(vector<string> all) {\n",
    )
    verdicts = executor.run([passing, whole], LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * 2


def test_static_variables_beyond_the_limit_of_memory_are_told_as_such(executor):
    needs("cpp")
    texts = [
        f"{kind} char all[1300000000];\nint half(int a) {{ return a / 2; }}\n" for kind in ("static", "thread_local")
    ]
    texts = [text.replace("return a", "all[a] = 1; return a") for text in texts]
    verdicts = executor.run([dataclasses.replace(program("cpp", "passed"), text=text) for text in texts], LIMITS)
    told = "its static variables take 1,240 MiB, and it may have 1,024"
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.MEMORY, told)] * 2


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


@pytest.mark.parametrize("oracle", Oracle)
def test_tests_in_java_may_import_and_their_class_need_not_be_public(oracle, executor):
    needs("java")
    programs = [
        dataclasses.replace(program("java", outcome, oracle), tests=TESTS_WITH_IMPORTS)
        for outcome in ("passed", "failed")
    ]
    verdicts = executor.run(programs, LIMITS)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED, Outcome.FAILED]


def test_tests_in_java_without_a_class_that_runs_them_are_no_fault_of_the_program(executor):
    needs("java")
    (verdict,) = executor.run([dataclasses.replace(program("java", "passed"), tests="class Test {}")], LIMITS)
    told = "ValueError: its tests define no class Main, whose method `main` runs them"
    assert (verdict.outcome, verdict.detail) == (Outcome.HARNESS_ERROR, told)


def test_a_program_in_java_may_have_a_class_main_and_make_files_for_a_while(executor):
    needs("java")
    temporary = 'try { java.nio.file.Files.createTempFile("a", "b"); } catch (java.io.IOException e) { return 0; }'
    texts = [
        "class Main {}\nclass Solution { public int half(int a) { return a / 2; } }\n",
        "@interface SuppressWarnings {}\nclass Solution { public int half(int a) { return a / 2; } }\n",
        f"class Solution {{ public int half(int a) {{ {temporary} return a / 2; }} }}\n",
    ]
    verdicts = executor.run([dataclasses.replace(program("java", "passed"), text=text) for text in texts], LIMITS)
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.PASSED, "")] * len(texts)


_KILLED = "g++: fatal error: Killed signal terminated program cc1plus\\ncompilation terminated."
REFUSED = {
    "cpp": [
        ("int more[5 << 20] = {1};\n", "a file that g++ writes for it has more than 16 MiB"),
        ("#error File too large\n", "line 1: #error File too large"),
        (
            f'#pragma message "x\\n{_KILLED}"\nstatic_assert(false, "x\\n{_KILLED}");\n',
            "line 2: static assertion failed: x",
        ),
        *(
            (f'#line 1 "g++"\n#include "{words}"\n', "g++ refused it, for a reason that lies outside of its own text")
            for words in ("Killed signal terminated program x", "ld terminated with signal 9 x")
        ),
    ],
    "java": [
        (f"Object deep = {'new Object[]{' * 20_000}{'}' * 20_000};\n", "it is nested too deeply"),
        (
            f'static final String S0 = "{"x" * 60_000}";\n'
            + "".join(f"static final String S{n} = S{n - 1} + S{n - 1};\n" for n in range(1, 20)),
            "its compiler ended, for want of memory",
        ),
    ],
}
"""Texts in front of a function or in a class, and what is said of them."""


def test_what_no_compiler_can_compile_has_its_reason_and_the_next_program_passes(language, executor):
    passing = program(language, "passed")
    texts = [
        text + passing.text if language == "cpp" else passing.text.replace("{\n", f"{{\n{text}", 1)
        for text, _ in REFUSED[language]
    ]
    programs = [dataclasses.replace(passing, text=text) for text in (*texts, passing.text)]
    verdicts = executor.run(programs, LIMITS)
    expected = [(Outcome.COMPILE_ERROR, reason) for _, reason in REFUSED[language]]
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [*expected, (Outcome.PASSED, "")]


def test_killed_compilers_and_tests_lose_no_verdict():
    """Java's live on between programs."""
    needs("java")
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        executor.run([program("java", "passed")], LIMITS)
        ((pid, _),) = executor._slots[0].running
        assert _killed("java", pid) == 2
        (verdict,) = executor.run([program("java", "passed")], LIMITS)
        assert executor._slots[0].running[0][0] == pid
    assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


COMPILING = {"java": "raysweep.CompilerServer", "cpp": "cc1plus"}
"""What stands in the command of a process that compiles."""


@pytest.mark.parametrize(("kills", "outcome"), [(1, Outcome.PASSED), (1000, Outcome.HARNESS_ERROR)])
def test_a_compiler_that_is_killed_compiles_again_and_once_more_is_no_fault_of_the_text(language, kills, outcome):
    """Nothing is lost and nothing is left: the next program passes, and the slot ends as any other."""
    passing = program(language, "passed", Oracle.INSIDE)
    slow = dataclasses.replace(passing, text=f"#include <regex>\n{passing.text}") if language == "cpp" else passing
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        executor.run([Program("int one() {", TESTS[language], language, Oracle.INSIDE)], LIMITS)  # it starts the slot
        ((pid, folder),) = executor._slots[0].running
        if language == "java":
            assert _killed(COMPILING["java"], pid) == 1  # the one that compiles is a new one
        with killing(COMPILING[language], pid, kills) as killed:
            (verdict,) = executor.run([slow], LIMITS)
        (after,) = executor.run([dataclasses.replace(passing, oracle=Oracle.INSIDE)], LIMITS)
        assert executor._slots[0].running == [(pid, folder)]
        below = psutil.Process(pid).children(recursive=True)
    assert len(killed) >= (kills if kills == 1 else 2)
    detail = "" if outcome is Outcome.PASSED else DIED[language]
    assert (verdict.outcome, verdict.detail) == (outcome, detail)
    assert after.outcome is Outcome.PASSED
    assert psutil.wait_procs(below, 20)[1] == []
    assert not Path(folder).exists()
    assert folder not in Path("/proc/self/mountinfo").read_text()


DIED = {
    "java": "javac was killed, hung or found no room, 2 times, and not for its own limits",
    "cpp": "g++ was killed, hung or found no room, 2 times, and not for its own limits",
}


@contextmanager
def killing(name: str, slot: int, most: int) -> Iterator[list[int]]:
    """Kill a slot's processes as soon as they start that have a word in their command, so many of them."""
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        while len(killed) < most and not ended.is_set():
            killed.extend([1] * _killed(name, slot, most - len(killed)))

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        ended.set()
        killer.join()


def _killed(name: str, slot: int, most: int = 1000) -> int:
    """Kill a slot's processes that have a name or an argument, at most so many; return how many there were."""
    count = 0
    for process in psutil.Process(slot).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if (
                count < most
                and process.status() != psutil.STATUS_ZOMBIE
                and name in (process.name(), *process.cmdline())
            ):
                process.kill()
                count += 1
    return count


@pytest.mark.parametrize(
    ("without", "levels"),
    [
        pytest.param(("namespaces",), {"java": Level.FILTERED, "cpp": Level.FILTERED}, marks=pytest.mark.long),
        pytest.param(("namespaces", "seccomp"), {"java": Level.PARTIAL, "cpp": Level.PARTIAL}, marks=pytest.mark.long),
        (("namespaces", "landlock"), {"java": Level.LIMITS, "cpp": Level.PARTIAL}),
    ],
)
def test_each_layer_can_be_left_out_and_seccomp_alone_does_not_count_for_a_jvm(language, without, levels, tmp_path):
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as whole:
        if whole.level() < Level.FILTERED:
            pytest.skip("this machine has not all layers")
    (tmp_path / "secret").write_text("#!/bin/sh\n")
    (tmp_path / "secret").chmod(0o755)
    body = "".join(TRIED[language][layer] for layer in ("landlock", "seccomp") if layer not in without)
    body = "" if levels[language] is Level.LIMITS else body.replace("@SECRET@", str(tmp_path / "secret"))
    of = program(language, "passed")
    text = of.text.replace("return", f"{body} return")
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=without) as executor:
        (verdict,) = executor.run([dataclasses.replace(of, text=text)], LIMITS)
        missing = executor.missing_layers()
    assert (verdict.outcome, verdict.level) == (Outcome.PASSED, levels[language])
    if levels[language] is Level.LIMITS:
        assert missing["seccomp"] == "without Landlock it can't tell a JVM's first execve from a later one"


@pytest.mark.parametrize(
    "without",
    [("namespaces", "landlock"), pytest.param(LAYERS, marks=pytest.mark.long)],
    ids=["seccomp alone", "limits alone"],
)
def test_gxx_shows_no_word_of_a_file_that_it_could_read(without, tmp_path):
    """At a place in the text it names the first word of the file behind it."""
    needs("cpp")
    (tmp_path / "secret").write_text("a_secret of somebody\n")
    of = program("cpp", "passed")
    texts = [f'{of.text}int more = (1\n#include "{tmp_path}/secret"\n;', of.text.replace("return", "retrun")]
    programs = [dataclasses.replace(of, text=text, oracle=oracle) for text in texts for oracle in Oracle]
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=without) as executor:
        verdicts = executor.run(programs, LIMITS)
    shown = "g++ refused it, and why isn't shown: without Landlock the reason may have words of other files"
    assert [(verdict.outcome, verdict.detail) for verdict in verdicts] == [(Outcome.COMPILE_ERROR, shown)] * 4


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


def test_seccomp_alone_shows_no_program_the_memory_of_its_tests():
    needs("cpp")
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=("namespaces", "landlock")) as executor:
        (verdict,) = executor.run([dataclasses.replace(program("cpp", "passed", Oracle.OUTSIDE), text=LOOKS)], LIMITS)
    assert (verdict.outcome, verdict.detail) == (Outcome.PASSED, "")


def test_java_without_landlock_is_refused_with_its_reason_and_cpp_is_not():
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


def test_flags_that_gxx_does_not_know_are_refused():
    needs("cpp")
    with (
        Executor(sandbox=Sandbox(cpp_flags="-O0 -fno-such-flag")) as executor,
        pytest.raises(UsageError, match=r"g\+\+ refuses the flags '-O0 -fno-such-flag' \(execution.cpp_flags\)"),
    ):
        executor.run([program("cpp", "passed")], LIMITS)
