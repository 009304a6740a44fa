"""Problem set `repair`: faults of one's own in Python, Java or C++, from a JSONL file and no other one.

Fields: name, buggy and correct (a whole file before and after its repair), tests, and `language` for Java and C++. The
hunk is the run of lines in which the two files differ. Tests in Python are statements such as asserts, functions
``test...``, or a function ``check(candidate)``; in Java they are JUnit 4's or a class `Main`, in C++ a `main`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError, did_you_mean
from raysweep.execution.compiled.java.junit import junit_tests, without_wall_time
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import first_language, language_name, language_of, row_language, with_names
from raysweep.problems.repair.base import FUNCTION, RepairSet, repair_problem
from raysweep.programs import JAVA, LANGUAGES, PYTHON
from raysweep.prompts.comments import entry_point_of
from raysweep.prompts.repair.code import blanked_comments, method_around
from raysweep.prompts.repair.hunks import Fault, fault_between
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow

_DEFINED = re.compile(r"^(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)
_CLASS = re.compile(r"^\s*((?:public\s+|final\s+)*)class\s+(\w+)", re.MULTILINE)


@PROBLEMS.register("repair")
class OwnRepairs(RepairSet):
    """Faults of a user's file.

    Args:
        path: a JSONL file with rows {name, buggy, correct, tests}, and `language` where it isn't Python.
        language: of rows that name none.
        context: what models are shown: function, or file.

    Raises:
        UsageError: another language or context, or a file that doesn't exist.
    """

    languages = LANGUAGES
    words = 2

    def __init__(self, path: str, language: str | None = None, context: str = FUNCTION) -> None:
        super().__init__(path, context)
        self._default = language if language is None else language_name(language)
        if self._default is not None and self._default not in LANGUAGES:
            near = did_you_mean(self._default, LANGUAGES)
            raise UsageError(f"problem set repair: language {language!r}{near} is none of {', '.join(LANGUAGES)}")
        self.language = first_language(self.path, lambda row: language_of(row, self._default or PYTHON))

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        return {"name", "buggy", "correct"} <= set(row)

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        return {**super().fingerprint(), "language": self._default}

    @override
    def problem(self, row: JsonRow) -> Problem:
        name, buggy, tests = row.label("name"), row.text("buggy"), row.text("tests")
        language = row_language(row, tests, None if self.is_mixed else self.language, self._default)
        fault = fault_between(buggy, row.text("correct"), language, place=row.place)
        entry_point = _entry_point(name, fault, language)
        if not tests.strip():
            raise UsageError(f"{row.place}: `tests` is empty, so patches of the row can't be tested")
        if language == PYTHON:
            tests = _script(row, tests, entry_point)
        problem = repair_problem(
            name,
            buggy,
            fault,
            language=language,
            test=_java_tests(row, tests) if language == JAVA else tests,
            context=self.context,
            entry_point=entry_point,
        )
        return replace(problem, is_script=True)


def _entry_point(name: str, fault: Fault, language: str) -> str:
    hunk = fault.hunk
    if language != PYTHON:
        found = method_around(hunk.code, len(hunk.before), len(hunk.before) + len(hunk.buggy), language)
        return entry_point_of(hunk.code[: found.opens + 1]) if found else ""
    defined = _DEFINED.findall(hunk.patched(fault.fixed))
    around = _DEFINED.findall(f"{hunk.before}{fault.fixed}")
    return name if name in defined else [name, *defined[:1], *around[-1:]][-1]


def _script(row: JsonRow, tests: str, entry_point: str) -> str:
    """Return tests in Python with calls of their functions ``test...`` and of ``check`` behind them."""
    try:
        body = ast.parse(tests).body
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{row.place}: `tests` can't be run: {error}; correct it") from None
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    calls = [f"{name}()" for name in functions if name.startswith("test")]
    calls += [f"check({entry_point})"] if "check" in functions else []
    runs = [node for node in body if not isinstance(node, (*_DEFINES, ast.Pass)) and not _is_text_or_guard(node)]
    if not calls and not runs:
        raise UsageError(
            f"{row.place}: `tests` runs nothing, so any program passes; write asserts, functions test_..., or a "
            "function check(candidate), outside of classes and of `if __name__ == ...`"
        )
    tests = with_names(row.text("correct"), entry_point, "\n".join([tests, *calls]))
    return with_names(row.text("correct"), None, tests)


def _is_text_or_guard(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _java_tests(row: JsonRow, tests: str) -> str:
    """Return tests of JUnit 4's as one text with the name of their class, without limits of wall time, or a `Main`."""
    if "org.junit.jupiter" in tests:
        raise UsageError(f"{row.place}: `tests` is for JUnit 5, and only JUnit 4's run here: import org.junit.Test")
    code = blanked_comments(tests, JAVA)
    package, classes = _PACKAGE.search(code), _CLASS.findall(code)
    if "org.junit" not in code or not classes:
        if own := _PACKAGE.search(row.text("buggy")):
            raise UsageError(
                f"{row.place}: `buggy` is in the package {own[1]}, and the class Main of its `tests` can be in "
                "none; take the package out of `buggy` and `correct`, or test with JUnit 4"
            )
        return tests
    name = next((name for words, name in classes if "public" in words), classes[0][1])
    full_name = f"{package[1]}.{name}" if package else name
    return junit_tests(full_name, {f"{name}.java": without_wall_time(tests)})
