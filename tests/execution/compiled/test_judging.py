"""Programs in Java and C++ judged by a slot: outcomes, levels, and what is left behind."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from raysweep.errors import UsageError
from raysweep.execution.oracle import oracle_of, reason_for_inside
from raysweep.execution.pool import Executor
from raysweep.programs import COMPILED, Lane, Level, Limits, Oracle, Outcome, Program, Sandbox, Verdict
from tests.execution.compiled.processes import needs

pytestmark = pytest.mark.slow
LIMITS = Limits(timeout=5)
COMPILERS = {"java": "javac", "cpp": "g++"}
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


def program(language: str, outcome: str, oracle: Oracle | None = None) -> Program:
    """Return a program that ends in a way."""
    body = BODIES[language][outcome]
    if language == "java":
        text = f"class Solution {{\n    public int half(int a) {{\n        {body}\n    }}\n}}\n"
    else:
        text = f"#include <stdlib.h>\n#include <string>\n#include <vector>\nint half(int a) {{\n    {body}\n}}\n"
    return Program(text, TESTS[language], language, oracle, DECLARATIONS[language])


@pytest.fixture(params=COMPILED)
def language(request: pytest.FixtureRequest) -> str:
    needs(COMPILERS[request.param])
    return str(request.param)


@pytest.fixture(params=[pytest.param("java", marks=pytest.mark.long), "cpp"])
def one_language(request: pytest.FixtureRequest) -> str:
    """C++ in `make test`, where a slot starts sooner."""
    needs(COMPILERS[request.param])
    return str(request.param)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        yield executor


@pytest.mark.parametrize("oracle", Oracle)
def test_programs_end_as_they_should_wherever_their_tests_run(language, oracle, executor):
    outcomes = list(BODIES[language])
    verdicts = executor.run([program(language, outcome, oracle) for outcome in outcomes], LIMITS)
    assert {outcome: str(v.outcome) for outcome, v in zip(outcomes, verdicts, strict=True)} == {o: o for o in outcomes}
    assert {(verdict.oracle, verdict.lane) for verdict in verdicts} == {(oracle, Lane.STRICT)}
    assert all(verdict.seconds < 5 for verdict in verdicts)


def test_an_error_of_the_compiler_is_told_with_its_line(language, executor):
    (verdict,) = executor.run([program(language, "compile_error")], LIMITS)
    assert verdict.detail.startswith(
        {"java": "line 3: incompatible types", "cpp": "line 5: invalid conversion"}[language]
    )


def test_classes_that_no_folder_holds_are_an_error_of_the_compiler(executor):
    needs("javac")
    passing = program("java", "passed")
    many = "".join(f"class C{number} {{ }}\n" for number in range(5000))
    texts = [f"{passing.text}{more}" for more in (f"class {'C' * 200} {{ }}", f"class {'C' * 250} {{ }}", many)]
    verdicts = executor.run([dataclasses.replace(passing, text=text) for text in (*texts, passing.text)], LIMITS)
    assert [str(verdict.outcome) for verdict in verdicts] == ["passed", "compile_error", "compile_error", "passed"]


def test_verdicts_do_not_depend_on_order_or_slot(one_language):
    programs = [program(one_language, outcome) for outcome in ("passed", "failed", "killed", "compile_error")]
    with Executor(2, Sandbox(require=Level.LIMITS)) as executor:
        forth, back = executor.run(programs, LIMITS), executor.run(programs[::-1], LIMITS)[::-1]
    assert [(v.outcome, v.detail) for v in forth] == [(v.outcome, v.detail) for v in back]


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


def test_a_slot_whose_processes_are_killed_judges_again(one_language):
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as executor:
        executor.run([program(one_language, "passed")], LIMITS)
        ((pid, _),) = executor._slots[0].running
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        verdicts: list[Verdict] = executor.run([program(one_language, name) for name in ("failed", "passed")], LIMITS)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.FAILED, Outcome.PASSED]


@pytest.mark.parametrize(
    ("without", "levels"),
    [
        pytest.param(("namespaces",), {"java": Level.FILTERED, "cpp": Level.FILTERED}, marks=pytest.mark.long),
        pytest.param(("namespaces", "seccomp"), {"java": Level.PARTIAL, "cpp": Level.PARTIAL}, marks=pytest.mark.long),
        (("namespaces", "landlock"), {"java": Level.LIMITS, "cpp": Level.PARTIAL}),
    ],
)
def test_each_layer_can_be_left_out_and_seccomp_alone_does_not_count_for_a_jvm(language, without, levels):
    with Executor(sandbox=Sandbox(require=Level.LIMITS)) as whole:
        if whole.level() < Level.FILTERED:
            pytest.skip("this machine has not all layers")
    with Executor(sandbox=Sandbox(require=Level.LIMITS), without=without) as executor:
        (verdict,) = executor.run([program(language, "passed")], LIMITS)
        missing = executor.missing_layers()
    assert (verdict.outcome, verdict.level) == (Outcome.PASSED, levels[language])
    if levels[language] is Level.LIMITS:
        assert missing["seccomp"] == "without Landlock it can't tell a JVM's first execve from a later one"


def test_what_nothing_could_judge_is_refused():
    with Executor() as executor:
        with pytest.raises(UsageError, match="a program in java has no tests"):
            executor.run([Program("class Solution { }", "", "java")], LIMITS)
        with pytest.raises(UsageError, match="memory_mib is 128; a JVM alone needs"):
            executor.run([program("java", "passed")], Limits(memory_mib=128))


def test_flags_that_gxx_does_not_know_are_refused():
    needs("g++")
    with (
        Executor(sandbox=Sandbox(cpp_flags="-O0 --no-such-flag")) as executor,
        pytest.raises(UsageError, match=r"g\+\+ refuses the flags '-O0 --no-such-flag' \(execution.cpp_flags\)"),
    ):
        executor.run([program("cpp", "passed")], LIMITS)
