"""Faults of one's own: judged in three languages without any other file."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.execution.compiled.java.junit import is_junit
from raysweep.execution.oracle import oracle_of
from raysweep.execution.pool import Executor
from raysweep.problems.base import problem_set_of
from raysweep.problems.repair.own import OwnRepairs
from raysweep.programs import Level, Limits, Oracle, Outcome, Sandbox
from raysweep.prompts.repair.problems import RepairProblem
from tests.execution.compiled.processes import needs
from tests.paths import REPO
from tests.problems.repair.rows import ADD, lines

HALF = {
    "name": "mine/half",
    "buggy": "import math\n\n\ndef half(n):\n    return n / 2\n\n\ndef middle(xs):\n    return xs[half(len(xs))]\n",
    "correct": "import math\n\n\ndef half(n):\n    return n // 2\n\n\ndef middle(xs):\n    return xs[half(len(xs))]\n",
    "tests": "def test_middle():\n    assert middle([1, 2, 3]) == 2\n",
}
COUNTER = {
    "name": "counter",
    "language": "C++",
    "buggy": "#include <map>\nclass Counter {\n int n = 0;\npublic:\n  int get() const {\n   return n + 1;\n  }\n};\n",
    "tests": "#include <cassert>\n\nint main() {\n    assert(Counter().get() == 0);\n}\n",
}
COUNTER |= {"correct": COUNTER["buggy"].replace("n + 1", "n")}


def problems(folder: Path, *rows: dict[str, Any], **args: Any) -> list[RepairProblem]:
    return list(OwnRepairs(lines(folder / "mine.jsonl.gz", *rows), **args).mixed().problems())  # type: ignore[arg-type]


def outcomes(mine: list[RepairProblem]) -> list[tuple[Outcome, Outcome]]:
    """Return the outcomes of each problem's fault and of its reference, with the tests where its reference passes."""
    programs = [problem.assemble(text) for problem in mine for text in (problem.hunk.buggy, problem.reference or "")]
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        found = [verdict.outcome for verdict in executor.run(programs, Limits(timeout=5))]
    return list(zip(found[::2], found[1::2], strict=True))


@pytest.mark.slow
def test_the_rows_that_the_docs_show_are_judged_without_another_file(tmp_path: Path) -> None:
    needs("java", "cpp")
    shown = re.findall(r"```json\n(.*?)```", (REPO / "docs" / "repair.md").read_text(), re.DOTALL)[:3]
    mine = problems(tmp_path, *map(json.loads, shown))
    assert [problem.language for problem in mine] == ["python", "java", "cpp"]
    assert [problem.hunk.buggy.strip() for problem in mine] == ["return gcd(a % b, b)", "return 3 * n;", "int sum = 1;"]
    for fault, mended in outcomes(mine):
        assert mended == Outcome.PASSED and fault in (Outcome.FAILED, Outcome.EXCEPTION)
    assert {oracle_of(problem.assemble("")) for problem in mine} == {Oracle.OUTSIDE}


def test_functions_of_tests_are_called_and_check_gets_the_function_called_as_the_row(tmp_path: Path) -> None:
    half = {**HALF, "name": "half", "tests": "def check(candidate):\n    assert candidate(3) == 1\n"}
    broken = {"name": "broken", "buggy": "def f(a:\n    return a", "correct": "def f(a):\n    return a"}
    mine = problems(tmp_path, HALF, half, broken | {"tests": "assert f(3) == 3"})
    assert [problem.entry_point for problem in mine] == ["half", "half", "f"]
    faults, mended = zip(*outcomes(mine), strict=True)
    assert faults == (Outcome.EXCEPTION, Outcome.FAILED, Outcome.SYNTAX_ERROR) and set(mended) == {Outcome.PASSED}


def test_a_class_of_the_file_is_meant_where_a_library_has_one_of_that_name(tmp_path: Path) -> None:
    code = "class Box:\n    pass\n\n\nclass Counter:\n    def __init__(self, n):\n        self.n = n\n"
    tests = "def test_it():\n    c = Counter(Box)\n    assert c.n is Box\n"
    row = {"name": "Counter", "buggy": code.replace("= n", "= 1"), "correct": code, "tests": tests}
    (mine,) = problems(tmp_path, row)
    right = replace(mine.assemble(mine.reference or ""), oracle=Oracle.INSIDE)
    with Executor(1, Sandbox(require=Level.LIMITS)) as executor:
        assert executor.run([right], Limits(timeout=5))[0].outcome == Outcome.PASSED


