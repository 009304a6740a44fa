"""Problem set `quixbugs`: 40 small programs with a fault of one line each, in Python and in Java (Lin et al. 2017).

Tests in Python are QuixBugs' cases with the comparisons of its own tests, without the two that it leaves out unless
asked, since they take a GiB or minutes. Tests in Java are its JUnit tests without their limits of wall time.
Source: https://github.com/jkoppel/QuixBugs
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.execution.compiled.java.junit import junit_tests, without_wall_time
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import full_path
from raysweep.problems.repair.base import (
    FUNCTION,
    RepairSet,
    fault_in_class,
    repair_problem,
    without_last_docstring,
)
from raysweep.programs import JAVA, PYTHON
from raysweep.prompts.repair.hunks import fault_between
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow, check_file, content_sha, read_json_rows

LEFT_OUT = {"knapsack": 10, "levenshtein": 4}
"""Cases that QuixBugs itself leaves out unless asked, from 1: the first takes a GiB, the second over a minute."""
_LISTS = {"flatten", "kheapsort"}  # generators
_PACKAGE = "java_testcases.junit"
_SHARED = {
    PYTHON: {"Node": "python/node.py"},
    JAVA: {name: f"java/{name}.java" for name in ("Node", "WeightedEdge", "QuixFixOracleHelper")},
}
"""Classes that tests share, and the files of `support` that define them."""


@PROBLEMS.register("quixbugs")
class QuixBugs(RepairSet):
    """QuixBugs in Python or Java.

    Args:
        path: a JSONL file with rows {name, python_buggy, python_correct, java_buggy, java_correct, testcases,
            python_test, java_test}.
        support: a JSON file with the texts of python/node.py, java/Node.java and other files that tests of graphs
            share; None: support_files.json beside `path`, if it is there.
        language: python or java.
        context: what models are shown: function, or file.

    Raises:
        UsageError: another language or context, or a file that doesn't exist.
    """

    languages = (PYTHON, JAVA)
    licence = "MIT"
    origin = "https://github.com/jkoppel/QuixBugs"

    def __init__(self, path: str, support: str | None = None, language: str = PYTHON, context: str = FUNCTION) -> None:
        super().__init__(path, context)
        if language not in self.languages:
            near = did_you_mean(language, self.languages)
            known = ", ".join(self.languages)
            raise UsageError(f"problem set quixbugs: language {language!r}{near} is none of {known}")
        self.language = language
        self._support = full_path(support) if support else self.path.with_name("support_files.json")
        if support:
            check_file(self._support)

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        return "python_buggy" in row and "java_buggy" in row

    @override
    def problem(self, row: JsonRow) -> Problem:
        if "buggy" in row.fields:
            raise UsageError(
                f"{row.place}: rows {{name, buggy, correct, tests}} are read by the problem set repair, which needs no "
                f"other file: repair={self.path}"
            )
        fields = ("python_test",) if self.language == PYTHON else ("java_test", "java_buggy")
        text = "\n".join(str(row.fields.get(name) or "") for name in fields)
        used = set(re.findall(r"\w+", text)) - set(re.findall(r"\bclass +(\w+)", text))
        files = [file for name, file in _SHARED[self.language].items() if name in used]
        if lacking := [file for file in files if file not in self._shared]:
            raise UsageError(
                f"{row.place}: its tests need {', '.join(lacking)}, which {self._support} doesn't have; give QuixBugs' "
                "own classes there, or another file as `support`"
            )
        make = _python_problem if self.language == PYTHON else _java_problem
        return make(row, self._shared, self.context)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        support = {"support": content_sha(self._support)} if self._support.exists() else {}
        return {**super().fingerprint(), **support, "language": self.language}

    @cached_property
    def _shared(self) -> Mapping[str, str]:
        """The texts of the files that tests share, by their names."""
        if not self._support.exists():
            return {}
        rows = read_json_rows(self._support)
        return {name: str(text) for row in rows for name, text in row.fields.items()}


def _python_problem(row: JsonRow, support: Mapping[str, str], context: str) -> Problem:
    name, buggy = row.label("name"), row.text("python_buggy")
    ours, theirs = without_last_docstring(buggy), without_last_docstring(row.text("python_correct"))
    fault = fault_between(ours, theirs, PYTHON, place=row.place)
    test = row.text("python_test", "")
    return repair_problem(
        f"QuixBugs/{name}",
        buggy,
        fault.behind(buggy[len(ours) :]),
        language=PYTHON,
        test=_graph_tests(test, name, support) if test else _cases(row, name),
        context=context,
        entry_point=name,
    )


def _cases(row: JsonRow, name: str) -> str:
    cases = row.fields.get("testcases")
    if not isinstance(cases, list) or not all(isinstance(case, list) and len(case) == 2 for case in cases) or not cases:
        raise UsageError(f"{row.place}: `testcases` must be a list of [arguments, result], not {cases!r:.60}")
    lines = []
    for number, (given, expected) in enumerate(cases, 1):
        if number == LEFT_OUT.get(name):
            continue
        arguments = given if isinstance(given, list) else [given]
        call = f"candidate({', '.join(map(repr, arguments))})"
        if name == "sqrt":
            lines.append(f"    assert abs({call} - {expected!r}) <= {arguments[-1]!r}")
        elif name == "hanoi":
            lines.append(f"    assert {call} == {[tuple(step) for step in expected]!r}")
        else:
            lines.append(f"    assert {f'list({call})' if name in _LISTS else call} == {expected!r}")
    return "\n".join(["def check(candidate):", *lines, ""])


def _graph_tests(test: str, name: str, support: Mapping[str, str]) -> str:
    left_out = (ast.Import, ast.ImportFrom, ast.If, ast.Expr)
    kept = [node for node in ast.parse(test).body if not isinstance(node, left_out)]
    names = [node.name for node in kept if isinstance(node, ast.FunctionDef)]
    calls = [f"    {test}()" for test in names if test.startswith("test")]
    functions = "\n\n".join(map(ast.unparse, kept))
    check = "\n".join([f"def check(candidate):\n    global {name}\n    {name} = candidate", *calls, ""])
    return f"{support.get('python/node.py', '')}\n{functions}\n\n{check}"


def _java_problem(row: JsonRow, support: Mapping[str, str], context: str) -> Problem:
    name = row.label("name")
    buggy, correct = row.text("java_buggy"), row.text("java_correct")
    shared = {key.rpartition("/")[2]: text for key, text in support.items() if key.startswith("java/")}
    test = f"{name.upper()}_TEST"
    return repair_problem(
        f"QuixBugs/{name}",
        buggy,
        fault_in_class(buggy, correct, row.place),
        language=JAVA,
        test=junit_tests(f"{_PACKAGE}.{test}", {f"{test}.java": _java_cases(row.text("java_test"), name), **shared}),
        context=context,
        entry_point=name,
    )


def _java_cases(test: str, name: str) -> str:
    """Return the tests of a program in Java without limits of wall time, and without the case that is left out."""
    test = without_wall_time(test)
    if name not in LEFT_OUT:
        return test
    method = re.compile(
        rf"^\s*@\S*Test\s+public void test_{LEFT_OUT[name] - 1}\(.*?^    }}\n", re.DOTALL | re.MULTILINE
    )
    return method.sub("", test, count=1)