def test_a_model_sees_the_function_in_cpp_and_tests_know_what_stands_before_its_body(tmp_path: Path) -> None:
    (method,) = problems(tmp_path, COUNTER)
    assert method.prompt == "int get() const {\n// bug start: \n return n + 1;\n// bug end \n}\n"
    assert method.file_before.endswith("public:\n") and method.assemble("").declaration.endswith("int get() const {")
    buggy = "#include <map>\nint f() {\n    return 1;\n}\n"
    plain = {**COUNTER, "buggy": buggy, "correct": buggy.replace("1", "2")}
    (function,) = problems(tmp_path, plain, context="function")
    assert function.prompt.startswith("int f() {") and function.file_before == "#include <map>\n"


def test_an_import_that_only_the_repair_has_is_part_of_it_in_java(tmp_path: Path) -> None:
    row = {"name": "a", "buggy": "class A {\n    int f() {\n        return 1;\n    }\n}\n", "tests": "class Main {}"}
    row["correct"] = "import java.util.*;\n" + row["buggy"].replace("1;", "Set.of().size();")
    (mine,) = problems(tmp_path, row, language="java")
    assert mine.assemble(mine.reference or "").text == row["correct"]


def test_tests_of_junit_are_known_by_what_they_import(tmp_path: Path) -> None:
    tests = ADD["java_test"].replace("public class", "/*\nclass of tests\n*/\nclass Helper {}\n\npublic class", 1)
    row = {"name": "add", "language": "java", "buggy": ADD["java_buggy"], "tests": tests}
    (mine,) = problems(tmp_path, {**row, "correct": row["buggy"].replace("x | y", "x + y")})
    assert is_junit(mine.test) and "humaneval.TEST_FIB4" in mine.test and "timeout" not in mine.test
    assert mine.assemble("").declaration == row["buggy"]


def test_a_path_or_a_name_with_a_language_is_enough_on_a_command_line(tmp_path: Path) -> None:
    path = lines(tmp_path / "mine.jsonl.gz", HALF)
    assert problem_set_of(path, 7, judged=True)[1] == {"name": "repair", "path": path}
    path = lines(tmp_path / "mine.jsonl.gz", {key: value for key, value in COUNTER.items() if key != "language"})
    problem_set, entry = problem_set_of(f"repair-cpp={path}", 7, judged=True)
    assert (problem_set.language, entry["as"]) == ("cpp", "repair-cpp")
    assert problem_set.problems()[0].language == "cpp"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tests": " "}, r":2: `tests` is empty"),
        ({"tests": "assert half(3 == 1"}, r":2: `tests` can't be run: '\(' was never closed"),
        ({"tests": "class T:\n    def test_a(self):\n        pass\n"}, r":2: `tests` runs nothing"),
        ({"tests": "async def test_a():\n    assert half(4) == 2\n"}, r":2: `tests` runs nothing"),
        ({"tests": "if __name__ == '__main__':\n    assert half(4) == 2\n"}, r":2: `tests` runs nothing"),
        ({"tests": "#include <cassert>\nint main() {}"}, r':2: .*; add "language": "cpp" to each row'),
        ({"correct": HALF["buggy"]}, r":2: the correct code is the faulty code"),
    ],
)
def test_an_unusable_row_is_one_clear_error(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OwnRepairs(lines(tmp_path / "mine.jsonl.gz", HALF, {**HALF, "name": "other", **changed})).check()


@pytest.mark.parametrize(
    ("tests", "message"),
    [("import org.junit.jupiter.api.Test;", "JUnit 5"), ("class Main {}", "in the package humaneval.buggy")],
)
def test_tests_in_java_that_can_never_run_are_refused(tmp_path: Path, tests: str, message: str) -> None:
    row = {"name": "a", "buggy": ADD["java_buggy"], "correct": ADD["java_correct"], "tests": tests, "language": "java"}
    with pytest.raises(UsageError, match=f":1: .*{message}"):
        problems(tmp_path, row)
